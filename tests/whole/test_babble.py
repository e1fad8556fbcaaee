"""Devices and a cloud that talk nonsense to a box: it says which and why, and the other devices' readings go on."""

import hashlib
import json
import os
import select
import sys
import threading
import tty

import pytest

from demo import processes
from demo.house import AGENT, House
from demo.truth import devices, radio
from tests.whole.hands import Client

# Frames of a blood pressure measurement that no decoder may believe: empty, cut, too long, and reserved numbers.
WARD = """
import sys
from dataclasses import replace
from drivers.sim.world import cuff
from gateway.cli import main

FRAMES = ["", "1e", "1e78", "00780050", "1e" + "ff" * 200, "ff" * 20, "00" * 19, "1effffffffffff", "80780050005b00"]
sound = cuff.Cuff.remember
told = iter(FRAMES * 1000)

async def remember(self, record):
    if self._serial != SPOILT:
        return await sound(self, record)
    self._ways = replace(self._ways, frame=lambda *_told: bytes.fromhex(next(told)))
    await sound(self, record)

SPOILT = sys.argv.pop(1)
cuff.Cuff.remember = remember
main()
"""


class Babbler:
    """A serial instrument that answers whatever it hears with noise, and never stops by itself."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave  # held, or the line would hang up between two visits
        os.set_blocking(self._master, False)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        noise = (
            bytes(range(256))
            + b'P 999,"MO","13/13/99","99:99:99   "," 999 ", 00 ZZZZ\r\n'
            + b"\0" * 64
        )
        while not self._end.wait(0.05):
            readable, writable, _ = select.select([self._master], [self._master], [], 0)
            if readable:
                os.read(self._master, 4096)
            if writable:
                os.write(self._master, noise)

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        os.close(self._slave)
        os.close(self._master)


@pytest.mark.slow(30)
@pytest.mark.timeout(300)
def test_a_serial_line_that_babbles_costs_the_other_devices_nothing(whole) -> None:
    babbler = Babbler()
    whole.start_broker("iotcore")
    whole.start_ward("--scenario", "kill", "--cuffs", "1", "--meters", "1", "--every", "2", "--seconds", "20")  # fmt: skip
    extra = f'\n[[device]]\nprofile = "lifescan/onetouch-ultra2"\nport = "{babbler.port}"\nevery_s = 5\n'
    start_edge_with(whole, extra)
    whole.bind_everybody()
    whole.start_cloud()
    whole.arrived()

    line = next(one for one in whole.status()["devices"] if one["place"] == babbler.port)
    assert (line["readings"], line["device"]) == (0, None)
    assert line["trouble"]
    assert whole.process("edge").poll() is None
    assert "Traceback" not in whole.logs()
    assert whole.judge() == []
    babbler.close()


@pytest.mark.slow(40)
@pytest.mark.timeout(300)
def test_a_cuff_that_indicates_garbage_is_named_and_its_frames_are_kept(whole) -> None:
    whole.start_broker("iotcore")
    ward = whole.house.ward
    options = ("--scenario", "kill", "--cuffs", "2", "--meters", "1", "--every", "2", "--seconds", "20")  # fmt: skip
    whole.commands["ward"] = (
        *(sys.executable, "-c", WARD, "5181100001"),
        *("ward", "--dir", str(ward), *options),
    )
    whole.start("ward")
    whole.running.until("virtual devices", (ward / "ready.json").exists, 60)
    start_edge_with(whole, "")
    whole.bind_everybody()
    whole.start_cloud()
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 90)
    sound = {one.id for one in whole.truth().measured if one.serial != "5181100001"}
    whole.until("the others' readings", lambda: len(stored(whole, spoilt=False)) >= len(sound), 60)
    whole.until("the box to be empty", lambda: whole.status()["pending"] == 0, 60)

    missing = {one.who for one in whole.judge() if one.what == "missing"}
    assert missing.isdisjoint(sound)
    assert whole.process("edge").poll() is None
    assert "Traceback" not in whole.logs()
    told = {one.id for one in whole.truth().measured} - sound
    whole.until("all to be told", lambda: told <= whole.truth().confirmed.keys(), 60)

    # What the cuff has forgotten is a reading in the record, or bytes on the box's disk.
    whole.until(
        "each frame's end",
        lambda: len(kept(whole)) + len(stored(whole, spoilt=True)) == len(told) > 0,
        30,
    )


@pytest.mark.slow(40)
@pytest.mark.timeout(120)
def test_garbage_from_the_cloud_settles_nothing_and_stops_nothing(whole) -> None:
    whole.start_broker("iotcore")
    whole.start_ward("--scenario", "kill", "--cuffs", "1", "--meters", "1", "--every", "2", "--seconds", "12")  # fmt: skip
    start_edge_with(whole, "")
    whole.bind_everybody()
    client = Client(whole.house, whole.port, hear="up/observations")
    whole.until("something to send", lambda: client.heard, 60)
    sent = client.heard[0][1]
    header = json.loads(sent.partition(b"\n")[0])
    for payload in receipts(header, sent):
        client.send(payload, "down/receipts")
    for payload in ANSWERS:
        client.send(payload, "down/ledger")
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)
    whole.until(
        "all on the box", lambda: whole.status()["issued"] >= len(whole.truth().measured), 30
    )
    before = whole.status()

    assert before["pending"] == before["issued"] == len(whole.truth().measured)
    assert before["connected"]
    assert whole.process("edge").poll() is None
    whole.start_cloud()
    whole.arrived()
    assert whole.judge() == []
    assert "Traceback" not in whole.logs()
    client.close()


ANSWERS = (
    b"",
    b"\xff",
    b"[" * 100_000,
    b"null",
    b'{"nonce":"x","agent":"box-1","store":"s","commit":1,"epochs":[]}',
    b'{"nonce":"x","agent":"box-1","store":"s","commit":-1,"epochs":[{"epoch":"zz","ranges":[]}]}',
    b'{"nonce":null,"agent":"box-1","store":"s","commit":1e999,"epochs":[]}',
)


def receipts(header: dict, sent: bytes) -> list[bytes]:
    """Receipts that must settle nothing: unreadable, another's, of an unknown envelope, of other numbers."""
    name = hashlib.sha256(sent).hexdigest()
    good = {
        "envelope": name, "agent": AGENT, "epoch": header["epoch"], "store": "0" * 16, "commit": 1,
        "schema": "vitalgate.receipt/1",
    }  # fmt: skip
    beyond = header["first"] + header["count"] + 5
    told: list[dict] = [
        good | {"agent": "box-2"},
        good | {"epoch": "f" * 16},
        good | {"envelope": "0" * 64},
        good | {"schema": "vitalgate.receipt/2"},
        good | {"duplicates": [beyond]},
        good | {"duplicates": [-1]},
        good | {"duplicates": [2**70]},
        good | {"parked": [{"n": beyond, "why": "x"}]},
        good | {"parked": [{"n": header["first"]}]},
        good | {"commit": "x"},
    ]
    garbage = (b"", b"\xff", b"null", b"[" * 100_000, b'{"envelope":' + b"[" * 900)
    return [*garbage, *(json.dumps(one).encode() for one in told)]


def start_edge_with(whole, extra: str) -> None:
    """The agent, with another device in its settings; waits for those of the ward."""
    house: House = whole.house
    house.write_edge(whole.port, radio(house.ward), devices(house.ward))
    house.edge.write_text(house.edge.read_text() + extra)
    whole.commands["edge"] = (
        *(processes.vitalgate(), "edge", "run"),
        *("--settings", str(house.edge)),
    )
    whole.start("edge")
    expected = {device.serial for device in devices(house.ward)}
    whole.until("every serial number", lambda: expected <= set(whole.ids()), 60)


def stored(whole, *, spoilt: bool) -> list[dict]:
    device = whole.ids().get("5181100001")
    return [one for one in whole.readings() if (one["device"] == device) is spoilt]


def kept(whole) -> list[dict]:
    told = (whole.house.folder / "edge" / "unread.jsonl").read_text()
    return [json.loads(line) for line in told.splitlines()]
