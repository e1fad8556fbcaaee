"""Where code and data meet: each enrolled place with its profile and the driver that the profile names. Opens nothing."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint

from edge.device_users import secrets_of
from edge.plugins import Offer, refused_drivers, third_party
from edge.quarantine import Quarantine
from edge.settings import DeviceSettings, EdgeSettings
from gateway.contract.profile import IdentityRule, Profile, SerialLine
from gateway.contract.session import CONTRACT, Driver
from gateway.model.identity import Scheme
from gateway.runtime.errors import ConfigError, said
from gateway.runtime.plugins import DRIVERS, found

BLE, ADVERT, SERIAL = "ble", "advert", "serial"
BY_RADIO = (BLE, ADVERT)  # an address stands for either; the profile says which
# What a serial line's one channel is called: a profile of a line names no channels.
LINE = "line"


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that is visited. `driver` is None where it could not be loaded: the device is unserved.

    `secrets` are what its visits are given to ask the device with; they stand in no text (ADR 21).
    """

    place: str
    link: str
    profile: Profile
    driver: Driver | None
    third_party: bool
    every_s: float
    raw_stream: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(slots=True)
class Drivers:
    """Installed drivers, loaded when a profile first names them. One that fails to load is barred, and costs no other."""

    points: Mapping[str, EntryPoint]
    quarantine: Quarantine
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    _loaded: dict[str, Driver | None] = field(default_factory=dict[str, Driver | None])

    @classmethod
    def installed(cls, quarantine: Quarantine, plugins: Collection[str] = ()) -> "Drivers":
        """Those of the entry points; of other distributions than ours, those alone that `plugins` names may run.

        Raises ConfigError where two claim one id.
        """
        points = found(DRIVERS)
        return cls(points, quarantine, refused_drivers(points, plugins))

    def third_party(self, driver: str) -> bool:
        """Whether a driver comes from another distribution than this one."""
        point = self.points.get(driver)
        return point is not None and third_party(point)

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
        if driver in self.refused:
            self.quarantine.bar(driver, self.refused[driver])
        if self.quarantine.why_not(driver):
            return None
        try:
            with self.quarantine.loading(driver, third_party=third_party(point)):
                loaded: Driver = point.load()
                contract = loaded.contract
        except BaseException as error:  # noqa: BLE001 a vendor's code: whatever it raises, `sys.exit` too, bars it alone
            self.quarantine.bar(
                driver, f"driver {driver} does not load: {type(error).__name__}: {said(error)}"
            )
            return None
        if contract != CONTRACT:
            self.quarantine.bar(
                driver, f"driver {driver} is written for contract {contract!r}; this is {CONTRACT}"
            )
            return None
        return loaded


def bind(settings: EdgeSettings, where: str, offer: Offer, drivers: Drivers) -> tuple[Binding, ...]:
    """All enrolled places. `where` is the settings file.

    A device whose profile another distribution can't give, or may not, is unserved, and costs no other.
    Raises ConfigError for a profile that nobody has, or that doesn't fit its place.
    """
    return tuple(_bound(device, where, offer, drivers) for device in settings.device)


def _bound(device: DeviceSettings, where: str, offer: Offer, drivers: Drivers) -> Binding:
    profile = offer.profiles.get(device.profile)
    if profile is None:
        why = offer.refused.get(device.profile) or "; ".join(offer.lost)
        if why:
            return _unserved(device, why, drivers.quarantine)
        profiles = offer.profiles
        near = difflib.get_close_matches(device.profile, profiles) or sorted(profiles)
        raise ConfigError(
            where,
            "device.profile",
            f"no profile {device.profile!r} is installed",
            " or ".join(near),
        )
    fits = profile.link in BY_RADIO if device.address else profile.link == SERIAL
    if not fits or (profile.link == SERIAL and profile.serial is None):
        raise ConfigError(
            where,
            f"device at {device.place}",
            f"profile {profile.id} is for {'an' if profile.link == ADVERT else 'a'} {profile.link} link",
            'an address = "AA:BB:CC:DD:EE:FF"' if profile.link in BY_RADIO else 'a port = "/dev/…"',
        )
    if device.raw_stream and profile.stream is None:
        raise ConfigError(
            where,
            f"device at {device.place}: raw_stream",
            f"profile {profile.id} has no stream",
            "it nowhere but at a device that streams",
        )
    return Binding(
        place=device.place,
        link=profile.link,
        profile=profile,
        driver=drivers.load(profile.driver),
        third_party=drivers.third_party(profile.driver),
        every_s=float(device.every_s),
        raw_stream=device.raw_stream,
        secrets=secrets_of(device.users_file),
    )


def _unserved(device: DeviceSettings, why: str, quarantine: Quarantine) -> Binding:
    # It has a place in the status and in the agent's turns like all others; its barred driver keeps it from being visited.
    none = Profile(
        id=device.profile,
        maker="",
        model="",
        kind="",
        driver=f"(of {device.profile})",
        support="",
        link=BLE if device.address else SERIAL,
        identity=IdentityRule(Scheme.ARRIVAL),
        serial=None if device.address else SerialLine(9600),
    )
    quarantine.bar(none.driver, why)
    return Binding(
        place=device.place,
        link=none.link,
        profile=none,
        driver=None,
        third_party=True,
        every_s=float(device.every_s),
    )
