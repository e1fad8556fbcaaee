"""`vitalgate driver scrub`: a capture that can be given away. Writes a new file, and leaves the old one as it is."""

from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer

from drivers.captures.bound import driver_of, profile_of, read_capture
from drivers.captures.scrub import Bound, Reseal, Scrubbed, ScrubError
from drivers.captures.scrub import scrub as scrubbed
from drivers.captures.secrets import Secret
from gateway.contract.capture import dump
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import found

SUBJECTS = "gateway.subjects"


@runtime_checkable
class Resealer(Protocol):
    """A subject that can make its protocol's checksums right again."""

    def reseal(self, channel: str, octets: bytes) -> bytes:
        """As many octets, with checksums that fit."""
        ...


def scrub(
    capture: Annotated[Path, typer.Argument(help="as `edge read` recorded it")],
    serial: Annotated[
        list[str] | None, typer.Option(help="the serial number, as on the label")
    ] = None,
    no_serial: Annotated[
        bool, typer.Option("--no-serial", help="the device tells no serial number")
    ] = False,
    remove: Annotated[
        list[str] | None, typer.Option(help="other text that names somebody: a meter's owner")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="without it beside the capture")] = None,
) -> None:
    """Remove serial numbers, addresses, names and System IDs, octet for octet; refuse where the readings would change."""
    told = read_capture(capture)
    profile = profile_of(told, capture)
    bound = Bound(told, profile, driver_of(profile, capture), _reseal(profile.driver))
    stated = [Secret("serial number", text) for text in serial or ()]
    stated += [Secret("text", text) for text in remove or ()]
    place = out or capture.with_name(f"{capture.stem}.scrubbed.jsonl")
    try:
        clean = scrubbed(bound, stated, has_serial=not no_serial, file=place.name)
    except ScrubError as error:
        raise ConfigError(str(capture), "scrub", str(error), "what it asks for") from error
    _write(place, clean)
    for what, times in sorted(clean.removed.items()):
        print(f"replaced {what} {times} times")
    if clean.remains:
        print(f"words that remain: {', '.join(clean.remains)}")
        print("Does one of them name a person? Then again, with --remove WORD.")
    print(f"{place}: the same readings, sha256 {clean.capture.header['sha256']}")


def _write(place: Path, clean: Scrubbed) -> None:
    try:
        with place.open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in dump(clean.capture))
    except FileExistsError as error:
        raise ConfigError(str(place), "--out", "is there already", "a new file") from error
    except OSError as error:
        raise ConfigError(
            str(place), "--out", f"{error.strerror}", "a file that can be written"
        ) from error


def _reseal(driver: str) -> Reseal | None:
    point = found(SUBJECTS).get(driver)
    subject: object = point.load() if point else None
    return subject.reseal if isinstance(subject, Resealer) else None
