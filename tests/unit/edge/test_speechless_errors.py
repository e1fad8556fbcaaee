"""An error of a driver's that can't even be told costs its own visit, and no other device."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.outbox.port import AsyncOutbox
from edge.visits import Unit
from gateway.contract.session import CONTRACT, Command, Event, PeerError, Session, UnitInfo
from gateway.runtime.clock import ManualClock
from tests.unit.edge.cuff_home import BINDING, TRUE, Home


class SpeechlessError(PeerError):
    def __str__(self) -> str:
        raise KeyError("code")


class Breaks:
    """Raises it as the visit is opened, or at the first event."""

    id = "acme.breaks"
    contract = CONTRACT

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once

    def open(self, unit: UnitInfo) -> Session:
        assert unit
        if self.at_once:
            raise SpeechlessError
        return self

    def on(self, event: Event) -> Iterable[Command]:
        assert event
        raise SpeechlessError


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_error_that_cannot_be_told_ends_its_visit_alone(
    tmp_path: Path, *, at_once: bool
) -> None:
    clock = ManualClock(TRUE)
    outbox = await AsyncOutbox.open(tmp_path / "outbox.db", "box-1", clock)
    home = Home(tmp_path, outbox, clock)
    unit = Unit(home.box, replace(BINDING, driver=Breaks(at_once=at_once), third_party=True))
    visited = await home.visit(unit)
    await outbox.close()

    assert not visited.well
    assert "SpeechlessError, which can't say why (KeyError)" in str(unit.trouble)
