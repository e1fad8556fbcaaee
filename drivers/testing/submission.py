"""One file for a reviewer: sources, captures, quality file, profiles, what the kit found, and a hash of each. Same input, same octets."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, version
from importlib.util import find_spec
from pathlib import Path

from device_profiles.loader import load_catalogue
from drivers.testing.judge import judge, tier
from drivers.testing.report import Report, as_json
from drivers.testing.subjects import SUBJECTS, cases
from gateway.contract.capture import Capture, CaptureError, digest, parse
from gateway.contract.session import CONTRACT, Opened
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DISTRIBUTION, distribution, found

BUNDLE = 1
SEED = 1
MANIFEST, REPORT, README = "manifest.json", "report.json", "README.md"
WORDS = ("driver", "distribution", "version", "tier")  # that a manifest has for a reviewer
SUFFIXES = frozenset({".py", ".toml", ".jsonl", ".md"})
FILES_MAX = 500
BUNDLE_BYTES_MAX = 50_000_000
RECORDED = "recorded"
SCAFFOLDED = (
    "This one is invented, and is what you replace",
    "an invented protocol, to be replaced",
)
_EPOCH = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the first that a zip can hold: no date of making, so that two are alike
_ADDRESS = re.compile(rb"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY")


@dataclass(frozen=True, slots=True)
class Submission:
    """What lies in a bundle, by name. The manifest says what it claims to be."""

    files: Mapping[str, bytes]

    @property
    def manifest(self) -> Mapping[str, object]:
        """Driver, versions, tier, and the hash of every other file."""
        told: Mapping[str, object] = json.loads(self.files[MANIFEST])
        return told

    @property
    def captures(self) -> Mapping[str, bytes]:
        """Those of its visits."""
        return {
            n: data for n, data in self.files.items() if n.endswith(".jsonl") and "captures/" in n
        }


def judged(driver: str) -> Report:
    """All checks over the driver with each of its profiles. Raises ConfigError."""
    tried = cases(driver, SEED)
    findings = [finding for case in tried for finding in judge(case)]
    captures = [capture for case in tried for capture in case.captures.values()]
    return Report(driver, findings, tier(findings, captures))


def gather(driver: str) -> Submission:
    """All that a reviewer needs of an installed driver. Raises ConfigError: also for a failed check, or an identity in it."""
    report = judged(driver)
    if not report.good:
        failed = "; ".join(
            f"{one.check} with {one.profile} ({one.input}: {one.why})"
            for one in report.findings
            if not one.good
        )
        raise ConfigError(
            driver,
            "checks",
            f"these fail: {failed}",
            f"a driver that holds them: vitalgate driver check {driver}",
        )
    point = found(SUBJECTS)[driver]
    files = dict(sorted(sources(driver, point).items()))
    for name, data in files.items():
        _refuse_secrets(name, data)
    files[REPORT] = as_json([report]).encode() + b"\n"
    manifest = {
        "bundle": BUNDLE,
        "driver": driver,
        "distribution": distribution(point),
        "version": point.dist.version if point.dist else "",
        "contract": CONTRACT,
        "vitalgate": version(DISTRIBUTION),
        "seed": SEED,
        "tier": report.tier,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    files[MANIFEST] = json.dumps(manifest, indent=1).encode() + b"\n"
    return Submission(files)


def unwritten(submission: Submission) -> Iterator[str]:
    """What still says what `vitalgate driver new` wrote: of a device that nobody has made."""
    for name, data in sorted(submission.files.items()):
        for sentence in SCAFFOLDED:
            if sentence.encode() in data:
                yield f"{name} still says what `vitalgate driver new` wrote, “{sentence}”: write where your facts are from"


def sources(driver: str, point: EntryPoint) -> Mapping[str, bytes]:
    """What lies beside the subject, its profiles where they lie elsewhere, and the distribution's README. Raises ConfigError."""
    tried = cases(driver, SEED)
    home = _home(point)
    files = {f"sources/{path.relative_to(home).as_posix()}": path for path in _beside(home)}
    for case in tried:
        path = load_catalogue()[case.profile.id].path
        if not path.is_relative_to(home):
            files[f"profiles/{case.profile.id}.toml"] = path
    if len(files) > FILES_MAX:
        raise ConfigError(str(home), "(files)", f"{len(files)} files", f"at most {FILES_MAX}")
    told = {name: path.read_bytes() for name, path in files.items()}
    if readme := _readme(point).strip():
        told[README] = f"{readme}\n".encode()
    return told


def packed(submission: Submission) -> bytes:
    """As one zip, the same octets for the same content."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in sorted(submission.files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, data)
    return whole.getvalue()


def unpacked(path: Path) -> Submission:
    """Read a bundle without putting anything of it on disk. Raises ConfigError."""
    try:
        with zipfile.ZipFile(path) as bundle:
            entries = bundle.infolist()
            octets = sum(entry.file_size for entry in entries)
            names = [entry.filename for entry in entries]
            if (
                len(names) > FILES_MAX + 3
                or octets > BUNDLE_BYTES_MAX
                or len(set(names)) < len(names)
            ):
                why = f"{len(names)} files of {octets} bytes"
                raise ConfigError(
                    str(path),
                    "(file)",
                    why,
                    f"{FILES_MAX} files of {BUNDLE_BYTES_MAX} bytes, each once",
                )
            files = {entry.filename: bundle.read(entry) for entry in entries}
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ConfigError(
            str(path), "(file)", f"is no bundle: {error}", "one of `vitalgate driver submit`"
        ) from error
    if MANIFEST not in files:
        raise ConfigError(
            str(path), MANIFEST, "is missing", "a bundle of `vitalgate driver submit`"
        )
    return Submission(files)


def faults(submission: Submission) -> Iterator[str]:
    """Where the bundle contradicts itself: hashes, files that nobody names, captures that aren't fit to be shown. Runs nothing of it."""
    try:
        manifest = submission.manifest
        stated = {str(name): str(told) for name, told in dict(manifest["files"]).items()}  # type: ignore[call-overload]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        yield f"{MANIFEST} can't be read: {error!r}"
        return
    if manifest.get("bundle") != BUNDLE or manifest.get("contract") != CONTRACT:
        yield (
            f"bundle {manifest.get('bundle')} of contract {manifest.get('contract')}; this reads bundle {BUNDLE} of contract {CONTRACT}"
        )
    yield from (
        f"{MANIFEST} names no {word}" for word in WORDS if not isinstance(manifest.get(word), str)
    )
    for name, told in stated.items():
        if name not in submission.files:
            yield f"{name} is missing"
        elif hashlib.sha256(submission.files[name]).hexdigest() != told:
            yield f"{name} is not what was hashed"
    for name in submission.files.keys() - stated.keys() - {MANIFEST}:
        yield f"{name} is not in the manifest"
    for name, data in sorted(submission.files.items()):
        try:
            _refuse_secrets(name, data)
        except ConfigError as error:
            yield str(error)


def _home(point: EntryPoint) -> Path:
    spec = find_spec(point.module)
    assert spec is not None, f"{point.module} was imported before"
    assert spec.origin is not None, f"{point.module} has a file"
    return Path(spec.origin).parent


def _readme(point: EntryPoint) -> str:
    """What the distribution says of itself: behind the headers of its metadata. Ours is not about one driver."""
    if point.dist is None or distribution(point) == DISTRIBUTION:
        return ""
    return (point.dist.read_text("METADATA") or "").partition("\n\n")[2]


def _beside(home: Path) -> Iterator[Path]:
    for path in sorted(home.rglob("*")):
        inside = path.relative_to(home).parts
        hidden = any(part.startswith((".", "__pycache__")) for part in inside)
        if path.is_file() and not hidden and path.suffix in SUFFIXES:
            yield path


def _refuse_secrets(name: str, data: bytes) -> None:
    if _KEY.search(data):
        raise ConfigError(name, "(file)", "holds a private key", "a package without it")
    if "captures/" in name and name.endswith(".jsonl"):
        try:
            _refuse_identities(name, parse(data.decode().splitlines()), data)
        except (CaptureError, UnicodeDecodeError) as error:
            raise ConfigError(name, "(file)", f"{error}", "a capture that can be read") from error


def _refuse_identities(name: str, told: Capture, data: bytes) -> None:
    scrub = "what `vitalgate driver scrub` makes of it"
    header = told.header
    recorded = header.get("origin", "").startswith(RECORDED)
    if recorded and not header.get("scrubbed"):
        raise ConfigError(name, "scrubbed", "it was recorded, and is not scrubbed", scrub)
    if header.get("scrubbed") and header.get("sha256") and header["sha256"] != digest(told):
        raise ConfigError(name, "sha256", "it was changed after it was scrubbed", scrub)
    for event in told.heard if recorded else ():
        if isinstance(event, Opened):
            for fact in ("address", "name", "port"):
                text = event.facts.get(fact, "(")
                if text and not text.startswith("("):
                    raise ConfigError(name, fact, "it says which device that was", scrub)
    if _ADDRESS.search(data):
        raise ConfigError(name, "(file)", "holds a Bluetooth address", scrub)
    if not header.get("licence"):
        raise ConfigError(
            name, "licence", "is empty", "under which it may be kept and shown, as CC0-1.0"
        )
