"""What goes into the records and what comes out: deliveries, verdicts, patients, bindings. Values only, and their limits."""

from dataclasses import dataclass
from datetime import datetime

from cloud_ingest.live import News
from gateway.wire.receipts import Receipt
from gateway.wire.topics import Branch


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as the broker handed it over. `received` is this machine's UTC."""

    topic: str
    payload: bytes
    received: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a delivery. The receipt goes to `branch`'s `down/receipts`.

    `receipt` is None for what has no sender that could be answered: parked by its hash. `readings`: newly stored ones.
    """

    receipt: Receipt | None
    branch: Branch | None
    news: tuple[News, ...]
    readings: int


@dataclass(frozen=True, slots=True)
class Patient:
    """A person who is followed. `born` is YYYY-MM-DD; `condition` is words (`Hypertension`)."""

    id: str
    name: str
    born: str | None
    condition: str


@dataclass(frozen=True, slots=True)
class Binding:
    """Whose readings a device (or one user slot of it) gives, from `from_us` until before `to_us`.

    None: since always, and until further notice. `slot` None binds every slot.
    """

    id: int
    device: str
    slot: str | None
    patient: str
    from_us: int | None
    to_us: int | None


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A reading that waits in the inbox. `shown` is its value as the device gave it."""

    key: str
    device: str
    kind: str
    shown: str
    measured_us: int
    time_known: bool
    arrived_us: int
    why: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding just made, and how many readings in the inbox it would cover: they wait until a person assigns them."""

    binding: Binding
    waiting: int
