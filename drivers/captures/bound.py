"""A capture's file, with the profile and the driver that its header names. Refuses with a sentence; plays nothing."""

from pathlib import Path
from typing import cast

from device_profiles.loader import load_profiles
from gateway.contract.capture import Capture, CaptureError, parse
from gateway.contract.profile import Profile
from gateway.contract.session import CONTRACT, Driver
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DRIVERS, found, load

CAPTURE_BYTES_MAX = 100_000_000


def read_capture(path: Path) -> Capture:
    """One file. Raises ConfigError."""
    try:
        if path.stat().st_size > CAPTURE_BYTES_MAX:
            raise ConfigError(
                str(path), "(file)", f"over {CAPTURE_BYTES_MAX} bytes", "one visit's capture"
            )
        with path.open(encoding="utf-8") as lines:
            return parse(lines)
    except (OSError, CaptureError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "(file)", f"{error}", "a capture that can be read") from error


def profile_of(told: Capture, path: Path, asked: str = "") -> Profile:
    """The profile that was asked for, else the capture's own. Raises ConfigError, also where it lacks a channel that the capture names."""
    profiles = load_profiles()
    name = asked or told.header.get("profile", "")
    if name not in profiles:
        raise ConfigError(
            str(path), "profile", f"{name!r} is no profile", " or ".join(sorted(profiles))
        )
    if not asked and (strangers := told.strangers(profiles[name])):
        raise ConfigError(
            str(path),
            "channel",
            f"{strangers[0]!r} is no channel of {name}",
            " or ".join(sorted(profiles[name].channels)),
        )
    return profiles[name]


def driver_of(profile: Profile, path: Path) -> Driver:
    """The driver that the profile names. Raises ConfigError, also where it is written for another contract."""
    points = found(DRIVERS)
    if profile.driver not in points:
        raise ConfigError(
            str(path), "driver", f"{profile.driver!r} is not installed", " or ".join(sorted(points))
        )
    driver = cast("Driver", load(points[profile.driver]))
    if driver.contract != CONTRACT:
        raise ConfigError(
            str(path),
            "driver",
            f"driver {driver.id} is written for contract {driver.contract!r}; this is {CONTRACT}",
            "a version of it that fits (docs/contract-versions.md)",
        )
    return driver
