"""Garbage on every input of a running product: it is refused in words, costs nobody else a reading, and ends no process."""

import json
import os

import httpx
import pytest
import zstandard

from demo import processes
from demo.house import AGENT, TENANT
from tests.whole.hands import (
    DEVICE,
    body,
    dated,
    envelope,
    moment,
    pressure,
    running_cloud,
    still_works,
)

DEEP = b"[" * 50_000 + b"]" * 50_000


def a_bomb() -> bytes:
    """Three hundred megabytes in a few kilobytes: made by the one test that sends it, not by every worker that collects it."""
    return zstandard.ZstdCompressor().compress(b'{"observations":[' + b" " * 300_000_000 + b"]}")


def altered(old: bytes, new: bytes) -> bytes:
    """A body with one spot changed."""
    plain = body(pressure())
    assert old in plain
    return plain.replace(old, new, 1)


# Bodies whose sender and number are known: parked, and receipted as parked. Each with a word of the reason.
PARKED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "truncated"),
    "null": (b"null", "object"),
    "a list": (b"[]", "object"),
    "no observations": (b"{}", "observations"),
    "null for a list": (b'{"observations":null}', "array"),
    "null for one": (b'{"observations":[null]}', "object"),
    "deep": (b'{"observations":[' + DEEP + b"]}", "recursion"),
    "deep inside": (body(pressure())[:-3] + b',"x":' + DEEP + b"}]}", "recursion"),
    "not UTF-8": (altered(b'"120"', b'"\xff\xfe0"'), ""),
    "half a surrogate": (altered(b'"120"', b'"\\ud800"'), ""),
    "NaN": (altered(b'"120"', b"NaN"), "malformed"),
    "1e999": (altered(b'"120"', b"1e999"), "out of range"),
    "a number that is no text": (altered(b'"120"', b"120"), "value"),
    "NaN as text": (body(pressure("NaN")), "decimal"),
    "1e999 as text": (body(pressure("1e999")), "decimal"),
    "digits of another script": (body(pressure("\uff11\uff12\uff10")), "decimal"),
    "a line's end": (body(pressure("120\n")), "decimal"),
    "21 digits": (body(pressure("1" * 21)), "decimal"),
    "30 February": (body(dated(utc="2026-02-30T00:00:00.000Z")), "no moment"),
    "year 0": (body(dated(utc="0000-01-01T00:00:00.000Z")), "no moment"),
    "year 1677": (body(dated(utc="1677-12-31T00:00:00.000Z")), "1678"),
    "year 9999": (body(dated(utc="9999-12-31T00:00:00.000Z")), "2261"),
    "a leap second": (body(dated(utc="2026-06-30T23:59:60.000Z")), "no moment"),
    "a negative span": (body(dated(early_s=-1)), "early_s"),
    "an endless span": (body(dated(late_s=1e308)), "late_s"),
    "an unknown method": (body(dated(method="guess")), "method"),
    "a control character": (body(dated(device="\0")), "control character"),
    "a key without a day": (body(pressure(key="x" * 43)), "pattern"),
    "a device in capitals": (body(pressure(device="D" * 20)), "pattern"),
    "kPa for mmHg": (
        body(pressure(parts={"systolic": {"unit": "kPa", "value": "24"}})),
        "mm[Hg]",
    ),
    "33 parts": (
        body(pressure(parts={f"p{n}": {"unit": "x", "value": "1"} for n in range(33)})),
        "32",
    ),
    "a part without a value": (body(pressure(parts={"systolic": {"unit": "mm[Hg]"}})), "neither"),
    "a sideways limit": (
        body(pressure(parts={"systolic": {"unit": "mm[Hg]", "beyond": "sideways"}})),
        "sideways",
    ),
    "65 marks": (body(pressure(marks=[f"m{n}" for n in range(65)])), "64"),
    "marks as a text": (body(pressure(marks="control")), "array"),
    "raw that is no hex": (body(pressure(raw="abc")), "hex"),
    "a negative sequence": (body(pressure(sequence=-1)), "sequence"),
}
# Headers around a good body that name box-1 all the same.
PARKED_HEADERS: dict[str, tuple[dict[str, object], str]] = {
    "a later version": ({"schema": "vitalgate.envelope/2"}, "vitalgate.envelope/2"),
    "another family": ({"schema": "foo/1"}, "foo/1"),
    "a wrong hash": ({"sha256": "0" * 64}, "sha256"),
    "an unknown encoding": ({"encoding": "gzip"}, "gzip"),
    "zstd that is none": ({"encoding": "json+zstd"}, "zstd"),
}
# Nobody can be answered: kept where a person sees it, without a receipt.
STRAYS: dict[str, bytes] = {
    "not UTF-8": b"\xff\xfe\x00abc",
    "one zero": b"\0",
    "no body": envelope(b"{}").partition(b"\n")[0],
    "a deep header": b'{"schema":' + b"[" * 900 + b"\n{}",
    "390 kB": os.urandom(390_000),
    "another's": envelope(body(pressure()), agent="box-2"),
    "a name with a slash": envelope(body(pressure()), agent="a/b"),
    "count 0": envelope(body(pressure()), count=0),
    "count -1": envelope(body(pressure()), count=-1),
    "count 1e9": envelope(body(pressure()), count=10**9),
    "number 0": envelope(body(pressure()), first=0),
    "number 2^63": envelope(body(pressure()), first=2**63),
    "number 1.0": envelope(body(pressure()), first=1.0),
    "number true": envelope(body(pressure()), first=True),
    "number 1e999": envelope(body(pressure())).replace(b'"first": 1', b'"first": 1e999'),
    "an epoch in words": envelope(body(pressure()), epoch="now"),
    "an epoch with a line's end": envelope(body(pressure()), epoch="0" * 15 + "\n"),
}


def kept_aside(whole) -> int:
    told = processes.say("ingest", "status", "--settings", str(whole.house.cloud), "--json")
    return int(json.loads(told)["counts"]["parked"])


@pytest.mark.slow(15)
@pytest.mark.timeout(180)
def test_poison_is_parked_and_receipted_and_strays_are_kept_aside(whole) -> None:
    client = running_cloud(whole)
    number = 1
    for name, (inside, word) in PARKED.items():
        number += 1
        given = client.deliver(envelope(inside, first=number))
        assert [one["n"] for one in given["parked"]] == [number], name
        assert word in given["parked"][0]["why"], name
    for name, (header, word) in PARKED_HEADERS.items():
        number += 1
        given = client.deliver(envelope(body(pressure()), first=number, **header))
        assert [one["n"] for one in given["parked"]] == [number], name
        assert word in given["parked"][0]["why"], name
    number += 1
    bomb = client.deliver(envelope(a_bomb(), first=number, encoding="json+zstd"))
    assert "over 1000000 bytes" in bomb["parked"][0]["why"]
    uncounted = client.deliver(envelope(body(pressure()), first=number + 1, count=2))
    assert [one["n"] for one in uncounted["parked"]] == [number + 1, number + 2]

    before = kept_aside(whole)
    for payload in STRAYS.values():
        client.send(payload)
        client.send(payload)
    still_works(whole, client)

    assert {name for name, payload in STRAYS.items() if client.receipts(payload)} == set()
    assert kept_aside(whole) == before + len(STRAYS)
    stored = [one for one in whole.readings() if one["keyed"]]
    assert len(stored) == 2
    client.close()


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_one_bad_reading_costs_its_neighbours_nothing_and_may_come_again_whole(whole) -> None:
    client = running_cloud(whole, 0)
    good, spoilt, other = pressure("121"), pressure("122"), pressure("123")
    bad = spoilt | {"kind": ""}
    given = client.deliver(envelope(body(good, bad, other), count=3))
    assert [one["n"] for one in given["parked"]] == [2]
    mended = client.deliver(envelope(body(spoilt), first=2))

    assert mended.get("parked", []) == []
    still_works(whole, client)
    stored = {one["key"] for one in whole.readings() if one["keyed"]}
    assert {good["key"], spoilt["key"], other["key"]} < stored
    client.close()


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_a_key_that_names_other_values_keeps_both_as_a_conflict(whole) -> None:
    client = running_cloud(whole, 0)
    first = pressure("121")
    second, elsewhere = pressure("131", key=first["key"]), pressure(device="e" * 20)
    elsewhere["key"] = first["key"]
    given = client.deliver(envelope(body(first, second, elsewhere, first), count=4))

    assert given["duplicates"] == [4]
    assert given.get("parked", []) == []
    shown = [one["journal"] for one in whole.readings() if one["key"] == first["key"]]
    assert sorted((one["n"], one["outcome"], one["conflict"]) for one in shown) == [
        (1, "stored", False),
        (2, "stored", True),
        (3, "stored", True),
    ]
    client.close()


def status(**more: object) -> bytes:
    told = {
        "agent": AGENT,
        "online": True,
        "at": moment(),
        "version": "1",
        "schema": "vitalgate.status/1",
    }
    return json.dumps(told | more).encode()


STATUSES = {
    "no time": status(at="garbage"),
    "year 1": status(at="0001-01-01T00:00:00.000Z"),
    "the calendar's edge": status(at="9999-12-31T23:59:59-23:59"),
    "a negative count": status(issued=-1, pending=-5),
    "2^70": status(issued=2**70),
    "no time of the oldest": status(pending=3, oldest_pending="yesterday"),
    "a script": status(
        devices=[
            {
                "device": DEVICE,
                "profile": "<script>x</script>",
                "last_heard": "xx",
                "last_reading": "9999-12-31T23:59:59.999Z",
                "trouble": "<script>x</script>",
            }
        ]
    ),
    "a path": status(devices=[{"device": "../../<script>x", "profile": "x"}]),
    "a device twice": status(devices=[{"device": DEVICE, "profile": "x"}] * 2),
    "2,000 devices": status(
        devices=[{"device": f"{n:020x}", "profile": "x"} for n in range(2_000)]
    ),
    "another's": status(agent="box-2"),
    "garbage": b"\xff",
    "nothing": b"",
    "deep": DEEP,
    "1e999": status(issued=1).replace(b'"issued": 1', b'"issued": 1e999'),
}
QUESTIONS = (b"\xff", b"", b"[" * 1_900, b'{"nonce":1}', b'{"nonce":""}', b'{"nonce":"a","schema":"x"}')  # fmt: skip
TOPICS = (
    f"vitalgate/v1/{TENANT}/{AGENT}/up/health",
    f"vitalgate/v1/{TENANT}/{AGENT}/up/observations/x",
    f"vitalgate/v1/{TENANT}//up/observations",
    f"vitalgate/v1/{TENANT}/a b/up/observations",
    f"vitalgate/v1/{TENANT}/{'x' * 64}/up/observations",
    f"vitalgate/v1/{TENANT}/血压/up/observations",
    f"vitalgate/v1/{TENANT}/..%2f/up/observations",
    f"vitalgate/v1/other/{AGENT}/up/observations",
)


@pytest.mark.slow(10)
@pytest.mark.timeout(180)
def test_garbage_for_a_status_a_question_or_a_topic_leaves_every_page_whole(whole) -> None:
    client = running_cloud(whole)
    topic = f"vitalgate/v1/{TENANT}/{AGENT}/up/status"
    for name, payload in STATUSES.items():
        client.send_to(topic, payload, retain=True)
        pages_are_whole(whole, f"status: {name}")
    for payload in QUESTIONS:
        client.send(payload, "up/ledger")
    client.send(b'{"nonce":"sound"}', "up/ledger")
    for strange in TOPICS:
        client.send_to(strange, envelope(body(pressure()), first=2))
    still_works(whole, client)

    answers = [json.loads(told) for topic, told in client.heard if topic.endswith("down/ledger")]
    assert [one["nonce"] for one in answers] == ["sound"]
    assert len([one for one in whole.readings() if one["keyed"]]) == 2
    pages_are_whole(whole, "at the end")
    client.close()


def pages_are_whole(whole, what: str) -> None:
    http = whole.console()._http
    for path in ("/", "/api/devices", "/api/alerts", "/api/health", "/fragments/ward"):
        answer = http.get(path)
        assert answer.status_code == httpx.codes.OK, f"{what}: {path}: {answer.text[:500]}"
        if "html" in answer.headers["content-type"]:
            assert "<script>x" not in answer.text, f"{what}: {path}"
