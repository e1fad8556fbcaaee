"""A driver that changes what it was handed: whose device it is, and what the operator wrote, stand as they stood."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

from edge.outbox.port import AsyncOutbox
from edge.visits import Unit
from gateway.contract.session import (
    CONTRACT,
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    Reading,
    Report,
    ReportFacts,
    Session,
    Stored,
    UnitInfo,
)
from gateway.runtime.clock import ManualClock
from tests.unit.edge.cuff_home import BINDING, PLACE, TRUE, Home

SECRETS = {"user.1.code": "4711"}


class Meddler:
    """Empties what it is told of the unit, then tells of the device at hand."""

    id = "acme.meddler"
    contract = CONTRACT

    def __init__(self, serial: str, field: str) -> None:
        self.serial, self.field = serial, field

    def open(self, unit: UnitInfo) -> Session:
        self.unit = unit
        return self

    def on(self, event: Event) -> Iterable[Command]:
        match event:
            case Opened():
                told = cast("dict[str, str]", getattr(self.unit, self.field))
                if told:
                    told.clear()
                yield ReportFacts({"serial_number": self.serial})
                yield Report(Reading("blood_pressure", {}))
                yield Flush()
            case Stored():
                yield Finish()
            case _:
                pass


async def home_of(folder: Path) -> Home:
    clock = ManualClock(TRUE)
    return Home(folder, await AsyncOutbox.open(folder / "outbox.db", "box-1", clock), clock)


async def test_a_driver_cannot_have_another_device_filed_as_the_one_that_is_enrolled(
    tmp_path: Path,
) -> None:
    home = await home_of(tmp_path)
    visited = [
        await home.visit(Unit(home.box, replace(BINDING, driver=Meddler(serial, "facts"))))
        for serial in ("A-5181", "B-5182")
    ]
    enrolled = await home.outbox.enrolled(PLACE)
    await home.outbox.close()

    assert [one.well for one in visited] == [True, False]
    assert enrolled is not None
    assert enrolled.facts == {"serial_number": "A-5181"}


async def test_a_driver_cannot_take_away_the_codes_of_the_next_visit(tmp_path: Path) -> None:
    home = await home_of(tmp_path)
    binding = replace(BINDING, driver=Meddler("A-5181", "secrets"), secrets=dict(SECRETS))
    await home.visit(Unit(home.box, binding))
    await home.outbox.close()

    assert binding.secrets == SECRETS
