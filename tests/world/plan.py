"""What a seed decides before its world begins: who is there, which faults there are, and when the great ones come.

In it: one or two boxes that hear one to three devices (cuffs that forget upon the radio's confirmation, with and without a
clock that visits set; a meter on a cable; a meter that is erased), links that break, frames that are not confirmed; clocks of
boxes and devices that are set by somebody, batteries that are taken out; processes killed between any two awaits, power cuts,
disks that are full or slow; messages and receipts lost, doubled, late, astray and forged; a broker that forgets; a box or a
cloud of which an older image is put back; outages of hours; a series that refuses; and people: devices that change hands at an
instant, an inbox that is emptied, readings that are voided.

Not in it, and held elsewhere: streams, sessions of a sensor, and the joining of a scale's two services (each by the kit's walks
and tests/world_parts; none has here a truth of its own yet); a lost bond (tests/world_parts/test_bluez_pairing.py); what
people do where a cloud is restored from a backup, which takes their acts back too; a driver that raises (quarantine); MQTT,
BlueZ, InfluxDB and threads themselves (tests/services, tests/world_parts); two ingesters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from edge.outbox.records import OutboxLimits
from tests.world.devices import Device, Eraser

if TYPE_CHECKING:
    from tests.world.house import Box
    from tests.world.run import World

LONG_S = 3_000.0
# How likely a small fault is each time that it could happen, in a world that has it.
RATES = {
    "link_lost": 0.04,
    "connect_failed": 0.15,
    "unconfirmed": 0.12,
    "send_refused": 0.02,
    "message_lost": 0.1,
    "message_doubled": 0.12,
    "message_delayed": 0.2,
    "receipt_lost": 0.15,
    "receipt_doubled": 0.15,
    "receipt_astray": 0.2,
    "ingest_killed": 0.05,
    "store_refuses": 0.1,
    "series_refuses": 0.2,
}
# Great ones, and how often at most.
GREAT = {
    "box_killed": 5,
    "power_cut": 3,
    "cloud_killed": 4,
    "broker_crash": 3,
    "network_out": 2,
    "disk_full": 2,
    "disk_slow": 1,
    "box_clock": 2,
    "device_clock": 2,
    "battery": 1,
    "box_image": 1,
    "cloud_backup": 1,
    "long_outage": 1,
    "hand_over": 3,
    "inbox": 3,
    "voiding": 2,
}
# Of a patient of whom readings were voided, less can be said of what pages: most worlds are without.
RARE = {"box_image", "cloud_backup", "long_outage", "voiding"}
PEOPLE = {"hand_over", "inbox", "voiding"}
LONG_OUTAGE_S = 8_000.0
MEASUREMENTS_MAX = 30


@dataclass(frozen=True)
class Plan:
    """A world to be. `devices`: kind and the boxes that hear it; `great`: (when, what)."""

    boxes: int
    devices: tuple[tuple[str, tuple[int, ...]], ...]
    rates: dict[str, float]
    great: tuple[tuple[float, str], ...]
    limits: OutboxLimits
    active_s: float
    poll_s: float
    every_s: float
    crisis: float

    def schedule(self, world: "World") -> None:
        """Put everything on the loop."""
        for at_s, what in self.great:
            world.loop.outside(at_s, _GREAT[what], world)
        for device in world.devices.values():
            world.loop.outside(world.rng.uniform(0, 60), _measure, world, device, 0)


def planned(rng: Random) -> Plan:
    """Draw a plan: each world has some of the faults, since all at once hide one another."""
    boxes = rng.choice((1, 2, 2))
    devices = _devices(rng, boxes)
    active_s = rng.choice((200.0, 500.0, 900.0))
    some = rng.choice((0.2, 0.5, 0.8))
    rates = {name: rate for name, rate in RATES.items() if rng.random() < some}
    great = _great(rng, some, active_s)
    pace_s = rng.choice((20.0, 60.0, 200.0))
    poll_s = rng.choice((45.0, 120.0))
    if any(name == "long_outage" for _, name in great):
        active_s, pace_s, poll_s = active_s + LONG_OUTAGE_S, 900.0, 900.0
    return Plan(
        boxes=boxes,
        devices=devices,
        rates=rates,
        great=great,
        limits=_limits(rng, devices, great),
        active_s=active_s,
        poll_s=poll_s,
        every_s=pace_s,
        crisis=rng.choice((0.1, 0.5)),
    )


def _devices(rng: Random, boxes: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    everyone = tuple(range(boxes))
    drawn = [
        (
            rng.choice(("cuff", "cuff", "settable", "meter", "eraser")),
            rng.choice((everyone, (rng.randrange(boxes),))),
        )
        for _ in range(rng.randint(1, 3))
    ]
    # An eraser forgets what one box has stored; another may be in the middle of reading it: it has one box.
    return tuple((k, b[:1] if k in {"eraser", "meter"} and len(b) > 1 else b) for k, b in drawn)


def _great(rng: Random, some: float, active_s: float) -> tuple[tuple[float, str], ...]:
    great = [
        (rng.uniform(20, active_s), name)
        for name, most in GREAT.items()
        if rng.random() < some * (0.25 if name in RARE else 1)
        for _ in range(rng.randint(1, most))
    ]
    if any(name == "box_image" for _, name in great):
        great = [one for one in great if one[1] != "cloud_backup"]
    if any(name == "cloud_backup" for _, name in great):
        # What people did since the backup is lost with it, and they would have to do it again: no world has that yet.
        great = [one for one in great if one[1] not in PEOPLE]
    return tuple(sorted(great))


def _limits(
    rng: Random,
    devices: tuple[tuple[str, tuple[int, ...]], ...],
    great: tuple[tuple[float, str], ...],
) -> OutboxLimits:
    # A meter's dump is one commit, so it must fit.
    dumps = any(kind in {"meter", "eraser"} for kind, _ in devices)
    limits = OutboxLimits(
        rows_max=rng.choice((2 * MEASUREMENTS_MAX if dumps else 4, 500)),
        keep_s=rng.choice((20.0, 7 * 86_400.0)),
        told_max=rng.choice((3, 1_000_000)),
    )
    if any(name == "cloud_backup" for _, name in great):
        # What the cloud loses is owed again only as long as it is kept.
        return OutboxLimits(rows_max=limits.rows_max)
    return limits


def _measure(world: "World", device: Device, done: int) -> None:
    if world.loop.time() > world.plan.active_s or done >= MEASUREMENTS_MAX:
        return
    dire = world.rng.random() < world.plan.crisis
    if device.kind == "glucose":
        parts = device.values.glucose(low=dire)
        if isinstance(device, Eraser) and not hasattr(parts["value"], "number"):
            parts = device.values.glucose(low=False)
    else:
        parts = device.values.pressure(crisis=dire)
    control = (
        device.kind == "glucose" and not isinstance(device, Eraser) and world.rng.random() < 0.1
    )

    def try_it(left: int = 30) -> None:
        if not device.measure(parts, control=control) and left:
            world.loop.outside(world.rng.uniform(1, 3), try_it, left - 1)

    try_it()
    world.loop.outside(
        world.plan.every_s * world.rng.uniform(0.2, 1.8), _measure, world, device, done + 1
    )


def _some_box(world: "World") -> "Box":
    return world.boxes[world.rng.randrange(len(world.boxes))]


def _kill_box(world: "World") -> None:
    process = _some_box(world).processes[-1]
    process.dies_at = process.steps + world.rng.randint(1, 80)


def _cut_power(world: "World") -> None:
    box = _some_box(world)

    def cut() -> None:
        box.die("power cut", power=True)
        if world.rng.random() < 0.3:
            behind_s = world.rng.uniform(10, 4_000)
            # Without a clock that runs on batteries it may be any time ago.
            box.clock.set_error(box.clock.error_s - behind_s * (30 if behind_s > LONG_S else 1))

    process = box.processes[-1]
    process.on_death = cut
    process.dies_at = process.steps + world.rng.randint(1, 80)


def _kill_cloud(world: "World") -> None:
    process = world.cloud.processes[-1]
    process.dies_at = process.steps + world.rng.randint(1, 30)


def _crash_broker(world: "World") -> None:
    forgets = world.rng.random() < 0.6
    world.note("broker", f"crashed {'and forgot all' if forgets else ''}")
    world.broker.crash(forgets=forgets)
    world.cloud.hang_up()

    def back() -> None:
        world.broker.up = True

    world.loop.outside(world.rng.uniform(1, 60), back)


def _part_network(world: "World", lasting_s: float | None = None) -> None:
    box = _some_box(world)
    lasting_s = lasting_s or world.rng.uniform(5, 200)
    world.note(box.name, f"offline for {lasting_s:.0f}s")
    world.offline.add(box.name)
    if (connection := world.broker.boxes.get(box.name)) is not None:
        connection.end("the network is gone")
    world.loop.outside(lasting_s, world.offline.discard, box.name)


def _fill_disk(world: "World") -> None:
    box = _some_box(world)
    box.fill_disk(full=True)
    world.loop.outside(world.rng.uniform(10, 200), lambda: box.fill_disk(full=False))


def _slow_disk(world: "World") -> None:
    process = _some_box(world).processes[-1]
    process.disk_factor = 30.0

    def well() -> None:
        process.disk_factor = 1.0

    world.loop.outside(60.0, well)


def _step_box_clock(world: "World") -> None:
    box = _some_box(world)
    box.clock.set_error(world.rng.choice((0.0, -30.0, 45.0, -3_700.0, 3_900.0, -90_000.0)))
    world.note(box.name, f"clock-stepped to {box.clock.error_s:.0f}s")


def _step_device_clock(world: "World") -> None:
    device = _some_device(world)
    ahead_s = world.rng.choice((0, -3_600, 3_600, 40, -7_200, 86_400))
    _unlinked(world, device, lambda: device.set_clock(timedelta(seconds=ahead_s)))


def _take_battery(world: "World") -> None:
    device = _some_device(world)
    _unlinked(world, device, device.lose_battery)


def _some_device(world: "World") -> Device:
    serials = sorted(world.devices)
    return world.devices[serials[world.rng.randrange(len(serials))]]


def _unlinked(world: "World", device: Device, act: Callable[[], None]) -> None:
    """Nobody sets a device's clock while it talks."""
    if device.link is None:
        act()
    else:
        world.loop.outside(2.0, _unlinked, world, device, act)


def _put_image_back(world: "World") -> None:
    box = _some_box(world)
    if not box.running:
        return
    image = world.folder / f"image-{len(world.trace.lines)}"
    box.image(image)
    world.note(box.name, "imaged")

    def put_back() -> None:
        if not box.running or world.healed:
            return
        box.die("for an older image", power=False)
        world.restores += 1
        box.restore(Path(image))

    world.loop.outside(world.rng.uniform(10, 300), put_back)


def _put_backup_back(world: "World") -> None:
    cloud = world.cloud
    if not cloud.running:
        return
    cloud.die("for a backup")
    image = world.folder / f"backup-{len(world.trace.lines)}"
    cloud.image(image)
    cloud.boot()

    def put_back() -> None:
        if not cloud.running or world.healed:
            return
        cloud.die("for an older backup")
        cloud.restore(Path(image))
        cloud.boot(rebuild=True)

    world.loop.outside(world.rng.uniform(10, 300), put_back)


def _hand_over(world: "World") -> None:
    world.people.hand_over()


def _empty_inbox(world: "World") -> None:
    world.people.empty_inbox()


def _void(world: "World") -> None:
    world.people.void()


def _long_outage(world: "World") -> None:
    _part_network(world, LONG_OUTAGE_S)


_GREAT: dict[str, Callable[["World"], None]] = {
    "box_killed": _kill_box,
    "power_cut": _cut_power,
    "cloud_killed": _kill_cloud,
    "broker_crash": _crash_broker,
    "network_out": _part_network,
    "disk_full": _fill_disk,
    "disk_slow": _slow_disk,
    "box_clock": _step_box_clock,
    "device_clock": _step_device_clock,
    "battery": _take_battery,
    "box_image": _put_image_back,
    "cloud_backup": _put_backup_back,
    "long_outage": _long_outage,
    "hand_over": _hand_over,
    "inbox": _empty_inbox,
    "voiding": _void,
}
