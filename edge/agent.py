"""The agent's composition root: from settings to running tasks, and a clean end. Only here are concrete parts put together."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from random import Random

from device_profiles.loader import installed
from edge import keys, running, watchdog
from edge.alone import visiting
from edge.binding import ADVERT, BLE, LINE, Binding, Drivers, bind
from edge.ending import when_told
from edge.filing import Box, standing_at
from edge.links.ble_radio import BleRadio, Heard
from edge.links.serial import open_serial
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import Recovery
from edge.overhear import Ear, overhear
from edge.plugins import allowed_profiles
from edge.publish import Publisher
from edge.quarantine import Quarantine
from edge.radio import Radio
from edge.scan import Bell, Bells, Visited, attend, poll
from edge.settings import EdgeSettings
from edge.tape import Shelf
from edge.turns import watch
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.runtime import log
from gateway.runtime.clock import Clock
from gateway.runtime.counters import Counters
from gateway.runtime.errors import ConfigError, StoreError
from gateway.wire.topics import Branch

DISTRIBUTION = "vitalgate"
HEARTBEAT_S = 1.0
PRIVATE = 0o077  # files of an agent are its user's alone
WRITABLE_BY_OTHERS = 0o022

_log = log.get("agent")


@dataclass(frozen=True, slots=True)
class Agent:
    """The parts of one running agent."""

    settings: EdgeSettings
    box: Box
    units: tuple[Unit, ...]
    radio: Radio | None
    bells: dict[str, Bell]
    ears: dict[str, Ear]
    publisher: Publisher
    rng: Random
    turns: Windows = field(default_factory=Windows)


async def run(
    settings: EdgeSettings,
    where: Path,
    clock: Clock,
    stop: asyncio.Event,
    record: Path | None = None,
) -> None:
    """Run an agent until `stop` is set. `where` is the settings file, for messages; `record` a folder for captures of all visits.

    Raises ConfigError, and StoreError where another agent has the data folder.
    """
    async with _put_together(settings, where, clock, record) as agent:
        _log.info("agent.started", agent=settings.agent, devices=len(agent.units))
        async with _plainly(), asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in _work(agent)]
            watchdog.tell(watchdog.READY)
            await stop.wait()
            watchdog.tell(watchdog.STOPPING)
            # Each visit tells and persists what has arrived before its task ends (edge/drive.py).
            for task in tasks:
                task.cancel()
        try:
            running.write(settings.data_dir, running.RunningNote(at=clock.now(), ended=True))
        except OSError as fault:
            _log.warning("agent.no_last_note", why=str(fault))
    _log.info("agent.stopped")


async def run_until_told(
    settings: EdgeSettings, where: Path, clock: Clock, record: Path | None = None
) -> None:
    """Run until SIGTERM or SIGINT; the process ends END_S_MAX after it at the latest. Raises what `run` raises."""
    stop = asyncio.Event()
    when_told(stop)
    await run(settings, where, clock, stop, record)


@asynccontextmanager
async def _plainly() -> AsyncGenerator[None]:
    """Let what an operator must mend come out as itself, not in a group: one sentence is enough."""
    try:
        yield
    except ExceptionGroup as group:
        first = group.exceptions[0]
        if isinstance(first, ConfigError | StoreError):
            raise first from group
        raise


@asynccontextmanager
async def _put_together(
    settings: EdgeSettings, where: Path, clock: Clock, record: Path | None
) -> AsyncGenerator[Agent]:
    os.umask(PRIVATE)
    _prepare(settings.data_dir)
    key = keys.tenant_key(settings.data_dir, settings.tenant_key_file)
    file = settings.data_dir / running.OUTBOX_FILE
    async with watchdog.starting():
        outbox = await AsyncOutbox.open(file, settings.agent, clock)
    try:
        await outbox.keep_to_key(keys.mark_of(key))
        quarantine = Quarantine.open(settings.data_dir, clock.base().boot)
        drivers = Drivers.installed(quarantine, settings.plugins)
        offer = allowed_profiles(installed(), settings.plugins)
        bindings = bind(settings, str(where), offer, drivers)
        counters = Counters()
        branch = Branch(settings.tenant, settings.agent)
        publisher = Publisher(
            outbox, settings.mqtt, branch, clock, counters, version=version(DISTRIBUTION)
        )
        box = Box(
            agent=settings.agent,
            data_dir=settings.data_dir,
            tenant_key=key,
            zone=settings.zone_info(),
            clock=clock,
            outbox=outbox,
            windows=Windows(),
            counters=counters,
            quarantine=quarantine,
            unread=UnreadFrames(settings.data_dir),
            wake=publisher.wake,
            cloud_time=publisher.cloud_time,
            shelf=Shelf(record, clock, version(DISTRIBUTION)) if record else None,
        )
        yield _agent(settings, box, bindings, publisher)
    finally:
        await outbox.close()


def _agent(
    settings: EdgeSettings, box: Box, bindings: tuple[Binding, ...], publisher: Publisher
) -> Agent:
    rng = Random()  # noqa: S311 jitter, not secrets
    bells = {b.place: Bell(box.clock) for b in bindings if b.link == BLE}
    steady = box.clock.monotonic
    heard = [b for b in bindings if b.link == ADVERT]
    ears = {b.place: Ear(b.place, b.profile.advertised, steady) for b in heard}
    radio = None
    if bells or ears:
        adapter = BleRadio(settings.radio.name, settings.radio.address)
        radio = Radio(adapter, Bells({**bells, **ears}).hear, box.clock, box.counters, rng)
    units = tuple(Unit(box, binding) for binding in bindings)
    return Agent(settings, box, units, radio, bells, ears, publisher, rng)


def _work(agent: Agent) -> list[Coroutine[object, None, None]]:
    work: list[Coroutine[object, None, None]] = [
        agent.publisher.run(),
        _heartbeat(agent),
        watch(agent.turns, agent.box.clock.monotonic),
    ]
    if agent.radio is not None:
        work.append(agent.radio.run())
    for unit in agent.units:
        if agent.radio is not None and unit.binding.link == BLE:
            bell = agent.bells[unit.binding.place]
            visit = _by_radio(unit, agent.radio, agent.box.data_dir)
            streams = unit.binding.profile.stream is not None
            turns = agent.radio.stream_turns if streams else agent.radio.turns
            work.append(attend(bell, visit, turns, agent.box.clock, agent.rng))
        elif unit.binding.link == ADVERT:
            ear = agent.ears[unit.binding.place]
            work.append(overhear(ear, _by_ear(unit, ear), agent.rng))
        else:
            work.append(poll(_by_port(unit), unit.binding.every_s, agent.rng))
    return work


def _by_radio(
    unit: Unit, radio: Radio, data_dir: Path
) -> Callable[[Heard], Awaitable[Visited | None]]:
    channels = unit.binding.profile.channels

    async def visit(heard: Heard) -> Visited | None:
        standing = standing_at(unit.binding, lasting=heard.lasting)
        with visiting(data_dir, heard.address) as mine:
            if not mine:
                return None
            return await unit.visit(lambda now: radio.connect(heard, channels, now), standing)

    return visit


def _by_ear(unit: Unit, ear: Ear) -> Callable[[], Awaitable[Visited]]:
    def visit() -> Awaitable[Visited]:
        return unit.visit(ear.open, standing_at(unit.binding, lasting=ear.lasting))

    return visit


def _by_port(unit: Unit) -> Callable[[], Awaitable[Visited]]:
    line = unit.binding.profile.serial
    assert line is not None  # `bind` has seen to it
    standing = standing_at(unit.binding, lasting=False)

    def visit() -> Awaitable[Visited]:
        return unit.visit(lambda now: open_serial(unit.binding.place, line, LINE, now), standing)

    return visit


async def _heartbeat(agent: Agent) -> None:
    """Leave a note of how it stands, each second, for `edge status`."""
    box, away_since = agent.box, agent.box.clock.now()
    while True:
        if agent.publisher.connected:
            away_since = None
        elif away_since is None:
            away_since = box.clock.now()
        try:
            await box.outbox.note_running(
                connected=agent.publisher.connected,
                window=box.windows.figures(),
                counters=box.counters.snapshot(),
            )
            await asyncio.to_thread(running.write, box.data_dir, _note(agent, away_since))
        except (StoreError, OSError) as fault:
            box.counters.add("heartbeat.failed")
            _log.warning("heartbeat.failed", why=str(fault))
        # On the loop itself, so that whatever stops the loop stops this too.
        watchdog.tell(watchdog.ALIVE)
        await asyncio.sleep(HEARTBEAT_S)


def _note(agent: Agent, away_since: datetime | None) -> running.RunningNote:
    return running.RunningNote(
        at=agent.box.clock.now(),
        radio=agent.radio.trouble if agent.radio else None,
        away_since=away_since,
        places={unit.binding.place: unit.trouble for unit in agent.units if unit.trouble},
        recovery=_in_words(agent.box.outbox.recovery),
        turn=agent.turns.figures(),
        clock_off_s=agent.publisher.clock_off_s,
    )


def _in_words(recovery: Recovery | None) -> str | None:
    if recovery is None:
        return None
    lost = ", ".join(recovery.lost) or "nothing"
    return (
        f"The outbox was damaged ({recovery.why}) and lies at {recovery.moved_to}; "
        f"{recovery.rows} rows were saved from it, lost: {lost}."
    )


def _prepare(data_dir: Path) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = data_dir.stat().st_mode
    except OSError as error:
        raise ConfigError(
            str(data_dir), "data_dir", error.strerror or str(error), "a folder of this box's own"
        ) from error
    if mode & WRITABLE_BY_OTHERS:
        raise ConfigError(
            str(data_dir),
            "data_dir",
            f"mode {mode & 0o777:04o} lets others write to it",
            f"chmod 700 {data_dir}",
        )
