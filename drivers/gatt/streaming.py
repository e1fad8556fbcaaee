"""A stream of samples → one summary a window: what a wearable tells each second costs one commit a minute. Pure.

It may not know which service the samples come from, and repairs none: what it computes, and why, is in docs/adr/0020.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.sdk import (
    Command,
    Event,
    Fields,
    Flow,
    Flush,
    Limit,
    Opened,
    PeerError,
    Profile,
    Quantity,
    Reading,
    Received,
    Refused,
    Report,
    SetTimer,
    Subscribe,
    TimerFired,
    VisitClosed,
    wait,
)

SUMMARY = "summary"
"""The mark of a reading that no device told: it was computed of the samples of a window."""

WINDOW_S = 60.0  # where the profile says nothing
SAMPLES_MAX = 600  # in one window; a device that tells more often gets shorter ones
UNFIT_RUN_MAX = (
    5  # so many frames running that don't count: not every device says that it was taken off
)
RAW_OCTETS_MAX = 7_000  # of a window's frames: with one more, an observation still carries them
LEAVE_S = 30.0  # so long before the deadline a visit ends by itself, and a window before that it looks for a place to

_QUIET = "stream quiet"
_TICKS_A_SECOND = 100
_TICKS_MAX = 0xFFFF


Shown = Decimal | Limit
"""What a frame shows of one value: a number, or that it is below or above all that the device can show."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame. `values`: what it shows by name, where it is fit to count; else `unfit` says in a word why it isn't.

    `worn`: False where the sensor says that it is on nobody: who wears it next may be another person.
    `marks` and `context` hold for the moment of the sample.
    """

    values: Mapping[str, Sequence[Shown]] = field(default_factory=dict[str, Sequence[Shown]])
    unfit: str | None = None
    worn: bool = True
    marks: frozenset[str] = frozenset()
    context: Mapping[str, str] = field(default_factory=dict[str, str])


Values = Mapping[str, Sequence[Shown]]


@dataclass(frozen=True, slots=True)
class Summing:
    """How a service's windows are summed up: the kind, its leading value, the parts that the values make, and by what statistic."""

    kind: str
    leading: str
    statistic: str
    parts: Callable[[Values], Mapping[str, Quantity | Limit]]
    context: Callable[[Values], Mapping[str, str]] = lambda _values: {}


def spread(name: str, shown: Sequence[Shown], unit: str) -> Iterator[tuple[str, Quantity | Limit]]:
    """Median (of an even number the lower of the two in the middle), lowest and highest: each is one that was shown."""
    if shown:
        median = sorted(shown, key=_rank)[(len(shown) - 1) // 2]
        yield name, _part(median, unit)
        yield f"{name}_lowest", _part(min(shown, key=_rank), unit)
        yield f"{name}_highest", _part(max(shown, key=_rank), unit)


def numbers(shown: Sequence[Shown]) -> list[Decimal]:
    """Those with which one can reckon."""
    return [one for one in shown if isinstance(one, Decimal)]


def _part(shown: Shown, unit: str) -> Quantity | Limit:
    return shown if isinstance(shown, Limit) else Quantity(shown, unit)


def _rank(shown: Shown) -> tuple[int, Decimal]:
    match shown:
        case Limit.BELOW:
            return -1, Decimal()
        case Limit.ABOVE:
            return 1, Decimal()
        case number:
            return 0, number


@dataclass(frozen=True, slots=True)
class Kept:
    """A frame of a window, as evidence: how long after the window's first it came, in hundredths of a second."""

    ticks: int
    frame: bytes


def packed(frames: Iterable[Kept]) -> bytes:
    """Frames one behind the other: ticks u16, length u16, octets; little endian."""
    return b"".join(
        one.ticks.to_bytes(2, "little") + len(one.frame).to_bytes(2, "little") + one.frame
        for one in frames
    )


def unpacked(raw: bytes) -> Sequence[Kept]:
    """The frames of a summary. Raises PeerError where it is cut."""
    fields, frames = Fields(raw), list[Kept]()
    while fields.rest:
        ticks, length = fields.u16("ticks"), fields.u16("length")
        frames.append(Kept(ticks, fields.take(length, "frame")))
    return frames


class _Window:
    """What came since its first fit sample."""

    def __init__(self, began: float) -> None:
        self.began = self.last = began
        self.frames: list[Kept] = []
        self.octets = self.valid = self.unfit_run = 0
        self.values: defaultdict[str, list[Shown]] = defaultdict(list)
        self.counted: Counter[str] = Counter()
        self.marks: set[str] = set()
        self.context: dict[str, str] = {}
        self._seconds: set[int] = set()
        self._lowest: tuple[Shown, int] | None = None
        self._highest: tuple[Shown, int] | None = None

    def add(self, at: float, frame: bytes, sample: Sample, leading: str) -> None:
        """Take a frame."""
        self.last = at
        ticks = min(_TICKS_MAX, max(0, round((at - self.began) * _TICKS_A_SECOND)))
        self.frames.append(Kept(ticks, frame))
        self.octets += len(frame)
        if sample.unfit is not None:
            self.counted[sample.unfit] += 1
            self.unfit_run += 1
            return
        self.unfit_run = 0
        self.valid += 1
        self._seconds.add(int(at - self.began))
        self.counted.update(sample.marks)
        self.marks |= sample.marks
        self.context.update(sample.context)
        for name, shown in sample.values.items():
            self.values[name].extend(shown)
        for shown in sample.values.get(leading, ()):
            self._extreme(shown, len(self.frames) - 1)

    def _extreme(self, shown: Shown, place: int) -> None:
        if self._lowest is None or _rank(shown) < _rank(self._lowest[0]):
            self._lowest = (shown, place)
        if self._highest is None or _rank(shown) > _rank(self._highest[0]):
            self._highest = (shown, place)

    @property
    def evidence(self) -> Sequence[Kept]:
        """The frames that showed the lowest and the highest leading value."""
        ends = {end[1] for end in (self._lowest, self._highest) if end is not None}
        return [self.frames[place] for place in sorted(ends)]

    def told(self, statistic: str) -> Iterator[tuple[str, str]]:
        """Of what it was computed. Entries that begin with `window_` hang on when samples arrived, and on how many did."""
        yield "window_s", f"{max(0.0, self.last - self.began):.1f}"
        yield "window_samples", str(len(self.frames))
        yield "window_valid", str(self.valid)
        yield "window_valid_s", str(len(self._seconds))
        yield "window_statistic", statistic
        yield from self.context.items()
        for name, times in sorted(self.counted.items()):
            yield f"window_{name}", str(times)


Hearing = Generator[Command | None, Event | None, bool]


class Stream:
    """Gathers samples into windows, and tells of each in a commit of its own.

    A window begins with a fit sample. It ends after `window_s`, where the sensor is on nobody any more, or may be (UNFIT_RUN_MAX), where
    it is full, and with the visit. One without a fit sample is none.
    """

    def __init__(self, summing: Summing, profile: Profile, *, raw: bool) -> None:
        """Nothing has come. `raw`: keep every frame of a window, not only those of the lowest and the highest value."""
        self._summing, self._raw = summing, raw
        self._window_s = _window_s(profile)
        self._window: _Window | None = None
        self._fault: PeerError | None = None
        self._understood = False

    @property
    def is_between(self) -> bool:
        """Whether no window is open: a visit that ends now cuts none."""
        return self._window is None

    def hear(self, event: Received, decode: Callable[[bytes], Sample]) -> Hearing:
        """Take a frame. Whether it was a sample that counts."""
        try:
            sample = decode(event.data)
            self._understood = True
        except PeerError as fault:
            # One frame that can't be read costs no other.
            self._fault = self._fault or PeerError(f"{event.channel} {event.data.hex()}: {fault}")
            sample = Sample(unfit="unreadable")
        if not sample.worn:
            yield from self.tell(event.at)
            return False
        if self._window is None and sample.unfit is None:
            self._window = _Window(event.at)
        if self._window is not None:
            self._window.add(event.at, event.data, sample, self._summing.leading)
            yield from self._end_of(self._window, event.at)
        return sample.unfit is None

    def _end_of(self, window: _Window, at: float) -> Iterator[Command]:
        full = len(window.frames) >= SAMPLES_MAX or window.octets + 4 * len(window.frames) > (
            RAW_OCTETS_MAX
        )
        off = window.unfit_run >= UNFIT_RUN_MAX
        if full or off or at - window.began >= self._window_s:
            yield from self.tell(at)

    def tell(self, at: float) -> Iterator[Command]:
        """The window that is open ends now: to disk with it."""
        for reading in self._ended(at):
            yield Report(reading)
            yield Flush()

    def tell_at_last(self, at: float) -> Iterator[Command]:
        """The same where the link is gone."""
        for reading in self._ended(at):
            yield Report(reading)

    def complain(self) -> None:
        """Raises PeerError where nothing at all could be read."""
        if self._fault is not None and not self._understood:
            raise self._fault

    def _ended(self, at: float) -> Iterator[Reading]:
        window, self._window = self._window, None
        if window is None:
            return
        values = window.values
        yield Reading(
            kind=self._summing.kind,
            parts=self._summing.parts(values),
            context={
                **dict(window.told(self._summing.statistic)),
                **self._summing.context(values),
            },
            marks=frozenset({SUMMARY, *window.marks}),
            raw=packed(window.frames if self._raw else window.evidence),
            pushed=True,
            within_s=max(0.0, at - window.began),
        )


Take = Callable[[Received], Hearing]


def follow(stream: Stream, heard: Mapping[str, Take], profile: Profile, opened: Opened) -> Flow:
    """Hear these channels until nothing that counts has come for the profile's `quiet_s`, or for as long as a turn lasts.

    What waits in a window is told at the end, also where the link went. Raises PeerError where the device refuses all channels,
    and where nothing that it told could be read.
    """
    told, at = set(heard), opened.at
    leave_at = opened.at + profile.deadline_s - LEAVE_S - _window_s(profile)
    yield SetTimer(_QUIET, profile.quiet_s)
    try:
        while at < leave_at or not stream.is_between:
            match event := (yield from wait()):
                case Received(at, channel, _) if channel in heard:
                    if (yield from heard[channel](event)):
                        yield SetTimer(_QUIET, profile.quiet_s)
                case Refused(at, Subscribe(channel), code) if channel in told:
                    told.discard(channel)
                    if not told:
                        raise PeerError(f"refuses to tell of {channel} (ATT error 0x{code:02X})")
                case TimerFired(at, timer) if timer == _QUIET:
                    break
                case _:
                    at = event.at
    except VisitClosed as closed:
        yield from stream.tell_at_last(closed.at)
        raise
    yield from stream.tell(at)
    stream.complain()


def _window_s(profile: Profile) -> float:
    return profile.stream.window_s if profile.stream else WINDOW_S
