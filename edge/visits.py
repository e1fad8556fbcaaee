"""One enrolled place and the visits to it, from opening the link to what the operator is told. Files nothing itself."""

from collections.abc import Awaitable, Callable

from edge.binding import Binding
from edge.drive import Ended, Outcome, drive
from edge.enrol import Standing
from edge.filing import Box, Filing
from edge.links.arrival import Arrivals
from edge.links.ble import NotPairedError, TurnedAwayError
from edge.links.recording import Recording
from edge.scan import Visited
from gateway.contract.session import Driver, Link, UnitInfo
from gateway.runtime import log
from gateway.runtime.errors import LinkError, StoreError, said

_log = log.get("visits")

# One that is out of reach for a moment also hangs up before it has answered; one that wants to be paired does each time.
SILENT_VISITS = 3
SILENT = "the device hung up before it said anything"

OpenLink = Callable[[Callable[[], float]], Awaitable[Link]]


class Unit:
    """One enrolled place. `trouble` says what is wrong with it, for people."""

    def __init__(self, box: Box, binding: Binding) -> None:
        """Not visited yet."""
        self._box, self.binding = box, binding
        barred = box.quarantine.why_not(binding.profile.driver)
        self.trouble = f"unserved: {barred}" if barred else None
        self._replaced = False
        self._silent = 0  # visits in a row that ended before it answered anything

    async def visit(self, open_link: OpenLink, standing: Standing) -> Visited:
        """One visit, to its end. What fails is told in `trouble` and in how it was visited; our own bugs pass."""
        driver = self.binding.driver
        barred = self._box.quarantine.why_not(self.binding.profile.driver)
        if barred or driver is None:
            self.trouble = f"unserved: {barred}"
            return Visited(well=False)
        self._box.counters.add("visits.begun")
        before = self.trouble
        try:
            async with self._box.quarantine.turn(self.binding.profile.driver):
                visited = await self._visit(driver, open_link, standing)
        except (LinkError, StoreError) as fault:
            self.trouble = str(fault)
            visited = Visited(well=False, unpaired=isinstance(fault, NotPairedError))
            if isinstance(fault, TurnedAwayError | NotPairedError):
                await self._note_silence()
        if not visited.well:
            self._box.counters.add("visits.failed")
        if not visited.well and self.trouble != before:  # a port that stays absent is told of once
            _log.warning("visit.failed", place=self.binding.place, why=self.trouble)
        return visited

    async def _visit(self, driver: Driver, open_link: OpenLink, standing: Standing) -> Visited:
        box, binding = self._box, self.binding
        enrolled = await box.outbox.enrolled(binding.place)
        cursor = await box.outbox.cursor(enrolled.device) if enrolled else None
        arrivals = Arrivals(box.clock)
        filing = Filing(box, binding, standing, enrolled)
        info = await filing.unit(cursor)
        link = self._recorded(await open_link(arrivals.now), cursor)
        filing.reached(arrivals.now, lambda: driver.open(info))
        ended = await self._driven(driver, info, link, filing)
        return await self._settled(ended, filing)

    def _recorded(self, link: Link, cursor: str | None) -> Link:
        if self._box.shelf is None:
            return link
        try:
            return Recording(link, self._box.shelf.tape(self.binding.profile, cursor))
        except StoreError as fault:  # a folder that is full costs the capture, and no reading
            _log.warning("recording.failed", why=str(fault))
            return link

    async def _driven(self, driver: Driver, info: UnitInfo, link: Link, filing: Filing) -> Ended:
        quarantine, name = self._box.quarantine, self.binding.profile.driver
        third_party = self.binding.third_party
        try:
            quarantine.begin(name, third_party=third_party)
        except StoreError:
            await link.close()
            raise
        bug: Exception | None = None
        try:
            try:
                session = driver.open(info)
            except BaseException as error:  # noqa: BLE001 a vendor's code ends here, as in the visit loop
                await link.close()
                bug = RuntimeError(f"raised {type(error).__name__}: {said(error)}")
                return Ended(Outcome.BUG, str(bug), bug)
            ended = await drive(
                session,
                link,
                filing,
                deadline_s=self.binding.profile.deadline_s,
                now=filing.now,
                keep_history=self.binding.profile.deletes_on_confirm,
            )
            bug = ended.error if ended.outcome is Outcome.BUG else None
            return ended
        finally:
            quarantine.end(name, bug, third_party=third_party)

    async def _settled(self, ended: Ended, filing: Filing) -> Visited:
        box = self._box
        box.counters.add(f"visits.{ended.outcome.name.lower()}")
        box.counters.add("readings.new", filing.fresh)
        self._silent = self._silent + 1 if isinstance(ended.error, TurnedAwayError) else 0
        well = ended.outcome is Outcome.FINISHED or (
            # Cuffs hang up by themselves when they have told all; what streams is carried out of reach.
            ended.outcome is Outcome.CLOSED and filing.told > 0 and self.binding.profile.told_once
        )
        self.trouble = None if well else self._in_words(ended)
        if filing.lost:
            self.trouble = (
                f"{filing.lost} frames could not be read, and could not be kept: {filing.lost_why}"
            )
        if ended.outcome is Outcome.MISFIT:
            return await self._replaced_or_not(filing)
        self._replaced = False
        await filing.note(self.trouble)
        if well:
            await filing.note_emptied(ended)
        return Visited(well, filing.fresh, unpaired=isinstance(ended.error, NotPairedError))

    async def _replaced_or_not(self, filing: Filing) -> Visited:
        """On a port another meter is read as its own device; at an address another device is trouble."""
        if filing.other is None or self._replaced:
            await filing.note_trouble(self.trouble)
            return Visited(well=False)
        self._replaced = True
        self._box.counters.add("devices.replaced")
        await filing.enrol_other()
        return Visited(well=True, again=True)

    def _in_words(self, ended: Ended) -> str:
        outcome = ended.outcome.value
        if not isinstance(ended.error, TurnedAwayError):
            return f"{outcome}: {ended.why}" if ended.why else outcome
        return ended.why if self._silent >= SILENT_VISITS else f"{outcome}: {SILENT}"

    async def _note_silence(self) -> None:
        """It was reached, and hung up before anything of it was known: once that goes on, the cloud is told, too."""
        self._silent += 1
        if self._silent < SILENT_VISITS:
            return
        try:
            if enrolled := await self._box.outbox.enrolled(self.binding.place):
                await self._box.outbox.note_device(enrolled.device, trouble=self.trouble)
        except StoreError as fault:
            _log.warning("trouble.not_noted", why=str(fault))
