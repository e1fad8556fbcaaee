"""What a world replaces around it while it runs: random bits from its seed, no log, no collector. Decides nothing."""

import gc
from collections.abc import Generator
from contextlib import contextmanager
from random import Random
from typing import Any, NoReturn

import structlog

from gateway.runtime import clock


class _SeededBits:
    """Stands where the operating system's random bits come from."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def token_hex(self, size: int) -> str:
        """So many octets."""
        return self._rng.randbytes(size).hex()


@contextmanager
def seeded(seed: object) -> Generator[None]:
    """Inside, the product's random bits come from the seed."""
    real: Any = clock.secrets  # type: ignore[attr-defined]
    clock.secrets = _SeededBits(Random(f"bits {seed}"))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        clock.secrets = real  # type: ignore[attr-defined]


@contextmanager
def uncollected() -> Generator[None]:
    """A world leaves little behind, which is collected once, at its end; what was there before it is not looked through."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.enable()
        gc.unfreeze()


@contextmanager
def quiet() -> Generator[None]:
    """Inside, nothing is logged."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(_logger: object, _method: str, _event: object) -> NoReturn:
    raise structlog.DropEvent
