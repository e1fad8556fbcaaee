"""What a driver says holds octets that are no text: it costs its own visit at most, and no other device."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from edge.outbox.port import AsyncOutbox
from edge.visits import Unit
from gateway.contract.session import (
    CONTRACT,
    Command,
    Event,
    Finish,
    Opened,
    PeerError,
    ReportFacts,
    Session,
    UnitInfo,
)
from gateway.runtime.clock import ManualClock
from tests.unit.edge.cuff_home import BINDING, PLACE, TRUE, Home

OCTETS = b"ERR \xff\xfe"


NO_TEXT = OCTETS.decode("ascii", "surrogateescape")


class Quotes:
    """Says who the device is, and then what it read, as a serial meter's driver may."""

    id = "acme.quotes"
    contract = CONTRACT

    def __init__(self, facts: Mapping[str, str], fault: PeerError | None = None) -> None:
        self.facts, self.fault = facts, fault

    def open(self, unit: UnitInfo) -> Session:
        assert unit
        return self

    def on(self, event: Event) -> Iterable[Command]:
        if isinstance(event, Opened):
            yield ReportFacts(self.facts)
            if self.fault is not None:
                raise self.fault
            yield Finish()


async def home_of(folder: Path) -> Home:
    clock = ManualClock(TRUE)
    return Home(folder, await AsyncOutbox.open(folder / "outbox.db", "box-1", clock), clock)


async def test_a_fault_that_quotes_octets_is_told_and_ends_its_visit_alone(tmp_path: Path) -> None:
    home = await home_of(tmp_path)
    driver = Quotes({"serial_number": "A-5181"}, PeerError(f"answers {NO_TEXT}"))
    unit = Unit(home.box, replace(BINDING, driver=driver, third_party=True))
    visited = await home.visit(unit)
    (device,) = (await home.outbox.status()).devices
    enrolled = await home.outbox.enrolled(PLACE)
    await home.outbox.close()

    assert not visited.well
    assert enrolled is not None
    assert device.trouble is not None
    assert "answers ERR" in device.trouble
    assert device.trouble == unit.trouble


async def test_a_fact_whose_name_is_no_text_is_kept_by_what_can_be_printed_of_it(
    tmp_path: Path,
) -> None:
    home = await home_of(tmp_path)
    driver = Quotes({"serial_number": "A-5181", NO_TEXT: NO_TEXT})
    visited = await home.visit(Unit(home.box, replace(BINDING, driver=driver, third_party=True)))
    enrolled = await home.outbox.enrolled(PLACE)
    await home.outbox.close()

    assert visited.well
    assert enrolled is not None
    assert enrolled.facts == {"serial_number": "A-5181", "ERR": "ERR"}
