"""What a device's clock did from visit to visit: stretches in which it ran on undisturbed. Pure; dates no reading.

A record that was stored before the clock was set, by us or by a person, must be corrected by the distance that the clock
had then. So that distance is kept from visit to visit, with the time in which it can have held. Between two visits one step
by a person is allowed for; of two the first leaves no trace in any visit. Nor does one that brings the clock to where our
own write, which did not come through, would have brought it; on a device that let a write pass by before, that is allowed for.
So is one that undoes our write, as another box with a wrong clock does at each of its visits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from gateway.contract.profile import ClockRule
from gateway.runtime.clock import TimeBase

DAY_S = 86_400.0
LATENCY_S = 2.0  # from the device's looking at its clock to the box's hearing of it, where it was not measured
WRITTEN_WITHIN_S = 10.0  # from reading the device's clock to its having been set, in one visit
# The box's wall clock may be moved by so much between two visits and is still taken for the same clock. Also the margin of
# what is said of one visit's moments in another.
BOX_STEP_S = 5.0
# A device that hung up after telling, and is there again before anybody can have measured anew, had not told all.
AGAIN_S = 45.0
STRETCHES_MAX = 8  # of one device; of more, two become one that is as unsure as both


@dataclass(frozen=True, slots=True)
class ClockPair:
    """The device's clock showed `shown` (naive) when the box's stood at `box_s` (POSIX), at most `latency_s` later."""

    box_s: float
    shown: datetime
    latency_s: float = LATENCY_S


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which the device's clock ran on undisturbed, as far as visits saw it. Moments are the box's POSIX seconds.

    `ahead_s`: the device's clock minus UTC when it was last seen, give or take `unsure_s`; `low_s` and `high_s`: the least
    and the most of it that was seen from `base_s` on, when the device had last told all: a step that is small enough to be
    taken for drift lies between them, or within the drift since then. It began after `since_s` (None: unknown), was first and last
    seen at `first_s` and `last_s`, and ended before `until_s` (None: not known to have ended). `written`: the agent was
    about to set the clock so, and no visit has seen yet whether it did. `ours_s`: by then our write had ended it, as far as
    anything shows: the visit went on to its end, and the device was not seen to run on as before.
    """

    ahead_s: float
    low_s: float
    high_s: float
    unsure_s: float
    base_s: float
    since_s: float | None
    first_s: float
    last_s: float
    until_s: float | None = None
    written: bool = False
    ours_s: float | None = None


class HangUp(msgspec.Struct, frozen=True):
    """A visit that the device ended by itself after telling: it had told all, unless it comes again at once."""

    began_s: float
    ended_s: float


class ClockMemory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of one device's clock between visits.

    `stretches`: oldest first; the last is the one that runs, or the one that we were about to write, after the one that
    ran. `emptied_s`: what the device has yet to tell was measured after this; None: nothing says so. `box_s`, `steady_s`:
    the box's wall clock and the one that never goes back, at one moment of its boot `boot`. `loose`: one of them was moved
    since then by nobody knows how much, and moments of earlier visits say nothing any more; `back_s`: by at least so much back.
    `wrote`: the visit that was about to set the clock went on to its end. `heedless`: the device once went on as before after
    it was to be set; `deaf`: also after a visit that did set it. The one may be a link that was lost in between. `latest_s`: the latest
    that the box's clock has shown at a visit, unless it was set back since; where the cloud had said the time, what that was then.
    """

    stretches: tuple[Stretch, ...] = ()
    emptied_s: float | None = None
    hang_up: HangUp | None = None
    box_s: float | None = None
    steady_s: float = 0.0
    boot: str = ""
    loose: bool = False
    back_s: float | None = None
    wrote: bool = False
    heedless: bool = False
    deaf: bool = False
    latest_s: float | None = None


NOTHING = ClockMemory()

_decode = msgspec.json.Decoder(ClockMemory).decode


def encode(memory: ClockMemory) -> str:
    """As it is kept on disk."""
    return msgspec.json.encode(memory).decode()


def decode(kept: str | None) -> ClockMemory:
    """What was kept; what can't be read is forgotten, and the next visit is like a first one."""
    try:
        return _decode(kept) if kept is not None else NOTHING
    except msgspec.DecodeError:
        return NOTHING


def met(memory: ClockMemory, box_s: float, base: TimeBase) -> tuple[ClockMemory, bool]:
    """The memory as a new visit may use it, and whether the box's clock went back since the last one.

    `base`: what the box's clock rests on. Within one boot a step of it is known exactly, and the memory moves along.
    """
    steady_s = box_s - base.anchor_s
    latest_s = box_s if memory.latest_s is None else max(box_s, memory.latest_s)
    here = replace(memory, box_s=box_s, steady_s=steady_s, boot=base.boot, latest_s=latest_s)
    if memory.box_s is None:
        return _settled(here, box_s), False
    passed_s = box_s - memory.box_s
    step_s = passed_s - (steady_s - memory.steady_s)
    back = passed_s < -BOX_STEP_S
    if base.boot and base.boot == memory.boot:
        if step_s < -BOX_STEP_S:
            here = replace(here, latest_s=box_s)  # who set it back knew why
        return _settled(_moved(here, step_s), box_s), back
    # The steady clock begins anew when the box does; then nothing says by how much the wall clock was moved.
    if abs(step_s) <= BOX_STEP_S:
        return _settled(here, box_s), False
    loose = _loosened(replace(here, hang_up=None))
    return replace(loose, back_s=-passed_s if back else None), back


def is_behind(memory: ClockMemory) -> bool:
    """Whether the box's clock, as it was met, shows an earlier time than it once did: it is wrong by that and more."""
    if memory.box_s is None or memory.latest_s is None:
        return False
    return memory.box_s < memory.latest_s - BOX_STEP_S


def seen(
    memory: ClockMemory, pair: ClockPair, rule: ClockRule, set_to_s: float | None
) -> ClockMemory:
    """The memory with what this visit's pair shows. `set_to_s`: how far ahead of UTC the agent is about to set the clock."""
    now = _read(pair, rule)
    if memory.back_s is not None:
        memory = _followed(memory, now, memory.back_s)
    ended, running = _carried_on(memory, now, rule)
    # Whatever else ran has ended by now, since now another is seen.
    ended = [replace(was, until_s=now.last_s) if was.until_s is None else was for was in ended]
    stretches = (*_bounded(ended, STRETCHES_MAX - 1), running)
    if set_to_s is not None:
        stretches = (*stretches, _written(pair, rule, set_to_s))
    passed_by = _is_passed_by(memory.stretches, now, rule)
    return replace(
        memory,
        stretches=stretches,
        loose=False,
        back_s=None,
        wrote=False,
        heedless=memory.heedless or passed_by,
        deaf=memory.deaf or (passed_by and memory.wrote),
    )


def emptied(memory: ClockMemory, began_s: float) -> ClockMemory:
    """The device told all that it had when the visit began at `began_s`: nothing older is to come."""
    kept = [
        was
        if was.until_s is not None
        else replace(was, low_s=was.ahead_s, high_s=was.ahead_s, base_s=was.last_s)
        for was in memory.stretches
        if was.until_s is None or was.until_s >= began_s - BOX_STEP_S
    ]
    wrote = memory.wrote or (bool(kept) and kept[-1].written)
    return replace(memory, stretches=tuple(kept), emptied_s=began_s, wrote=wrote)


def _read(pair: ClockPair, rule: ClockRule) -> Stretch:
    box = datetime.fromtimestamp(pair.box_s, UTC).replace(tzinfo=None)
    ahead_s = (pair.shown - box).total_seconds()
    # Both times are cut to the clock's resolution; `shown` was true up to the latency ago.
    unsure_s = rule.resolution_s + pair.latency_s
    return _stretch(ahead_s, unsure_s, pair.box_s, None)


def _written(pair: ClockPair, rule: ClockRule, set_to_s: float) -> Stretch:
    to_be = _stretch(set_to_s, rule.resolution_s + LATENCY_S, pair.box_s, pair.box_s)
    return replace(to_be, written=True)


def _stretch(ahead_s: float, unsure_s: float, at_s: float, since_s: float | None) -> Stretch:
    return Stretch(
        ahead_s=ahead_s,
        low_s=ahead_s,
        high_s=ahead_s,
        unsure_s=unsure_s,
        base_s=at_s,
        since_s=since_s,
        first_s=at_s,
        last_s=at_s,
    )


def _carried_on(
    memory: ClockMemory, now: Stretch, rule: ClockRule
) -> tuple[Sequence[Stretch], Stretch]:
    """What has ended, and what runs now."""
    if not memory.stretches:
        return (), now
    *ended, last = memory.stretches
    stepped_after_s = None if memory.loose else last.last_s
    if last.written:
        ran = ended.pop()
        set_s = last.first_s + WRITTEN_WITHIN_S
        if memory.wrote and not (memory.loose or memory.deaf):
            ran = replace(ran, ours_s=set_s)
        if _agree(last, now, rule):
            unsure = memory.loose or memory.heedless
            ended.append(replace(ran, until_s=None if unsure else set_s))
            return ended, _longer(last, now)
        if not _is_passed_by(memory.stretches, now, rule):
            # Set by a person since; and whether ours had come through before, nobody knows.
            ended += (ran, replace(last, written=False))
            return ended, replace(now, since_s=stepped_after_s)
        if not memory.deaf:
            # It may have come through, also where the visit broke off later, and another box have undone it.
            ended.append(last)
        elif memory.wrote:
            ended.append(replace(last, ours_s=last.first_s))  # of a deaf device hardly
        last = replace(ran, ours_s=None)
    if _agree(last, now, rule):
        return ended, _longer(last, now)
    return [*ended, last], replace(now, since_s=stepped_after_s)


def _is_passed_by(stretches: Sequence[Stretch], now: Stretch, rule: ClockRule) -> bool:
    """What we were about to write did not come through: what ran before still runs."""
    if not (stretches and stretches[-1].written):
        return False
    *_, ran, to_be = stretches
    return not _agree(to_be, now, rule) and _agree(ran, now, rule)


def _agree(one: Stretch, other: Stretch, rule: ClockRule) -> bool:
    drifted_s = rule.drift_s_per_day * abs(one.last_s - other.last_s) / DAY_S
    return abs(one.ahead_s - other.ahead_s) <= one.unsure_s + other.unsure_s + drifted_s


def _longer(was: Stretch, now: Stretch) -> Stretch:
    return replace(
        now,
        low_s=min(was.low_s, now.low_s),
        high_s=max(was.high_s, now.high_s),
        base_s=was.base_s,
        since_s=was.since_s,
        first_s=was.first_s,
    )


def _bounded(ended: Sequence[Stretch], most: int) -> Sequence[Stretch]:
    if len(ended) <= most:
        return ended
    # Neighbours that differ least: so little is lost.
    at = min(range(len(ended) - 1), key=lambda n: abs(ended[n + 1].ahead_s - ended[n].ahead_s))
    one, other = ended[at : at + 2]
    both = replace(
        _longer(one, other),
        unsure_s=max(one.unsure_s, other.unsure_s),
        until_s=other.until_s,
        written=one.written and other.written,
    )
    return _bounded((*ended[:at], both, *ended[at + 2 :]), most)


def _settled(memory: ClockMemory, box_s: float) -> ClockMemory:
    """A device that hung up after telling, and was not back at once, had told all."""
    hang_up = memory.hang_up
    memory = replace(memory, hang_up=None)
    if hang_up is not None and box_s - hang_up.ended_s >= AGAIN_S:
        return emptied(memory, hang_up.began_s)
    return memory


def _moved(memory: ClockMemory, step_s: float) -> ClockMemory:
    """What it says by a clock of the box that shows so much more."""
    hang_up, emptied_s = memory.hang_up, memory.emptied_s
    return replace(
        memory,
        stretches=tuple(_stretch_moved(was, step_s) for was in memory.stretches),
        emptied_s=None if emptied_s is None else emptied_s + step_s,
        hang_up=hang_up and HangUp(hang_up.began_s + step_s, hang_up.ended_s + step_s),
    )


def _stretch_moved(was: Stretch, step_s: float) -> Stretch:
    return replace(
        was,
        ahead_s=was.ahead_s - step_s,
        low_s=was.low_s - step_s,
        high_s=was.high_s - step_s,
        base_s=was.base_s + step_s,
        since_s=None if was.since_s is None else was.since_s + step_s,
        first_s=was.first_s + step_s,
        last_s=was.last_s + step_s,
        until_s=None if was.until_s is None else was.until_s + step_s,
        ours_s=None if was.ours_s is None else was.ours_s + step_s,
    )


def _followed(memory: ClockMemory, now: Stretch, back_s: float) -> ClockMemory:
    """The box's clock went back, by `back_s` or more, and the device's lies ahead by as much more: that one ran on undisturbed."""
    if not memory.stretches:
        return memory
    step_s = memory.stretches[-1].ahead_s - now.ahead_s
    return _moved(memory, step_s) if step_s <= BOX_STEP_S - back_s else memory


def _loosened(memory: ClockMemory) -> ClockMemory:
    free = [replace(was, since_s=None, until_s=None, ours_s=None) for was in memory.stretches]
    return replace(memory, stretches=tuple(free), emptied_s=None, loose=True)
