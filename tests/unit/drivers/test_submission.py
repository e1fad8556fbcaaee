"""A vendor's bundle: the same octets for the same content, no identity in it, and no lie that isn't seen."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivers import cli
from drivers.scaffold.names import names
from drivers.scaffold.writing import Shape, files
from drivers.testing.subjects import SUBJECTS
from drivers.testing.submission import (
    BUNDLE_BYTES_MAX,
    MANIFEST,
    REPORT,
    Submission,
    faults,
    packed,
    sources,
    unpacked,
    unwritten,
)
from gateway.contract.capture import Capture, digest, dump
from gateway.contract.session import CONTRACT, Opened, Received
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import found

RUN = CliRunner()
HEARD = [Opened(0.0, {"address": "(address)"}), Received(1.0, "line", b"\x01")]
NAME = "sources/captures/first.jsonl"


def capture(heard: list[Opened | Received] | None = None, **header: str) -> bytes:
    whole = Capture(
        {"origin": "recorded by vitalgate 0.1.0", "licence": "CC0-1.0", **header}, heard or HEARD
    )
    return "".join(f"{line}\n" for line in dump(whole)).encode()


def clean(**header: str) -> bytes:
    return capture(scrubbed="serial number 1x", sha256=digest(Capture({}, HEARD)), **header)


def bundle(told: bytes | None = None, **changes: object) -> Submission:
    files = {"sources/codec.py": b"x = 1\n", NAME: told or clean(), REPORT: b"[]\n"}
    manifest = {
        "bundle": 1, "driver": "acme.glu", "version": "1.2", "distribution": "acme-glu", "contract": CONTRACT,
        "tier": "conformant", "files": {n: hashlib.sha256(data).hexdigest() for n, data in files.items()},
    }  # fmt: skip
    return Submission({**files, MANIFEST: json.dumps({**manifest, **changes}).encode()})


def with_files(whole: Submission, **files: bytes | None) -> Submission:
    changed: Mapping[str, bytes | None] = {
        **whole.files,
        **{n.replace("__", "/"): d for n, d in files.items()},
    }
    return Submission({name: data for name, data in changed.items() if data is not None})


def test_a_bundle_that_says_the_truth_has_no_fault() -> None:
    assert list(faults(bundle())) == []


def test_the_same_content_is_the_same_octets_and_comes_back(tmp_path: Path) -> None:
    whole = bundle()
    (tmp_path / "a.zip").write_bytes(packed(whole))

    assert packed(whole) == packed(Submission(dict(reversed(whole.files.items()))))
    assert unpacked(tmp_path / "a.zip").files == whole.files


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (with_files(bundle(), sources__codec=b"y"), "sources/codec is not in the manifest"),
        (
            Submission({**bundle().files, "sources/codec.py": b"y"}),
            "sources/codec.py is not what was hashed",
        ),
        (Submission({n: d for n, d in bundle().files.items() if n != NAME}), f"{NAME} is missing"),
        (bundle(contract=CONTRACT + 1), f"of contract {CONTRACT + 1}; this reads"),
        (bundle(driver=None), "manifest.json names no driver"),
        (bundle(version=7), "manifest.json names no version"),
        (bundle(files=None), "manifest.json can't be read"),
        (bundle(capture(scrubbed="")), "it was recorded, and is not scrubbed"),
        (bundle(capture(scrubbed="x", sha256="0" * 64)), "it was changed after it was scrubbed"),
        (bundle(clean(licence="")), "licence: is empty"),
        (bundle(clean(unit="A4:7E:5B:0A:1B:2C")), "holds a Bluetooth address"),
        (
            bundle(capture([Opened(0.0, {"name": "Anna's cuff"})], scrubbed="x")),
            "it says which device that was",
        ),
    ],
)
def test_a_bundle_that_lies_or_tells_too_much_is_seen(told: Submission, why: str) -> None:
    assert any(why in fault for fault in faults(told)), list(faults(told))


def test_a_private_key_is_refused() -> None:
    key = b"-----BEGIN RSA PRIVATE KEY-----"

    assert any("holds a private key" in fault for fault in faults(bundle(key)))


def test_a_file_that_is_no_bundle_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK no")
    with pytest.raises(ConfigError, match="is no bundle"):
        unpacked(path)
    with zipfile.ZipFile(path, "w") as whole:
        whole.writestr("other.txt", "x")
    with pytest.raises(ConfigError, match=r"manifest\.json: is missing"):
        unpacked(path)


def test_a_bundle_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        whole.writestr(MANIFEST, bytes(BUNDLE_BYTES_MAX + 1))

    with pytest.raises(ConfigError, match="files of"):
        unpacked(path)


def test_what_is_not_installed_is_not_said_to_be_verified(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(packed(bundle()))

    told = RUN.invoke(cli.driver_app, ["submit", "--verify", str(tmp_path / "a.zip")])

    assert told.exit_code == 1
    assert "nothing was replayed: acme.glu is not installed here" in told.output


@pytest.mark.parametrize(
    "report", [b"[]", b"{}", b"x", b"[1]", b'[{"tier": "x", "findings": [{}]}]']
)
def test_a_report_that_is_none_is_told_and_not_stumbled_over(tmp_path: Path, report: bytes) -> None:
    driver = "beurer.bm"
    files = {**sources(driver, found(SUBJECTS)[driver]), REPORT: report}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = json.dumps({**bundle().manifest, "driver": driver, "files": hashes}).encode()
    (tmp_path / "a.zip").write_bytes(packed(Submission({**files, MANIFEST: manifest})))

    told = RUN.invoke(cli.driver_app, ["submit", "--verify", str(tmp_path / "a.zip")])

    assert told.exit_code == 1
    assert "report.json can't be read" in told.output


# Making it and looking into it twice is all checks three times: a driver with one profile, and a limit for a busy machine.
@pytest.mark.slow(30)
@pytest.mark.timeout(240)
def test_a_driver_of_ours_makes_a_bundle_that_verifies_here_and_shows_a_false_tier(
    tmp_path: Path,
) -> None:
    place = tmp_path / "a.zip"

    made = RUN.invoke(cli.driver_app, ["submit", "onetouch.ultra2", "--out", str(place)])
    verified = RUN.invoke(cli.driver_app, ["submit", "--verify", str(place)])

    assert made.exit_code == 0, made.output
    assert "tier conformant" in made.output
    assert verified.exit_code == 0, verified.output
    assert "captures replayed" in verified.output
    whole = unpacked(place)
    false = {**whole.files, REPORT: whole.files[REPORT].replace(b'"conformant"', b'"proven"')}
    stated = dict(whole.manifest)
    hashes = {
        name: hashlib.sha256(data).hexdigest() for name, data in false.items() if name != MANIFEST
    }
    false[MANIFEST] = json.dumps({**stated, "tier": "proven", "files": hashes}).encode()
    place.write_bytes(packed(Submission(false)))
    lied = RUN.invoke(cli.driver_app, ["submit", "--verify", str(place)])
    assert lied.exit_code == 1
    assert "the tier here is conformant; the bundle says proven" in lied.output


@pytest.mark.parametrize("shape", list(Shape))
def test_what_the_scaffold_wrote_of_an_invented_device_is_told_to_who_submits_it(
    shape: Shape,
) -> None:
    made = files(shape, names("acme.glu", "Acme", "Glu 7", ()), "0.1.0")
    whole = Submission({name: text.encode() for name, text in made.items()})

    told = list(unwritten(whole))

    assert [line.split()[0].rsplit("/", 1)[-1] for line in told] == ["README.md", "glu-7.toml"]
    assert list(unwritten(bundle())) == []
