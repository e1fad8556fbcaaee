"""What a watched driver is blamed for: its own calls, not those of another's finalizers."""

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from device_profiles.loader import load_catalogue
from drivers.testing.watch import Watched
from gateway.contract.session import CONTRACT, Closed, Command, Event, Session, UnitInfo


class Finalized:
    """Garbage only for the collector: it refers to itself."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        os.getpid()


@dataclass
class Allocating:
    """Makes so much that the collector would run many times; `asks`: also calls what no driver may."""

    asks: bool
    id = "acme.allocating"
    contract = CONTRACT

    def open(self, unit: UnitInfo) -> Session:  # noqa: ARG002 the contract names it
        return self

    def on(self, event: Event) -> Iterator[Command]:  # noqa: ARG002 the contract names it
        assert [[number] for number in range(5000)]
        if self.asks:
            os.getpid()
        yield from ()


@pytest.mark.parametrize("calls", [[], ["posix.getpid"]])
def test_a_driver_is_blamed_for_its_own_calls_and_not_for_what_the_collector_runs(
    calls: list[str],
) -> None:
    called: list[str] = []
    unit = UnitInfo(load_catalogue()["generic/blood-pressure"].profile)
    session = Watched(Allocating(bool(calls)), called.append).open(unit)
    litter = [Finalized() for _ in range(100)]
    del litter

    assert not list(session.on(Closed(0.0)))

    assert called == calls
    assert gc.isenabled()
