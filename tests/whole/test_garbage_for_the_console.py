"""What a stranger can ask of the console: others' pages, forged forms, nonsense, bytes that are no HTTP."""

import re
import socket

import httpx
import pytest

from demo import processes
from demo.console import Console
from demo.judge import link
from tests.whole.hands import DEVICE, body, envelope, pressure, running_cloud, still_works


@pytest.mark.slow(10)
@pytest.mark.timeout(180)
def test_the_console_refuses_strangers_forgeries_and_nonsense(whole) -> None:
    client = running_cloud(whole, 0)
    settings = ("--settings", str(whole.house.cloud))
    patient = processes.say("record", "patient", "add", "--name", "Wang Fang", *settings).split()[0]
    processes.say("record", "patient", "bind", patient, DEVICE, "--from", "always", *settings)
    client.deliver(envelope(body(pressure("192", "124", ago_s=120), pressure("188", "122")), 1, 2))
    alert = whole.console().alerts()[0]
    http = whole.console()._http
    own = f"http://127.0.0.1:{http.base_url.port}"
    acknowledge = f"/alerts/{alert['id']}/acknowledge"
    stranger = httpx.Client(base_url=own, trust_env=False)
    strangers_are_refused(http, stranger)
    guard = re.search(r'name="guard" value="([^"]+)"', http.get("/").text)
    assert guard is not None
    form = {"guard": guard.group(1)}
    forgeries_are_refused(http, stranger, acknowledge, form)
    assert whole.console().alerts()[0]["state"] == "open"
    nonsense_is_refused(http, patient)

    assert http.post(acknowledge, headers={"origin": own}, data=form).is_redirect
    first = whole.console().alerts()[0]
    assert http.post(acknowledge, headers={"origin": own}, data=form).is_redirect
    assert whole.console().alerts() == [first]
    assert first["state"] == "acknowledged"
    http.post("/alerts/nope/acknowledge", headers={"origin": own}, data=form)
    http.post("/alerts/'%20OR%201=1--/resolve", headers={"origin": own}, data=form)
    assert whole.console().alerts() == [first]
    still_works(whole, client)
    stranger.close()
    client.close()


def strangers_are_refused(http: httpx.Client, stranger: httpx.Client) -> None:
    for path in ("/", "/api/readings", "/api/alerts", "/events", "/fragments/work", "/docs"):
        assert stranger.get(path).status_code == httpx.codes.UNAUTHORIZED, path
    for path in ("/assets/%2e%2e/web.py", "/assets/..%2f..%2f..%2f..%2f..%2fetc/passwd"):
        assert stranger.get(path).status_code == httpx.codes.NOT_FOUND, path
    hosts = ("evil.example", "127.0.0.1", f"evil.example:{http.base_url.port}")
    for host in hosts:
        answer = http.get("/api/alerts", headers={"host": host})
        assert answer.status_code == httpx.codes.MISDIRECTED_REQUEST, host


def forgeries_are_refused(
    http: httpx.Client, stranger: httpx.Client, path: str, form: dict[str, str]
) -> None:
    own = f"http://127.0.0.1:{http.base_url.port}"
    forged = (
        (http, {}, form),
        (http, {"origin": "http://evil.example"}, form),
        (http, {"origin": "null"}, form),
        (http, {"origin": own}, {}),
        (http, {"origin": own}, {"guard": "x"}),
        (stranger, {"origin": own}, form),
    )
    for who, headers, data in forged:
        assert who.post(path, headers=headers, data=data).status_code in (401, 403), headers


def nonsense_is_refused(http: httpx.Client, patient: str) -> None:
    wrong = ("limit=-1", "limit=0", "limit=1001", "limit=abc", "after=%00", "after=%ff", "device=",
             f"after={'z' * 201}", f"limit={'9' * 400}")  # fmt: skip
    for query in wrong:
        answer = http.get(f"/api/readings?{query}")
        assert answer.status_code == httpx.codes.BAD_REQUEST, query
        assert query.partition("=")[0] in answer.json()["error"], query
    assert len(http.get("/api/readings?after='%20OR%201=1--").json()["readings"]) == 2
    assert http.get("/api/readings?after=garbage").json() == {"readings": [], "next": None}
    for path in ("/fragments/alert/nope", "/fragments/patient/%00", "/fragments/evidence/'or1", f"/chart/{patient}/zzz"):  # fmt: skip
        assert http.get(path).status_code == httpx.codes.NOT_FOUND, path
    assert http.get(f"/chart/{patient}/glucose?days=-1").status_code == httpx.codes.BAD_REQUEST


@pytest.mark.slow(10)
@pytest.mark.timeout(90)
def test_a_one_time_link_lets_one_browser_in_once(whole) -> None:
    client = running_cloud(whole)
    address = link(whole.house)
    head = httpx.head(address, trust_env=False)
    inside = Console(address)
    inside.alerts()
    again = httpx.get(address, trust_env=False)

    assert head.status_code == httpx.codes.METHOD_NOT_ALLOWED  # what looks ahead uses nothing up
    assert again.status_code == httpx.codes.FORBIDDEN
    inside.alerts()
    inside.close()
    client.close()


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_bytes_that_are_no_http_leave_the_console_standing(whole) -> None:
    client = running_cloud(whole)
    port = whole.console()._http.base_url.port
    for told in (
        b"\x00\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\x00" * 20,
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000,
        b"GET /%s HTTP/1.1\r\n" % (b"a" * 100_000),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            try:
                line.sendall(told)
                assert line.recv(100).startswith(b"HTTP/1.1 4"), told[:30]
            except ConnectionError:
                continue  # it may hang up in the middle of what is too long
    still_works(whole, client)
    client.close()
