"""The same measurement by more than one way: two boxes, a replayed envelope, another cut. Stored once, one alert."""

import shutil

import pytest

from demo import people, processes
from demo.house import AGENT
from tests.commands import say, standing
from tests.whole.hands import DEVICE, Client, body, envelope, pressure

OTHER = "box-2"


@pytest.mark.slow(40)
@pytest.mark.timeout(300)
def test_a_meter_read_by_two_boxes_is_stored_once_and_alarms_once(whole) -> None:
    whole.start_broker("iotcore")
    whole.start_ward("--scenario", "demo", "--seconds", "8")
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)
    whole.until(
        "everything to arrive", lambda: len(whole.readings()) == len(whole.truth().measured), 60
    )
    whole.until("the first box to be empty", lambda: whole.status()["pending"] == 0, 60)
    before = {one["key"]: one["journal"] for one in whole.readings()}
    alerts = whole.console().alerts()
    whole.end("edge")

    start_other_box(whole)
    # A meter on a cable answers whoever asks; one on the air is silent once it has told all.
    kept = sum(1 for one in whole.truth().measured if one.serial.startswith("VGM"))
    whole.until("the second box to have it receipted", lambda: duplicates(whole) == kept, 90)

    assert other_status(whole)["issued"] == kept
    assert {one["key"]: one["journal"] for one in whole.readings()} == before
    assert [one["id"] for one in whole.console().alerts()] == [one["id"] for one in alerts]
    assert whole.judge() == []


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_two_confirming_readings_by_two_boxes_are_one_alert(whole) -> None:
    client, patient = cloud_with_a_patient(whole)
    first, second = pressure("192", "124", ago_s=120), pressure("188", "122")
    told = {AGENT: envelope(body(first)), OTHER: envelope(body(second), agent=OTHER)}

    for agent, payload in told.items():
        client.send(payload, agent=agent)
    for payload in told.values():
        assert client.receipt(payload).get("duplicates", []) == []
    crossed = {AGENT: envelope(body(second), first=2), OTHER: envelope(body(first), 2, agent=OTHER)}
    for agent, payload in crossed.items():
        assert client.deliver(payload, agent)["duplicates"] == [2]

    alerts = whole.console().alerts()
    assert [(one["patient"], one["condition"], one["state"]) for one in alerts] == [
        (patient, "BP-CRISIS", "open")
    ]
    assert alerts[0]["key"] == second["key"]
    assert len(whole.readings()) == 2
    client.close()


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_an_envelope_that_comes_again_or_cut_otherwise_is_stored_once(whole) -> None:
    client, _patient = cloud_with_a_patient(whole)
    seen = [pressure(str(110 + n), ago_s=600 - 60 * n) for n in range(6)]
    whole_one = envelope(body(*seen), first=1, count=6)
    given = client.deliver(whole_one)
    again = [client.deliver(whole_one) for _ in range(3)]
    assert all(one == given for one in again)
    assert given.get("parked", []) == given.get("duplicates", []) == []

    for first, end in ((1, 3), (3, 7), (2, 6), (6, 7)):
        cut = envelope(body(*seen[first - 1 : end - 1]), first=first, count=end - first)
        told = client.deliver(cut)
        assert (told.get("duplicates", []), told.get("parked", [])) == ([], [])
    whole.leave()
    whole.kill("cloud")
    whole.start("cloud")
    whole.until("the console", whole.console_answers, 60)
    after_the_kill = client.deliver(whole_one)
    renumbered = client.deliver(envelope(body(*seen), first=7, count=6))

    assert after_the_kill.get("duplicates", []) == []
    assert renumbered["duplicates"] == [7, 8, 9, 10, 11, 12]
    assert sorted(one["key"] for one in whole.readings()) == sorted(one["key"] for one in seen)
    client.close()


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_an_envelope_replayed_on_another_boxs_topic_is_neither_stored_nor_receipted(whole) -> None:
    client, _patient = cloud_with_a_patient(whole)
    mine = envelope(body(pressure("192", "124")))
    client.send(mine, agent=OTHER)
    proof = envelope(body(pressure()), agent=OTHER)
    client.deliver(proof, OTHER)

    assert client.receipts(mine) == []
    assert len(whole.readings()) == 1
    client.deliver(mine)
    assert len(whole.readings()) == 2
    client.close()


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_a_number_that_holds_another_reading_keeps_both_and_asks_for_a_new_epoch(whole) -> None:
    client, _patient = cloud_with_a_patient(whole)
    first, second = pressure("121"), pressure("131")
    client.deliver(envelope(body(first)))
    given = client.deliver(envelope(body(second)))

    assert given["new_epoch"] is True
    assert given.get("duplicates", []) == given.get("parked", []) == []
    assert {one["key"] for one in whole.readings()} == {first["key"], second["key"]}
    client.close()


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_whose_a_reading_is_follows_from_when_it_was_taken(whole) -> None:
    client, early = cloud_with_a_patient(whole, until="-2h")
    late = add_patient(whole, "Chen Wei")
    bind(whole, late, "--from", hours_ago(1))
    told = {
        "before": pressure("121", ago_s=3 * 3600),
        "between": pressure("122", ago_s=1.5 * 3600),
        "after": pressure("123", ago_s=60),
        "across the end": pressure("124") | {"time": around(2 * 3600)},
        "of another device": pressure("192", "124", ago_s=120, device="e" * 20),
        "again": pressure("190", "123", ago_s=10, device="e" * 20),
    }
    client.deliver(envelope(body(*told.values()), count=len(told)))
    whose = {one["key"]: one["patient"] for one in whole.readings()}

    assert {name: whose[one["key"]] for name, one in told.items()} == {
        "before": early,
        "between": None,
        "after": late,
        "across the end": None,
        "of another device": None,
        "again": None,
    }
    assert whole.console().alerts() == []
    waiting = say("record", "reading", "unassigned", *settings(whole))
    for name in ("between", "across the end", "of another device", "again"):
        assert told[name]["key"] in waiting, name

    for name in ("of another device", "again"):
        say("record", "reading", "assign", told[name]["key"], late, *settings(whole))
    alerts = whole.console().alerts()
    assert [(one["patient"], one["condition"]) for one in alerts] == [(late, "BP-CRISIS")]
    with pytest.raises(processes.DemoError, match=told["again"]["key"]):
        say("record", "reading", "assign", told["again"]["key"], early, *settings(whole))
    client.close()


def cloud_with_a_patient(whole, until: str | None = None) -> tuple[Client, str]:
    """Broker, ingester and a plain client; one patient who wears `DEVICE`."""
    whole.start_broker("iotcore")
    whole.house.write_cloud(whole.port)
    patient = add_patient(whole, people.PEOPLE[0][0])
    bind(whole, patient, "--from", "always", *(("--to", hours_ago(2)) if until else ()))
    whole.start_cloud()
    return Client(whole.house, whole.port), patient


def settings(whole) -> tuple[str, str]:
    return ("--settings", str(whole.house.cloud))


def add_patient(whole, name: str) -> str:
    return say("record", "patient", "add", "--name", name, *settings(whole)).split()[0]


def bind(whole, patient: str, *span: str) -> None:
    say("record", "patient", "bind", patient, DEVICE, *span, *settings(whole))


def hours_ago(hours: float) -> str:
    return pressure(ago_s=hours * 3600)["time"]["utc"]


def around(ago_s: float) -> dict[str, object]:
    return pressure(ago_s=ago_s)["time"] | {"early_s": 60.0, "late_s": 60.0}


def start_other_box(whole) -> None:
    """A second box with the same tenant's key and devices, and a folder of its own."""
    house = whole.house
    data = house.folder / "edge-2"
    data.mkdir(mode=0o700)
    shutil.copy(house.folder / "edge" / "tenant.key", data / "tenant.key")
    told = house.edge.read_text()
    for ours, its in ((AGENT, OTHER), ("edge", data.name)):
        assert f'"{ours}"' in told
        told = told.replace(f'"{ours}"', f'"{its}"')
    other_settings(whole).write_text(told)
    whole.commands["edge-2"] = (
        *(processes.vitalgate(), "edge", "run"),
        *("--settings", str(other_settings(whole))),
    )
    whole.start("edge-2")


def other_settings(whole):
    return whole.house.folder / "edge-2.toml"


def other_status(whole) -> dict:
    return standing(other_settings(whole))


def duplicates(whole) -> int:
    try:
        told = other_status(whole)
    except processes.DemoError:  # it has made no outbox yet
        return 0
    return told["counters"].get("receipts.duplicate", 0) if told["pending"] == 0 else 0
