"""A device whose clock is set, steps and drifts, the box that visits it, and the true time of all it measures. No test here."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from edge.clock_history import ClockMemory, ClockPair, decode, emptied, encode, met
from edge.timekeeping import FRESH_S, Arrival, moment_of, remembered
from gateway.contract.profile import ClockRule, IdentityRule, Profile
from gateway.contract.session import Reading
from gateway.model.identity import Scheme
from gateway.model.observation import Moment
from gateway.runtime.clock import TimeBase, from_iso

DAY_S = 86_400.0
NOON_S = datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()
UTC_ZONE = ZoneInfo("UTC")
RESET = datetime(2010, 1, 1)
CUFF = Profile(
    id="any/cuff",
    maker="any",
    model="cuff",
    kind="blood_pressure",
    driver="gatt.blood_pressure",
    support="none",
    link="ble",
    identity=IdentityRule(Scheme.CLOCK, (RESET,), 366 * 86_400),
    clock=ClockRule(settable=True, resolution_s=1.0, drift_s_per_day=2.0, trust_s=600.0),
    deletes_on_confirm=True,
)
UNSET = replace(CUFF, clock=replace(CUFF.clock, settable=False))
METER = replace(UNSET, deletes_on_confirm=False)
# As far apart as two visits' words of one clock can be, and some more: such a step can't be told from none, or from ours.
ALIKE_S = 60.0
DRIFTED_S = 300.0  # more than any clock here drifts


def base(box_s: float, steady_s: float, boot: str = "") -> TimeBase:
    """What a box's clock rests on that shows `box_s`, so long after it was switched on."""
    return TimeBase(boot, box_s - steady_s)


def naive(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)


@dataclass
class World:
    """One device, one box, and what is true. Time goes on in seconds of UTC; the box's clock is right."""

    profile: Profile
    ahead_s: float = 0.0
    drift: float = 0.0  # seconds a day
    now_s: float = NOON_S
    set_at_s: float = NOON_S
    untold: list[tuple[float, datetime]] = field(default_factory=list)
    kept: str | None = None
    told: list[tuple[float, Moment]] = field(default_factory=list)
    current: set[float] = field(default_factory=set)  # measured since the clock was last set
    came_s: dict[float, float] = field(default_factory=dict[float, float])
    # How far ahead its clock was, in turn, since it last told all; and what another of these than the one that stored it reads
    # as fresh.
    clocks: list[float] = field(default_factory=list[float])
    unsettled: set[float] = field(default_factory=set[float])

    @property
    def ahead_now_s(self) -> float:
        return self.ahead_s + self.drift * (self.now_s - self.set_at_s) / DAY_S

    def shows(self) -> datetime:
        return naive(self.now_s + self.ahead_now_s).replace(microsecond=0)

    def measure(self) -> None:
        self.untold.append((self.now_s, self.shows()))

    def __post_init__(self) -> None:
        self.clocks.append(self.ahead_s)

    def set_to(self, ahead_s: float) -> None:
        self.ahead_s, self.set_at_s = ahead_s, self.now_s
        self.clocks.append(ahead_s)

    def two_clocks(self, true_s: float, raw: datetime) -> bool:
        shown_s = (raw - naive(0)).total_seconds()
        others = [ahead_s for ahead_s in self.clocks if abs(shown_s - true_s - ahead_s) > DRIFTED_S]
        return any(self.now_s - (shown_s - ahead_s) <= FRESH_S + DRIFTED_S for ahead_s in others)

    def reset(self) -> None:
        self.set_to((RESET - naive(self.now_s)).total_seconds())

    def memory(self) -> ClockMemory:
        return decode(self.kept)

    def visit(self, *, latency_s: float = 0.5, written: bool = True, tells: int | None = None):
        """`tells`: so many records, then the visit dies; None: all, and it ends as it should."""
        began_s, set_at_s = self.now_s, self.set_at_s
        before, _ = met(self.memory(), began_s, base(began_s, began_s))
        self.now_s += 1.0
        shown = self.shows()
        self.now_s += latency_s
        pair = ClockPair(self.now_s, shown)
        after = remembered(before, pair, self.profile, UTC_ZONE)
        self.kept = encode(after)
        if self.profile.clock.settable and written:
            self.now_s += 0.3
            self.set_to(-(self.now_s % 1.0))
        count = len(self.untold) if tells is None else tells
        told, rest = self.untold[:count], self.untold[count:]
        self.current |= {true_s for true_s, _ in told if true_s >= set_at_s}
        for true_s, raw in told:
            self.now_s += 0.1
            arrival = Arrival(datetime.fromtimestamp(self.now_s, UTC), UTC_ZONE)
            reading = Reading("blood_pressure", {}, raw, pushed=self.profile.deletes_on_confirm)
            moment = moment_of(reading, self.profile, arrival, pair, before)
            self.told.append((true_s, moment))
            self.came_s[true_s] = self.now_s
            if self.two_clocks(true_s, raw):
                self.unsettled.add(true_s)
        self.untold = rest
        self.now_s += 5.0
        if tells is None:
            self.kept = encode(emptied(after, began_s))
            self.clocks = [self.ahead_now_s]


def covers(moment: Moment, true_s: float) -> bool:
    at_s = from_iso(moment.utc).timestamp()
    # Times are told in whole milliseconds.
    early = moment.early_s is None or at_s - moment.early_s - 0.002 <= true_s
    return early and true_s <= at_s + moment.late_s + 0.002


def off_s(moment: Moment, true_s: float) -> float:
    return abs(from_iso(moment.utc).timestamp() - true_s)


def is_told_fresh(world: World, true_s: float, moment: Moment) -> bool:
    return off_s(moment, world.came_s[true_s]) <= FRESH_S


@dataclass
class Life:
    """Plays a history, and leaves out what no box could see through: see `edge.clock_history`."""

    world: World
    seen: bool = False  # by a visit
    stepped: bool = False  # since a visit saw it
    pending_s: float | None = None  # the distance that our write would have replaced, or not

    def play(self, acts: Sequence[tuple[float, str, int]]) -> None:
        for gap_s, act, number in acts:
            self.world.now_s += gap_s
            match act:
                case "measure":
                    self.world.measure()
                case "step":
                    self.step(float(number))
                case "right":
                    self.step(0.4 - self.world.ahead_now_s)
                case "reset" if self.seen and not self.stepped:
                    self.world.reset()
                case "died early":
                    self.visit(written=False, tells=0)
                case "died":
                    self.visit(tells=number % 3)
                case "visit":
                    self.visit()
                case _:
                    pass

    def step(self, by_s: float) -> None:
        to_s = self.world.ahead_now_s + by_s
        coincides = self.pending_s is not None and (
            abs(to_s) <= ALIKE_S or abs(to_s - self.pending_s) <= ALIKE_S
        )
        if not self.seen or self.stepped or coincides:
            return
        self.world.set_to(to_s)
        self.stepped = True

    def visit(self, *, written: bool = True, tells: int | None = None) -> None:
        settable = self.world.profile.clock.settable
        self.pending_s = self.world.ahead_now_s if settable else None
        self.world.visit(written=written, tells=tells)
        self.seen, self.stepped = True, False
