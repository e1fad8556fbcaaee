"""Where code and data meet: each enrolled place with its profile and the driver that the profile names. Opens nothing."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint

from edge.quarantine import Quarantine
from edge.settings import DeviceSettings, EdgeSettings
from gateway.contract.profile import Profile
from gateway.contract.session import CONTRACT, Driver
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DRIVERS, found

BLE, SERIAL = "ble", "serial"
OURS = "drivers."  # modules of this distribution; all others are a third party's
# What a serial line's one channel is called: a profile of a line names no channels.
LINE = "line"


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that is visited. `driver` is None where it could not be loaded: the device is unserved."""

    place: str
    link: str
    profile: Profile
    driver: Driver | None
    third_party: bool
    every_s: float


@dataclass(slots=True)
class Drivers:
    """Installed drivers, loaded when a profile first names them. One that fails to load is barred, and costs no other."""

    points: Mapping[str, EntryPoint]
    quarantine: Quarantine
    _loaded: dict[str, Driver | None] = field(default_factory=dict[str, Driver | None])

    @classmethod
    def installed(cls, quarantine: Quarantine) -> "Drivers":
        """Those of the entry points. Raises ConfigError where two claim one id."""
        return cls(found(DRIVERS), quarantine)

    def third_party(self, driver: str) -> bool:
        """Whether a driver comes from another distribution than this one."""
        point = self.points.get(driver)
        return point is not None and not point.module.startswith(OURS)

    def load(self, driver: str) -> Driver | None:
        """The driver, or None where it is unknown or won't load: `quarantine` knows why."""
        if driver not in self._loaded:
            self._loaded[driver] = self._load(driver)
        return self._loaded[driver]

    def _load(self, driver: str) -> Driver | None:
        point = self.points.get(driver)
        if point is None:
            self.quarantine.bar(driver, f"no driver {driver!r} is installed")
            return None
        if self.quarantine.why_not(driver):
            return None
        try:
            loaded: Driver = point.load()
            contract = loaded.contract
        except Exception as error:  # noqa: BLE001 a vendor's code: whatever it raises bars it alone
            self.quarantine.bar(
                driver, f"driver {driver} does not load: {type(error).__name__}: {error}"
            )
            return None
        if contract != CONTRACT:
            self.quarantine.bar(
                driver, f"driver {driver} is written for contract {contract}; this is {CONTRACT}"
            )
            return None
        return loaded


def bind(
    settings: EdgeSettings, where: str, profiles: Mapping[str, Profile], drivers: Drivers
) -> tuple[Binding, ...]:
    """All enrolled places. `where` is the settings file. Raises ConfigError for a profile that doesn't fit its place."""
    return tuple(_bound(device, where, profiles, drivers) for device in settings.device)


def _bound(
    device: DeviceSettings, where: str, profiles: Mapping[str, Profile], drivers: Drivers
) -> Binding:
    profile = profiles.get(device.profile)
    if profile is None:
        near = difflib.get_close_matches(device.profile, profiles) or sorted(profiles)
        raise ConfigError(
            where,
            "device.profile",
            f"no profile {device.profile!r} is installed",
            " or ".join(near),
        )
    link = BLE if device.address else SERIAL
    if profile.link != link or (link == SERIAL and profile.serial is None):
        raise ConfigError(
            where,
            f"device at {device.place}",
            f"profile {profile.id} is for a {profile.link} link",
            'an address = "AA:BB:CC:DD:EE:FF"' if profile.link == BLE else 'a port = "/dev/…"',
        )
    return Binding(
        place=device.place,
        link=link,
        profile=profile,
        driver=drivers.load(profile.driver),
        third_party=drivers.third_party(profile.driver),
        every_s=float(device.every_s),
    )
