"""Checks over several visits: what a device may forget, and that one measurement keeps one name. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta

from drivers.testing.case import Bench, Case, Trial, Trials, fault, filled, not_exact
from drivers.testing.disk import content_of
from drivers.testing.extremes import full
from drivers.testing.visiting import Mishap

SET_BACK = timedelta(minutes=90)


def resume_is_exact(case: Case) -> Trials:
    """A link that closes anywhere: the next visits bring every measurement to the disk, and none twice."""
    for manner in case.manners:
        packets = len(filled(case, manner).visit().packets)
        for unconfirmed in (False, True):
            for number in range(int(unconfirmed), packets + 1):
                mishap = Mishap(closes_after=number, unconfirmed=unconfirmed)
                lost = " and its confirmation is lost" if unconfirmed else ""
                told = f" ({manner})" if manner else ""
                yield Trial(
                    f"the link closes after {number} packets{lost}{told}",
                    _resumed(case, manner, mishap),
                )
        if case.profile.memory is not None:
            yield _full(case, manner)


def _full(case: Case, manner: str) -> Trial:
    label = f"a memory that is full{f' ({manner})' if manner else ''}"
    bench = full(case, manner)
    if bench is None:
        return Trial(
            label,
            f"the profile says memory = {case.profile.memory}; the device's side holds fewer, so none is ever full",
        )
    return Trial(f"{label}, with {bench.specimen.remembered} records", _read_out(bench))


def _read_out(bench: Bench) -> str | None:
    """All of it, in as many visits as it takes: each may end before its deadline, and the next goes on."""
    before, now = -1, 0
    why = None
    while now > before and why is None:
        why = fault(bench.visit())
        before, now = now, bench.disk.contents.total()
    return why or not_exact(bench.disk, bench.measured)


def forget_after_stored(case: Case) -> Trials:
    """A device is made to forget only what is durable. The disk fails after any commit: nothing is lost that it kept."""
    for manner in case.manners:
        told = f" ({manner})" if manner else ""
        went = filled(case, manner).visit()
        yield Trial(f"a disk that answers{told}", _forgot(went.forgot_early) or fault(went))
        for number in range(went.commits + 1):
            bench = filled(case, manner)
            failed = bench.visit(Mishap(commits=number))
            why = _forgot(failed.forgot_early)
            bench.visit()
            if bench.keeps:
                why = why or not_exact(bench.disk, bench.measured)
            yield Trial(f"the disk fails after {number} commits{told}", why)


def repeats_keep_keys(case: Case) -> Trials:
    """The identity walk: read; add a record; read; set the clock; read; reset the battery; measure the same again; read.

    Three times: with the cursor kept, with the cursor lost after each visit, and with each record told twice, since the
    device heard no confirmation. A memory that is told in another manner (another display unit) is named alike; and so is
    one that was full, and made room for more.
    """
    for manner in case.manners:
        for name, read in _READS.items():
            bench = Bench(case, manner)
            told = f"{name}{f' ({manner})' if manner else ''}"
            for label, step in _steps(case):
                step(bench)
                yield Trial(f"{told}: {label}; read", read(bench))
        yield Trial(f"equal memories{f' ({manner})' if manner else ''}", _named_alike(case, manner))
        if (bench := full(case, manner)) is not None:
            label = "a memory that is full, and makes room for three more"
            yield Trial(f"{label}{f' ({manner})' if manner else ''}", _made_room(bench))


def _made_room(bench: Bench) -> str | None:
    """The oldest go, and all others move up: no number that rests on the place in memory survives that."""
    why = _read_out(bench)
    with suppress(ValueError):  # one that makes no room measures nothing more
        for number in range(3):
            _measure(bench, number)
    return why or _read_out(bench) or _cursor_lost(bench)


def _named_alike(case: Case, manner: str) -> str | None:
    usual, other = filled(case, dead_clock=False), filled(case, manner, dead_clock=False)
    usual.visit()
    other.visit()
    renamed = usual.disk.readings.keys() - other.disk.readings.keys()
    renamed -= usual.disk.by_arrival(usual.disk.readings)
    return (
        f"{len(renamed)} measurements have other keys than in the usual manner" if renamed else None
    )


def _kept(bench: Bench) -> str | None:
    return fault(bench.visit()) or not_exact(bench.disk, bench.measured)


def _cursor_lost(bench: Bench) -> str | None:
    bench.visit()
    bench.disk.cursor = None
    return fault(bench.visit()) or not_exact(bench.disk, bench.measured, unnamed(bench))


def _told_twice(bench: Bench) -> str | None:
    bench.visit(Mishap(unconfirmed=True))
    return fault(bench.visit()) or not_exact(bench.disk, bench.measured, unnamed(bench))


_READS: Mapping[str, Callable[[Bench], str | None]] = {
    "cursor kept": _kept,
    "cursor lost": _cursor_lost,
    "confirmations lost": _told_twice,
}


def _steps(case: Case) -> Iterator[tuple[str, Callable[[Bench], None]]]:
    yield "two records", _two
    yield "add a record", lambda bench: _measure(bench, 2)
    yield "set the clock back", _set_back
    yield "add a record", lambda bench: _measure(bench, 3)
    yield "reset the battery and measure the same value again", _reset
    yield "reset it again and measure the same value at the same time", _reset
    if case.profile.identity.ordinal:
        yield "measure the same value twice in one tick", _in_one_tick


def _measure(bench: Bench, number: int) -> None:
    bench.measure(bench.case.sample(number))


def _two(bench: Bench) -> None:
    _measure(bench, 0)
    _measure(bench, 1)


def _set_back(bench: Bench) -> None:
    bench.clock.set(bench.clock.shows() - SET_BACK)


def _reset(bench: Bench) -> None:
    bench.specimen.reset_battery()
    _measure(bench, 0)


def _in_one_tick(bench: Bench) -> None:
    bench.clock.set(bench.hours.local)
    _measure(bench, 0)
    bench.measure(bench.case.sample(0), after_s=0.0)


def _resumed(case: Case, manner: str, mishap: Mishap) -> str | None:
    bench = filled(case, manner)
    broken = bench.visit(mishap)
    bench.measure(case.sample(3))
    bench.visit()
    bench.visit()
    allowed = unnamed(bench) if mishap.unconfirmed else None
    return fault(broken) or not_exact(bench.disk, bench.measured, allowed)


def unnamed(bench: Bench) -> Counter[str]:
    """Records that carry no name of their own: told anew, they can't be known again, and the cloud marks them (plan, 6)."""
    disk = bench.disk
    keys = disk.by_arrival(disk.readings)
    return Counter(content_of(disk.readings[key].parts) for key in keys)


def _forgot(count: int) -> str | None:
    return f"{count} records were forgotten before they were stored" if count else None
