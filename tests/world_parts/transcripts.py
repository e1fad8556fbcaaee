"""Published sessions as devices on the virtual air: a transcript's table, what it answers and tells. Knows no driver, no agent.

Time is pressed together: what a transcript spreads over seconds follows at PACE_S.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.gatt import racp
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
    Property,
)

VECTORS = Path(__file__).parents[1] / "vectors"
PACE_S = 0.005
PASSKEY = 123_456
CUFFS_MEASUREMENT, DATE_TIME = 0x2A35, 0x2A08
MEASUREMENT, CONTEXT, CONTROL_POINT = 0x2A18, 0x2A34, 0x2A52
CURRENT_TIME, DEVICE_INFORMATION = 0x2A2B, "180A"
# Asked more than one question in a session: a cue by its octets.
CONTROL_POINTS = (CONTROL_POINT, 0x2A9F)

# What the standards make mandatory in a service, for the transcripts that do not touch it.
MANDATORY: Mapping[str, Mapping[str, frozenset[Property]]] = {
    "1810": {"2A35": frozenset({"indicate"}), "2A49": frozenset({"read"})},
    "1808": {
        "2A18": frozenset({"notify"}),
        "2A51": frozenset({"read"}),
        "2A52": frozenset({"write", "indicate"}),
    },
    "1805": {"2A2B": frozenset({"read", "notify"})},
    "1809": {"2A1C": frozenset({"indicate"})},
    "181D": {"2A9D": frozenset({"indicate"}), "2A9E": frozenset({"read"})},
    "181B": {"2A9C": frozenset({"indicate"}), "2A9B": frozenset({"read"})},
    "181C": {"2A9F": frozenset({"write", "indicate"})},
}
SCALES_FEATURES = (0x2A9E, 0x2A9B)
ADVERTISED = ("1810", "1808", "1809", "181B", "181D")
_PROPERTY: Mapping[str, Property] = {
    "read_rsp": "read",
    "write": "write",
    "notify": "notify",
    "indicate": "indicate",
}
_WANTS_SECURITY = frozenset({0x05, 0x0C, 0x0F})
_UNSUBSCRIBED = max(racp.UNSUBSCRIBED_CODES)
_NOTHING_TO_READ = 0x0A
_SHORT_UUID = 4

Step = Mapping[str, Any]
_GONE: tuple[Step, ...] = ({"op": "gone"},)


@dataclass(frozen=True, slots=True)
class Cue:
    """What a central does that a device answers. Writes to a control point count by their octets, others by their place."""

    op: str
    uuid16: int = 0
    data: bytes = b""
    subscribed: bool = False


CONNECTED = Cue("connected")


@dataclass(frozen=True)
class Transcript:
    """One session as published."""

    id: str
    device: str
    steps: Sequence[Step]
    result: Mapping[str, Any]

    @property
    def services(self) -> Sequence[str]:
        """Those that the central discovered."""
        return next((step["services"] for step in self.steps if "services" in step), ())

    @property
    def bonds(self) -> Sequence[Step]:
        """Where it was paired."""
        return [step for step in self.steps if step["op"] == "bonded"]

    @property
    def passkey(self) -> int | None:
        """Asked for where the session says so."""
        asked = any("passkey" in step.get("note", "") for step in self.bonds)
        return PASSKEY if asked else None

    @property
    def reads(self) -> Mapping[tuple[str, str], bytes]:
        """What was read, by service and characteristic."""
        return {
            (step["service"], step["characteristic"]): bytes.fromhex(step["hex"])
            for step in self.steps
            if step["op"] == "read_rsp"
        }

    @property
    def ended_by(self) -> str:
        """Who hung up: peripheral or central."""
        return next(step["by"] for step in reversed(self.steps) if "by" in step)

    def told(self, *uuids16: int) -> list[tuple[int, bytes]]:
        """What the device notified or indicated of these characteristics, in order."""
        return [
            (_number(step), bytes.fromhex(step["hex"]))
            for step in self.steps
            if step["op"] in {"notify", "indicate"}
            and not _is_vendors(step)
            and _number(step) in uuids16
        ]

    def written(self, uuid16: int) -> list[bytes]:
        """What the central wrote there."""
        return [
            bytes.fromhex(step["hex"])
            for step in self.steps
            if step["op"] == "write" and not _is_vendors(step) and _number(step) == uuid16
        ]

    def scenes(self) -> dict[Cue, tuple[Step, ...]]:
        """What the device does upon each cue; of a repeated cue the last. Security is left to the table."""
        scenes: dict[Cue, tuple[Step, ...]] = {}
        cue, subscribed = CONNECTED, set[int]()
        for step in self.steps:
            if step["op"] in {"write", "cccd_write"} and not _is_vendors(step):
                number = _number(step)
                if step["op"] == "cccd_write":
                    subscribed.add(number)
                    cue = Cue("cccd_write", number)
                else:
                    data = bytes.fromhex(step["hex"]) if number in CONTROL_POINTS else b""
                    cue = Cue("write", number, data, number in subscribed)
                scenes[cue] = ()
            elif _is_the_devices(step):
                scenes[cue] = (*scenes.get(cue, ()), step)
        return scenes


def transcripts(file: str = "gatt.json") -> Mapping[str, Transcript]:
    """All published sessions of connected devices in a file, by id."""
    rows = json.loads((VECTORS / file).read_text())["sessions"]
    return {
        row["id"]: Transcript(row["id"], row["device"], row["steps"], row["result"]) for row in rows
    }


def described(
    transcript: Transcript, siblings: Iterable[Transcript], number: int
) -> DeviceDescription:
    """The device of a session. What other sessions read of the same device's information it has too."""
    values = {**_information(transcript, siblings), **transcript.reads}
    table = _table(transcript, values)
    return DeviceDescription(
        address=f"F0:00:00:00:02:{number:02X}",
        name=_name(transcript),
        services=tuple(
            GattService(
                int(service, 16),
                tuple(
                    GattCharacteristic(int(uuid, 16), frozenset(can), values.get((service, uuid)))
                    for uuid, can in characteristics.items()
                ),
            )
            for service, characteristics in table.items()
            if len(service) == _SHORT_UUID
        ),
        advertised=tuple(int(name, 16) for name in ADVERTISED if name in table),
        manufacturer_data=_makers_data(transcript),
        secure=bool(transcript.bonds),
        passkey=transcript.passkey,
        advertising_interval_ms=20,
    )


def _table(
    transcript: Transcript, values: Iterable[tuple[str, str]]
) -> dict[str, dict[str, set[Property]]]:
    """Characteristics by service, with what the session does with them, and what can be read, and what is mandatory."""
    table: dict[str, dict[str, set[Property]]] = {name: {} for name in transcript.services}
    for step in transcript.steps:
        if "characteristic" in step and not _is_vendors(step):
            known = table.setdefault(step["service"], {}).setdefault(step["characteristic"], set())
            if step["op"] in _PROPERTY:
                known.add(_PROPERTY[step["op"]])
            elif step["op"] == "cccd_write":
                known.add("notify" if step["hex"] == "0100" else "indicate")
    for service, uuid in values:
        table.setdefault(service, {}).setdefault(uuid, set()).add("read")
    for service, characteristics in MANDATORY.items():
        for uuid, properties in characteristics.items() if service in table else ():
            table[service].setdefault(uuid, set()).update(properties)
    return table


@dataclass
class Player:
    """The device's side of a session: plays what the transcript has upon each cue, once.

    A request of its control point that the transcript has not, or not again, is answered as that meter would: it holds
    `before` and the session's own records. `confirmed`: what the central confirmed; `heard`: what it wrote and subscribed
    to, in order; `ends`: why each link ended.
    """

    transcript: Transcript
    before: Sequence[bytes] = ()
    heard: list[tuple[int, bytes | None]] = field(default_factory=list[tuple[int, bytes | None]])
    confirmed: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    ends: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self._scenes = self.transcript.scenes()
        self._cues: asyncio.Queue[tuple[Step, ...]] = asyncio.Queue()
        self._link: CentralLink | None = None
        told = self.transcript.told(MEASUREMENT, CONTEXT)
        earlier = [(MEASUREMENT, frame) for frame in self.before]
        self._records = [*(one for one in earlier if one not in told), *told]
        requests = {
            cue: scene for cue, scene in self._scenes.items() if cue.uuid16 == CONTROL_POINT
        }
        asked = [scene for cue, scene in requests.items() if cue.op == "write" and cue.subscribed]
        codes = {code for scene in asked for code in _refusals(scene)}
        self._busy = codes.pop() if asked and all(map(_refusals, asked)) else None
        self._no_filter = {
            outcome
            for cue, scene in requests.items()
            if cue.data[1:2] == bytes((racp.Operator.AT_LEAST,))
            for outcome in _outcomes(scene)
            if outcome in racp.NOT_SUPPORTED
        }

    async def on_connected(self, link: CentralLink) -> None:
        """Play one scene after the other for as long as the link stands."""
        self._link, self._cues = link, asyncio.Queue()
        self._cues.put_nowait(self._scenes.pop(CONNECTED, ()))
        while (scene := await self._cues.get()) is not _GONE:
            for step in scene:
                await asyncio.sleep(PACE_S)
                await self._do(link, step)

    async def on_subscribed(self, uuid16: int) -> None:
        """A cue."""
        self.heard.append((uuid16, None))
        self._cues.put_nowait(self._scenes.pop(Cue("cccd_write", uuid16), ()))

    async def on_disconnected(self, reason: int) -> None:
        """The link ended."""
        self.ends.append(reason)
        self._cues.put_nowait(_GONE)

    async def read(self, uuid16: int) -> bytes:
        """A clock shows what it told, a scale has no features; nothing else is known."""
        if uuid16 in SCALES_FEATURES:
            return bytes(4)
        for number, data in self.transcript.told(uuid16):
            if number == CURRENT_TIME:
                return data
        raise AttRefusal(_NOTHING_TO_READ)

    async def write(self, uuid16: int, data: bytes) -> None:
        """A cue, or a refusal."""
        self.heard.append((uuid16, data))
        assert self._link is not None
        subscribed = self._link.subscribed(uuid16)
        if uuid16 != CONTROL_POINT:
            keyed = data if uuid16 in CONTROL_POINTS else b""
            self._cues.put_nowait(self._scenes.pop(Cue("write", uuid16, keyed, subscribed), ()))
            return
        scene = self._scenes.pop(Cue("write", uuid16, data, subscribed), None)
        refused = [_UNSUBSCRIBED] if not subscribed else [self._busy] if self._busy else []
        for code in _refusals(scene) if scene else refused:
            raise AttRefusal(code)
        self._cues.put_nowait(scene or tuple(self._answer(data)))

    async def _do(self, link: CentralLink, step: Step) -> None:
        match step["op"]:
            case "notify":
                await link.notify(_number(step), bytes.fromhex(step["hex"]))
            case "indicate":
                told = _number(step), bytes.fromhex(step["hex"])
                if await link.indicate(*told):
                    self.confirmed.append(told)
            case _:
                await link.hang_up()

    def _answer(self, asked: bytes) -> Iterator[Step]:
        request = racp.decode_request(asked)
        if request.op not in (racp.Op.COUNT, racp.Op.REPORT):
            yield _indicated(racp.Answer(request.op, racp.Outcome.SUCCESS))
            return
        for outcome in self._no_filter if request.bounds else ():
            yield _indicated(racp.Answer(request.op, outcome))
            return
        low = int.from_bytes(request.bounds[0], "little") if request.bounds else 0
        records = [(n, d) for n, d in self._records if int.from_bytes(d[1:3], "little") >= low]
        if request.op == racp.Op.COUNT:
            yield _indicated(racp.Counted(sum(n == MEASUREMENT for n, _ in records)))
            return
        for number, data in records:
            yield {"op": "notify", "characteristic": f"{number:04X}", "hex": data.hex()}
        outcome = racp.Outcome.SUCCESS if records else racp.Outcome.NO_RECORDS
        yield _indicated(racp.Answer(request.op, outcome))


def _indicated(told: racp.Answer | racp.Counted) -> Step:
    data = racp.encode_answer(told)
    return {"op": "indicate", "characteristic": f"{CONTROL_POINT:04X}", "hex": data.hex()}


def _number(step: Step) -> int:
    return int(step["characteristic"], 16)


def _is_vendors(step: Step) -> bool:
    """A service with a UUID in full: the virtual table has 16 bits, and no driver here speaks to one."""
    return len(step.get("service", "")) > _SHORT_UUID


def _is_the_devices(step: Step) -> bool:
    if step["op"] == "att_error":
        return _code(step) not in _WANTS_SECURITY
    return step["op"] in {"notify", "indicate"} or step.get("by") == "peripheral"


def _code(step: Step) -> int:
    return int(step["att_error"].split()[0], 16)


def _refusals(scene: Iterable[Step]) -> list[int]:
    return [_code(step) for step in scene if step["op"] == "att_error"]


def _outcomes(scene: Iterable[Step]) -> Iterator[int]:
    for step in scene:
        if step["op"] == "indicate" and isinstance(
            told := racp.decode_answer(bytes.fromhex(step["hex"])), racp.Answer
        ):
            yield told.outcome


def _information(
    transcript: Transcript, siblings: Iterable[Transcript]
) -> dict[tuple[str, str], bytes]:
    return {
        place: value
        for sibling in siblings
        if sibling.device == transcript.device
        for place, value in sibling.reads.items()
        if place[0] == DEVICE_INFORMATION
    }


def _name(transcript: Transcript) -> str:
    note = transcript.steps[0].get("note", "")
    named = re.search(r"name ([^\s;]+)", note)
    return named[1] if named else transcript.device[:20]


def _makers_data(transcript: Transcript) -> dict[int, bytes]:
    told = transcript.steps[0].get("manufacturer_data", "")
    match told.split():
        case ["company", company, data]:
            return {int(company, 16): bytes.fromhex(data)}
        case _:
            return {}
