"""What the cloud says of envelopes, done to the outbox. Garbage is counted, never fatal, and no payload is ever logged."""

import msgspec

from edge.inflight import Inflight
from edge.ledger_check import LedgerCheck
from edge.outbox.port import AsyncOutbox
from edge.outbox.settling import ReceiptError
from gateway.runtime import log
from gateway.runtime.counters import Counters
from gateway.wire.receipts import RECEIPT, Receipt, decode_receipt

_log = log.get("receipts")


class Receipting:
    """Settles what a receipt covers: the rows that this box sent in that very envelope, and no others."""

    def __init__(
        self,
        outbox: AsyncOutbox,
        inflight: Inflight,
        ledger: LedgerCheck,
        counters: Counters,
        *,
        agent: str,
    ) -> None:
        """`agent`: receipts for any other are ignored."""
        self._outbox = outbox
        self._inflight = inflight
        self._ledger = ledger
        self._counters = counters
        self._agent = agent

    async def heard(self, payload: bytes) -> bool:
        """Take one receipt. True where it settled something. Raises StoreError."""
        receipt = self._read(payload)
        if receipt is None:
            return False
        sent = self._inflight.find(receipt.envelope)
        if sent is None:
            # Sent before this start, or never: its rows go again and are receipted again.
            self._counters.add("receipts.unknown")
            return False
        if receipt.epoch != sent.epoch:
            self._counters.add("receipts.foreign")
            return False
        await self._ledger.receipted(receipt.store, receipt.commit)
        try:
            settled = await self._outbox.settle(sent.ids, receipt)
        except ReceiptError as fault:
            self._counters.add("receipts.refused")
            _log.error("receipt.refused", why=str(fault))
            return False
        self._inflight.settled(receipt.envelope)
        for outcome in ("stored", "duplicate", "parked", "again"):
            if count := getattr(settled, outcome):
                self._counters.add(f"receipts.{outcome}", count)
        if settled.parked:
            _log.error("readings.parked", count=settled.parked, epoch=sent.epoch)
        if receipt.new_epoch and await self._outbox.new_epoch(
            "the cloud holds other readings under these numbers", instead_of=sent.epoch
        ):
            self._counters.add("receipts.new_epoch")
            _log.error("epoch.new", instead_of=sent.epoch)
        return True

    def _read(self, payload: bytes) -> Receipt | None:
        try:
            receipt = decode_receipt(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._counters.add("receipts.garbage")
            _log.warning("receipt.garbage", size=len(payload))
            return None
        if receipt.schema != RECEIPT:
            self._counters.add("receipts.unknown_schema")
            return None
        if receipt.agent != self._agent:
            self._counters.add("receipts.foreign")
            return None
        return receipt
