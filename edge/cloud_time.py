"""How far the box's clock is off the cloud's, and off its own of a while ago. Judges; sets no clock and dates no reading."""

from datetime import datetime

from gateway.runtime import log
from gateway.runtime.clock import Clock, TimeBase, from_iso
from gateway.runtime.counters import Counters
from gateway.wire.box_clock import CLOCK_UNSURE_S

TOLERANCE_S = (
    30.0  # less than this is not worth a correction, which may itself be off by CLOCK_UNSURE_S
)
ROUND_S_MAX = 20.0  # an answer that took longer says too little of the time
OFF_S_MAX = 4e9  # what a header carries
OFF_DIGITS = 3

assert ROUND_S_MAX / 2 < CLOCK_UNSURE_S < TOLERANCE_S

_log = log.get("clock")


def is_like(one_s: float | None, other_s: float | None) -> bool:
    """Whether two offsets date a reading alike, as far as anybody will notice."""
    return abs((one_s or 0.0) - (other_s or 0.0)) <= TOLERANCE_S


class CloudTime:
    """What the cloud's answers said of the time. Kept in memory: each connection asks again.

    The cloud's UTC is kept as a base of its own, over this boot's steady clock. So whatever becomes of the box's wall
    clock afterwards, any row of this boot can be compared with it.
    """

    def __init__(self, clock: Clock, counters: Counters) -> None:
        """Nothing was heard yet."""
        self._clock = clock
        self._counters = counters
        self._heard: TimeBase | None = None

    def hear(self, told: str | None, asked: float) -> bool:
        """An answer came to what was asked at `asked` (monotonic), and gave this time. False: ask again, it came too late.

        An older cloud gives none; garbage is counted, and means nothing.
        """
        if told is None:
            return True
        try:
            at = from_iso(told)
        except ValueError:
            self._counters.add("clock.garbage")
            return True
        round_s = self._clock.monotonic() - asked
        if not 0 <= round_s <= ROUND_S_MAX:
            self._counters.add("clock.answer_slow")
            return False
        self._take(at, round_s)
        return True

    @property
    def told(self) -> bool:
        """Whether the cloud has said what time it is, in this boot and to this agent."""
        return self._heard is not None and self._heard.boot == self._clock.base().boot

    def off_s(self, base: TimeBase | None, *, in_doubt: bool = False) -> float | None:
        """What is to be added to times that rest on `base`; None where that is nothing, or not known.

        While the cloud has said nothing, the box's present clock is the judge of its earlier ones: it was set since.
        `in_doubt`: the box doubted that clock. What the cloud has said of it ends the doubt, also where it says that it was right.
        """
        here = self._clock.base()
        if base is None or base.boot != here.boot:
            return None
        heard = self._heard
        true = heard if heard is not None and heard.boot == here.boot else here
        off_s = round(true.anchor_s - base.anchor_s, OFF_DIGITS)
        if abs(off_s) > OFF_S_MAX:
            return None
        return off_s if abs(off_s) > TOLERANCE_S or (in_doubt and self.told) else None

    def now_off_s(self) -> float | None:
        """How far the box's clock is off the cloud's now; None while they agree, or where the cloud has not said."""
        return self.off_s(self._clock.base())

    def _take(self, at: datetime, round_s: float) -> None:
        here = self._clock.base()
        before = self.now_off_s()
        # Somewhere between asking and hearing: half of it is the uncertainty.
        ahead_s = (at - self._clock.now()).total_seconds() + round_s / 2
        self._heard = TimeBase(here.boot, here.anchor_s + ahead_s)
        off_s = self.now_off_s()
        if off_s is not None and before is None:
            self._counters.add("clock.wrong")
            _log.error("clock.wrong", off_s=off_s)
        elif off_s is None and before is not None:
            _log.info("clock.right")
