"""The oximeter's side: its memory, what its control point answers, and its stream. Pure: the one who asks brings the time."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from drivers.gatt import racp
from drivers.gatt.pulse_oximeter.codec import (
    DEVICE_STATUS,
    FROM_STORAGE,
    MEASUREMENT_STATUS,
    Continuous,
    Features,
    Number,
    Pair,
    SpotCheck,
    encode_continuous,
    encode_features,
    encode_spot_check,
)
from drivers.gatt.pulse_oximeter.meaning import PERFUSION, PULSE, SPO2
from drivers.gatt.pulse_oximeter.session import CONTINUOUS, FEATURES, SPOT
from gateway.sdk import (
    Limit,
    PeerError,
    Quantity,
    Read,
    Received,
    Refused,
    Special,
    StoredTime,
    Subscribe,
    Write,
)

MEASUREMENT_BITS: Mapping[str, int] = {name: bit for bit, name in MEASUREMENT_STATUS.items()}
DEVICE_BITS: Mapping[str, int] = {name: bit for bit, name in DEVICE_STATUS.items()}
FULLY_QUALIFIED = MEASUREMENT_BITS["fully_qualified_data"]
ONGOING = MEASUREMENT_BITS["measurement_ongoing"]
# Measurement status, device status, storage, time stamp, amplitude.
STORING = encode_features(Features(0x4F, 0xFFE0, 0xFFFF))
FINGER_OUT = encode_continuous(
    Continuous(
        Pair(Decimal(0), Decimal(0)),
        measurement=0,
        device=DEVICE_BITS["sensor_unconnected_to_user"],
    )
)
_SPECIALS: Mapping[Limit, Special] = {Limit.ABOVE: Special.ABOVE, Limit.BELOW: Special.BELOW}
_NOTHING_TO_READ = 0x0A


def spot_check(
    parts: Mapping[str, Quantity | Limit],
    time: StoredTime | None,
    *,
    marks: frozenset[str] = frozenset(),
    stored: bool = False,
) -> bytes:
    """The 0x2A5E octets of a measurement; a part that is missing is sent as NaN, an amplitude and a device status only where there is one.

    Raises ValueError for what the characteristic can't hold.
    """
    measurement = FULLY_QUALIFIED | FROM_STORAGE * stored | _bits(MEASUREMENT_BITS, marks)
    return encode_spot_check(
        SpotCheck(
            Pair(_number(parts.get(SPO2)), _number(parts.get(PULSE))),
            time,
            measurement,
            _bits(DEVICE_BITS, marks) or None,
            _number(parts[PERFUSION]) if PERFUSION in parts else None,
        )
    )


def second(spo2: int, pulse: int, perfusion: str | None = None) -> bytes:
    """One 0x2A5F notification of a finger that is in."""
    return encode_continuous(
        Continuous(
            Pair(Decimal(spo2), Decimal(pulse)),
            measurement=ONGOING,
            device=0,
            amplitude=None if perfusion is None else Decimal(perfusion),
        )
    )


def _bits(bits: Mapping[str, int], marks: frozenset[str]) -> int:
    return sum(bits[mark] for mark in marks if mark in bits)


def _number(part: Quantity | Limit | None) -> Number:
    match part:
        case None:
            return Special.NAN
        case Limit():
            return _SPECIALS[part]
        case Quantity(number):
            return number


class OximeterMemory:
    """Stored spot checks as octets, oldest first. `kept_max`: the oldest goes when it is full."""

    def __init__(self, kept_max: int) -> None:
        """Empty."""
        self._kept: deque[bytes] = deque(maxlen=kept_max)

    def __len__(self) -> int:
        """How many it holds."""
        return len(self._kept)

    def store(self, frame: bytes) -> None:
        """Remember one."""
        self._kept.append(frame)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    @property
    def frames(self) -> list[bytes]:
        """What it holds, oldest first."""
        return list(self._kept)


def answers(
    memory: OximeterMemory, asked: bytes, *, newest_first: bool = False
) -> Iterator[tuple[str, bytes]]:
    """What an oximeter sends upon a write to its control point: channel and octets, the answer last. It knows no filter."""
    try:
        request = racp.decode_request(asked)
    except PeerError:
        op = asked[0] if asked else 0
        yield _answered(op, racp.Outcome.INVALID_OPERAND)
        return
    if request.op == racp.Op.ABORT:
        yield _answered(request.op, racp.Outcome.SUCCESS)
    elif request.op not in (racp.Op.COUNT, racp.Op.REPORT, racp.Op.DELETE):
        yield _answered(request.op, racp.Outcome.OP_NOT_SUPPORTED)
    elif request.operator != racp.Operator.ALL:
        yield _answered(request.op, racp.Outcome.OPERATOR_NOT_SUPPORTED)
    elif request.op == racp.Op.COUNT:
        yield racp.CHANNEL, racp.encode_answer(racp.Counted(len(memory)))
    elif request.op == racp.Op.DELETE:
        memory.clear()
        yield _answered(request.op, racp.Outcome.SUCCESS)
    else:
        for frame in reversed(memory.frames) if newest_first else memory.frames:
            yield SPOT, frame
        outcome = racp.Outcome.SUCCESS if len(memory) else racp.Outcome.NO_RECORDS
        yield _answered(request.op, outcome)


def _answered(op: int, outcome: racp.Outcome) -> tuple[str, bytes]:
    return racp.CHANNEL, racp.encode_answer(racp.Answer(op, outcome))


class OximeterPeer:
    """An oximeter in virtual time: facts and features, its control point at once, and a stream of a sample a second."""

    def __init__(
        self,
        memory: OximeterMemory,
        values: Mapping[str, bytes],
        stream: Iterable[bytes] = (),
        *,
        newest_first: bool = False,
    ) -> None:
        """`values`: what a channel holds. `stream`: what it notifies from the subscription on."""
        self._memory, self._values = memory, {FEATURES: STORING, **values}
        self._stream, self._newest_first = stream, newest_first
        self._subscribed: set[str] = set()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Frames only on channels that are subscribed to, as over the air."""
        match command:
            case Subscribe(channel):
                self._subscribed.add(channel)
                if channel == CONTINUOUS:
                    for turn, frame in enumerate(self._stream):
                        yield Received(float(turn), CONTINUOUS, frame)
            case Read(channel) if channel in self._values:
                yield Received(0.0, channel, self._values[channel])
            case Write(racp.CHANNEL) if racp.CHANNEL not in self._subscribed:
                yield Refused(0.0, command, max(racp.UNSUBSCRIBED_CODES))
            case Write(racp.CHANNEL, data):
                for channel, octets in answers(self._memory, data, newest_first=self._newest_first):
                    if channel in self._subscribed:
                        yield Received(0.0, channel, octets)
            case _:
                yield Refused(0.0, command, _NOTHING_TO_READ)
