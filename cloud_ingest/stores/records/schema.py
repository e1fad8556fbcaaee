"""The relational schema, as SQLAlchemy tables. Migrations create it; nothing here opens a database.

Times are whole microseconds since 1970 (UTC), in columns that end in `_us`. A *subject* is a patient id, or `device:<id>` for a
device that is bound to nobody. Random rows per observation are kept down: each scattered page costs more than all else.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite numbers rows itself only for INTEGER; elsewhere the same column is a bigint.
RowId = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

# One row an envelope, as received. `fate` is JSON: one entry a position (see stores/fate.py). `contents` is what a repeat is
# compared with (see claims.py); null in the rows of before revision 0005, whose payload is read instead.
journal = Table(
    "journal",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    Column("agent", String, nullable=False),
    Column("epoch", String, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("fate", LargeBinary, nullable=False),
    Column("contents", LargeBinary),
    sqlite_autoincrement=True,
)

keys = Table(
    "keys",
    metadata,
    Column("key", String, primary_key=True),
    Column("journal", RowId, nullable=False),
    Column("position", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Which numbers of which box are held, in ranges; `digest` is the additive digest of the range, 16 hex digits.
ledger = Table(
    "ledger",
    metadata,
    Column("agent", String, nullable=False),
    Column("epoch", String, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("digest", String(16), nullable=False),
    Column("journal", RowId, nullable=False),
    PrimaryKeyConstraint("agent", "epoch", "first"),
    sqlite_with_rowid=False,
)

# Numbers that are listed apart: parked ones (key is empty), and second keys of a number that is held with another.
ledger_apart = Table(
    "ledger_apart",
    metadata,
    Column("agent", String, nullable=False),
    Column("epoch", String, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("key", String, nullable=False),
    Column("journal", RowId),  # null: what came could not be read, and its bytes are in `parked`
    Column("why", Text, nullable=False),
    PrimaryKeyConstraint("agent", "epoch", "n", "key"),
    sqlite_with_rowid=False,
)

boxes = Table(
    "boxes",
    metadata,
    Column("agent", String, primary_key=True),
    Column("commit_no", BigInteger, nullable=False, server_default=text("0")),
    Column("heard_us", BigInteger),
    Column("status", LargeBinary),  # the last `up/status` as received
    Column("status_us", BigInteger),
)

# The bytes of what could not be read, by hash, so that poison is kept once and seen by a person.
parked = Table(
    "parked",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("agent", String, index=True),
    Column("why", Text, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("key", String, nullable=False, index=True),
    Column("journal", RowId, nullable=False),
    Column("position", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

patients = Table(
    "patients",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("born", String),  # YYYY-MM-DD
    Column(
        "condition", Text, nullable=False, server_default=""
    ),  # what is followed, in words: "Hypertension"
    Column("created_us", BigInteger, nullable=False),
)

bindings = Table(
    "bindings",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("device", String, nullable=False, index=True),
    Column("slot", String),  # a device's user slot; null binds every slot
    Column("patient", String, ForeignKey("patients.id"), nullable=False),
    Column("from_us", BigInteger),  # null: since always
    Column("to_us", BigInteger),  # null: until further notice; else exclusive
)

# The row that is locked while a subject is judged: rule state, slot counter, window of content hashes (MessagePack: rules/state.py).
rule_state = Table(
    "rule_state",
    metadata,
    Column("subject", String, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)

# One row a value and rule whose limit it crosses, confirmed or not: one measurement may be told with other content (a conflict),
# and that be another patient's.
flags = Table(
    "flags",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("key", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("measured_us", BigInteger, nullable=False),
    Column("shown", Text, nullable=False),  # "192/124 mm[Hg]": the value that crossed
    Column("limit", Text, nullable=False),  # "systolic >= 180 mm[Hg] or diastolic >= 120 mm[Hg]"
    Column("how", String, nullable=False),  # live | late
    Column("confirmed", Boolean, nullable=False),
    UniqueConstraint("key", "rule", "subject", "shown"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String, primary_key=True),
    Column("patient", String, nullable=False),  # a patient, never an unbound device
    Column("condition", String, nullable=False),  # the rule's id
    Column("severity", String, nullable=False),
    Column("state", String, nullable=False),  # gateway.model.alert.AlertState
    Column("how", String, nullable=False),  # live | late: late ones never page
    Column("key", String, nullable=False),  # the reading that caused it
    Column("shown", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("measured_us", BigInteger, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("answer_by_us", BigInteger, nullable=False),
    Column("last_key", String, nullable=False),  # the newest reading that belongs to it
    Column("readings", Integer, nullable=False),
    Column("acknowledged_us", BigInteger),
    Column("acknowledged_by", Text),
    Column("resolved_us", BigInteger),
)
Index(
    "one_unresolved_alert",
    alerts.c.patient,
    alerts.c.condition,
    unique=True,
    sqlite_where=alerts.c.state != "resolved",
    postgresql_where=alerts.c.state != "resolved",
)

alert_events = Table(
    "alert_events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("alert", String, ForeignKey("alerts.id"), nullable=False, index=True),
    Column("at_us", BigInteger, nullable=False),
    Column(
        "what", String, nullable=False
    ),  # opened | joined | parted | paged-late | acknowledged | overdue | resolved | voided
    Column("who", Text, nullable=False),
    Column("key", String),
    Column("why", Text),  # the reason that a person gave
)

# What a clock triggers: acted on in a transaction of its own that locks the subject, then this row, and looks again.
due = Table(
    "due",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("subject", String, nullable=False),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("what", String, nullable=False),  # unconfirmed | unanswered
    Column("about", String, nullable=False),  # a key, or an alert's id
)

# Readings that no binding covers for the whole interval in which they can have been taken.
inbox = Table(
    "inbox",
    metadata,
    Column("key", String, primary_key=True),
    Column("device", String, nullable=False),
    Column("arrived_us", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("patient", String, ForeignKey("patients.id")),  # once assigned
    Column("assigned_us", BigInteger),
    Column("assigned_by", Text),
)
# For those that wait (patient null), newest first, as the console asks each time that something comes; and for a patient's own.
Index("waiting", inbox.c.patient, inbox.c.arrived_us)

# Points to write anew outside the journal's order (a reading was assigned): read and deleted by the projection.
repoints = Table(
    "repoints",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("journal", RowId, nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("old_subject", String, nullable=False),
    Column("old_device", String, nullable=False),
    Column("old_time_us", BigInteger, nullable=False),
)

# Each run of `record void`: who took which readings out, and why. Never deleted.
voidings = Table(
    "voidings",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("begun_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),  # null: interrupted, or under way
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("criteria", Text, nullable=False),  # JSON: stores/records/criteria.py
    Column("readings", BigInteger, nullable=False),
    Column("alerts", BigInteger, nullable=False),  # that ended by it
    sqlite_autoincrement=True,
)

# The readings that it took out, as the console finds them: `fate` says the same to whoever reads the journal.
voided = Table(
    "voided",
    metadata,
    Column("journal", RowId, nullable=False),
    Column("position", Integer, nullable=False),
    Column("key", String, nullable=False, index=True),
    Column("subject", String, nullable=False),
    Column("measured_us", BigInteger, nullable=False),
    Column("voiding", RowId, ForeignKey("voidings.id"), nullable=False),
    PrimaryKeyConstraint("journal", "position"),
    sqlite_with_rowid=False,
)
Index("voided_of", voided.c.subject, voided.c.measured_us)

projection = Table(
    "projection",
    metadata,
    Column("writer", String, primary_key=True),
    Column("journal", RowId, nullable=False),  # everything up to here is in the time series
    Column("at_us", BigInteger, nullable=False),
)

# Points that the time series refused, with its words; the journal still holds the reading. By place: two values of one key are two.
unprojected = Table(
    "unprojected",
    metadata,
    Column("key", String, nullable=False, index=True),
    Column("journal", RowId, nullable=False),
    Column("position", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("journal", "position"),
)

console_links = Table(
    "console_links",
    metadata,
    Column(
        "sha256", LargeBinary(32), primary_key=True
    ),  # of the one-time token, which itself is never stored
    Column("created_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
)

console_sessions = Table(
    "console_sessions",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("who", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
