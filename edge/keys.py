"""The tenant's key on disk: read, or made once, and refused where others could read it. Encrypts nothing."""

import hashlib
import hmac
import os
import stat
from pathlib import Path

from gateway.runtime.clock import random_hex
from gateway.runtime.errors import ConfigError

KEY_BITS = 256
KEY_HEX_MIN = 32  # 128 bits
KEY_FILE_BYTES_MAX = 4096
KEY_FILE = "tenant.key"


def tenant_key(data_dir: Path, given: Path | None) -> bytes:
    """The key under which devices get their pseudonyms: of the file given, else of `data_dir`, where it is made if absent.

    Raises ConfigError for a file that is absent, unreadable, no key, or open to others.
    """
    path = given or data_dir / KEY_FILE
    if given is None and not path.exists():
        _make(path)
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            told = file.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refusal(path, error.strerror or str(error), "the path of a key file") from error
    if mode & 0o077:
        raise _refusal(path, f"mode {mode:04o} lets others read it", f"chmod 600 {path}")
    return _parse(path, told)


def mark_of(key: bytes) -> str:
    """16 hex digits by which a key is known again, and from which nobody gets it."""
    return hmac.new(key, b"vitalgate: the mark of this key", hashlib.sha256).hexdigest()[:16]


def _parse(path: Path, told: bytes) -> bytes:
    try:
        text = told.decode("ascii").strip()
        key = bytes.fromhex(text)
    except ValueError as error:
        raise _refusal(path, "is no hexadecimal text", f"{KEY_BITS // 4} hex digits") from error
    if len(text) < KEY_HEX_MIN or len(told) > KEY_FILE_BYTES_MAX:
        raise _refusal(
            path,
            f"has {len(text)} hex digits; {KEY_HEX_MIN} are the least",
            f"{KEY_BITS // 4} hex digits",
        )
    return key


def _make(path: Path) -> None:
    # Written whole under another name first: a power cut leaves a key or none, never half of one.
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, f"{random_hex(KEY_BITS)}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refusal(path: Path, why: str, instead: str) -> ConfigError:
    return ConfigError(str(path), "tenant_key_file", why, instead)
