"""Which plugins an operator allows, what a barred one says, and how suspects are told from bystanders."""

import asyncio
from collections.abc import Iterable
from configparser import ConfigParser
from importlib.metadata import Distribution, EntryPoint, SimplePath
from pathlib import Path

import pytest

from device_profiles.loader import Catalogue, Entry, Fault, load_catalogue
from edge.agent import HEARTBEAT_S
from edge.binding import Drivers, bind
from edge.plugins import Offer, allowed_profiles, refused_drivers
from edge.quarantine import Quarantine
from edge.settings import EdgeSettings, load
from gateway.cli import CONFIG_EXIT
from gateway.contract.session import Event, Opened
from gateway.contract.visit import Ending, Over, Visit
from gateway.runtime.errors import ConfigError

OURS = load_catalogue()
ENTRY = OURS["aandd/ua-651ble"]
SAMPLE = Path(__file__).resolve().parents[3] / "deploy" / "edge.sample.toml"


class Installed(Distribution):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def read_text(self, filename: str) -> str | None:
        raise NotImplementedError(filename)

    def locate_file(self, path: object) -> SimplePath:
        raise NotImplementedError(path)


def point(name: str, value: str, by: str) -> EntryPoint:
    made = EntryPoint(name, value, "gateway.drivers")
    vars(made).update(dist=Installed(by))
    return made


def catalogue(*faults: Fault, **by: str) -> Catalogue:
    """Ours, and `acme/<name>` of each distribution."""
    theirs = {
        f"acme/{name}": Entry(ENTRY.profile, ENTRY.identify, ENTRY.path, distribution)
        for name, distribution in by.items()
    }
    return Catalogue({**OURS, **theirs}, faults)


def test_ours_need_no_permission_and_all_others_do() -> None:
    offer = allowed_profiles(catalogue(x="acme-health", y="other"), ["acme-health"])

    assert set(offer.profiles) == {*OURS, "acme/x"}
    assert 'plugins = ["other"]' in offer.refused["acme/y"]


def test_by_default_nobody_elses_driver_may_run() -> None:
    points = {
        "gatt.x": point("gatt.x", "drivers.gatt.x:D", "vitalgate"),
        "acme.x": point("acme.x", "acme:D", "Acme.Health"),
        # Ours by its module alone, or by its distribution alone, is not ours.
        "acme.y": point("acme.y", "drivers.acme:D", "acme-health"),
    }

    assert set(refused_drivers(points, [])) == {"acme.x", "acme.y"}
    assert refused_drivers(points, ["acme-health"]) == {}


def test_the_names_that_a_package_index_takes_for_one_are_one(tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text('agent = "b"\ntenant = "t"\ndata_dir = "d"\nplugins = ["Acme_Health", "x.y"]\n')

    assert load(file).plugins == ("acme-health", "x-y")


@pytest.mark.parametrize("wrong", ['"acme"', "[1]", '["a b"]', '[""]', '["../x"]', '["a\\n"]'])
def test_garbage_for_plugins_is_refused_with_what_to_write(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "box.toml"
    file.write_text(f'agent = "b"\ntenant = "t"\ndata_dir = "d"\nplugins = {wrong}\n')

    with pytest.raises(ConfigError, match="plugins") as told:
        load(file)
    assert "acme-health" in told.value.instead


def test_the_sample_of_the_settings_is_one_and_names_every_setting() -> None:
    text = SAMPLE.read_text()

    assert load(SAMPLE).plugins == ()
    for name in EdgeSettings.model_fields:
        assert name in text, name


def test_the_service_manager_is_told_to_watch_the_agent_and_not_to_repeat_a_mistake() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(SAMPLE.parent / "systemd" / "vitalgate-edge.service")
    service = unit["Service"]

    assert (service["Type"], service["Restart"]) == ("notify", "always")
    assert int(service["WatchdogSec"]) > 10 * HEARTBEAT_S
    assert int(service["RestartPreventExitStatus"]) == CONFIG_EXIT
    assert "vitalgate edge run --settings" in service["ExecStart"]


def box(tmp_path: Path, profile: str) -> EdgeSettings:
    file = tmp_path / "box.toml"
    file.write_text(
        'agent = "b"\ntenant = "t"\ndata_dir = "d"\n'
        f'[[device]]\nprofile = "{profile}"\nport = "/dev/ttyUSB9"\n'
        '[[device]]\nprofile = "aandd/ua-651ble"\naddress = "C0:11:22:33:44:55"\n'
    )
    return load(file)


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ((), "do not allow"),
        ((Fault("acme-health", "acme/x", "x.toml: link is missing"),), "link is missing"),
        ((Fault("acme-health", None, "has no folder models/"),), "no folder"),
    ],
)
def test_a_device_whose_profile_may_not_or_cant_serve_is_unserved_and_others_are_bound(
    tmp_path: Path, faults: Iterable[Fault], why: str
) -> None:
    quarantine = Quarantine.open(tmp_path)
    known = catalogue(*faults) if faults else catalogue(x="acme-health")
    offer = allowed_profiles(known, ["acme-health"] if faults else [])

    theirs, ours = bind(box(tmp_path, "acme/x"), "box.toml", offer, Drivers.installed(quarantine))

    assert theirs.driver is None
    assert why in str(quarantine.why_not(theirs.profile.driver))
    assert ours.driver is not None


def test_a_profile_that_nobody_has_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    quarantine = Quarantine.open(tmp_path)
    offer = Offer({name: entry.profile for name, entry in OURS.items()})

    with pytest.raises(ConfigError, match="acme/x"):
        bind(box(tmp_path, "acme/x"), "box.toml", offer, Drivers.installed(quarantine))


def test_loading_forgives_no_stop_and_an_import_that_ended_is_none(tmp_path: Path) -> None:
    Quarantine.open(tmp_path).begin("acme.x", third_party=True)
    for _ in range(3):
        again = Quarantine.open(tmp_path)
        with again.loading("acme.x", third_party=True):
            pass
    again.begin("acme.x", third_party=True)

    assert "2 times" in str(Quarantine.open(tmp_path).why_not("acme.x"))


def test_an_import_that_never_ended_counts_as_a_stop(tmp_path: Path) -> None:
    held: list[object] = []  # as an import is that never returns
    for _ in range(2):
        held.append(loading := Quarantine.open(tmp_path).loading("acme.x", third_party=True))
        loading.__enter__()

    assert "2 times" in str(Quarantine.open(tmp_path).why_not("acme.x"))


async def test_suspects_go_one_at_a_time_and_others_together(tmp_path: Path) -> None:
    before = Quarantine.open(tmp_path)
    for name in ("acme.x", "acme.y"):
        before.begin(name, third_party=True)
    quarantine = Quarantine.open(tmp_path)
    inside: list[str] = []

    async def visit(name: str, end: asyncio.Event) -> None:
        async with quarantine.turn(name):
            inside.append(name)
            await end.wait()

    ends = {name: asyncio.Event() for name in ("acme.x", "acme.y", "acme.z")}
    async with asyncio.TaskGroup() as group:
        for name, end in ends.items():
            group.create_task(visit(name, end))
        await asyncio.sleep(0)
        assert inside == ["acme.x", "acme.z"]
        for end in ends.values():
            end.set()
    assert inside == ["acme.x", "acme.z", "acme.y"]


@pytest.mark.parametrize("order", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_order_to_end_the_process_is_a_bug_of_the_driver_that_raises_it(
    order: BaseException,
) -> None:
    class Bossy:
        def on(self, _event: Event) -> Iterable[object]:
            raise order

    *_, over = Visit(Bossy()).handle(Opened(1.0))  # type: ignore[arg-type]

    assert isinstance(over, Over)
    assert over.ending is Ending.BUG
    assert type(order).__name__ in str(over.error)
