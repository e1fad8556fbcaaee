"""The wire in words, for someone who writes a client and has nothing of ours. Text alone; numbers come from the code."""

from collections.abc import Iterable

from gateway.model.kinds import KINDS
from gateway.model.marks import DOUBTED, SUMMARY, WITHHELD
from gateway.model.observation import UTC_YEARS
from gateway.wire.envelope import BODY_BYTES_MAX, COUNT_MAX, HEADER_BYTES_MAX, WIRE_BYTES_MAX
from gateway.wire.nesting import NESTING_MAX
from gateway.wire.receipts import LISTED_MAX, NONCE_MAX, QUESTION_BYTES_MAX, RANGES_MAX
from gateway.wire.status import STATUS_BYTES_MAX
from gateway.wire.topics import NAME


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


ABOUT = f"""\
How a box hands readings of medical devices to the cloud, and learns what became of each. This document takes the **box's** side: what it sends goes
`up`, what it receives comes `down`. The types stand in `components.schemas`, and alone in `schema.json` beside this file.

**Names.** A topic is `vitalgate/v1/{{tenant}}/{{agent}}/up|down/leaf`. `tenant` and `agent` match `{NAME.pattern}`. A box writes to `up` and reads `down` of
its own branch only. No topic or payload names a patient.

**MQTT.** 3.1.1 or 5; QoS 1 in both directions. Only `up/status` is retained, and a box sets its last will there (`online: false`). Subscribe to
`down/receipts` and `down/ledger` before the first envelope is sent. The broker's PUBACK proves nothing: brokers lose what they have acknowledged.

**The rule above all.** Keep each reading on disk, with its number and its key, until a *receipt* covers that number. Until then send it again
(after some 5 s, then less and less often). A message may be lost, doubled or overtaken, in both directions; none of that does harm.

**Unknown fields** are ignored, by both sides. Fields that have a `default` in their schema are left out where they have that value. What is an
`integer` is written without fraction or exponent (`77`, neither `77.0` nor `7.7e1`). A string holds no half of a surrogate pair.
Nothing is nested over {NESTING_MAX} deep.
"""

ENVELOPE = f"""\
The payload is bytes: one header line, one octet 0x0A, the body up to the end of the payload.

1. The **header line** is a JSON object in UTF-8 without a line break inside, at most {HEADER_BYTES_MAX} bytes: schema `Header`. `agent` is that of the topic.
2. The **body** is a JSON object in UTF-8: schema `Body`, with `count` observations. `encoding` says how it travels: `json` as it is; `json+zstd` as one
   Zstandard frame (RFC 8878, no dictionary). Either may be used at any size.
3. `sha256` in the header is SHA-256 over the body's bytes **as they travel** (after compression), in 64 lower-case hex digits.
4. The **name of an envelope** is SHA-256 over the *whole* payload (header line, line break, body), in 64 lower-case hex digits: receipts use it.
   An envelope that is sent again with the same bytes has the same name.

Limits: payload {WIRE_BYTES_MAX} bytes, body {BODY_BYTES_MAX} bytes once decompressed, {COUNT_MAX} observations. The broker may have a lower one. A longer payload
may be left without a receipt: never make one.

**A wrong clock.** `clock_off_s` in the header, where the box knows at sending that the clock that its body's times rest on was wrong: the cloud adds it to
`accepted`, and to `time.utc` unless `time.method` is `assumed`. Rows that rest on clocks further apart than a second do not share an envelope. A box that
boots without a clock learns from `at` in a ledger answer how far it is off. Leave `time.box_off_s` out: it is for readers of the journal.

**Numbers.** The observations of the body have the ledger numbers `first`, `first + 1`, … `first + count - 1` of (`agent`, `epoch`). A box numbers its
readings 1, 2, 3, … without a gap, when it puts them on disk; a number belongs to one observation key for ever. An **epoch** is 64 random bits (16
lower-case hex digits), drawn by a box that has no numbers, kept on disk with them; in each epoch numbers begin at 1. A resend may be cut differently:
each number is settled for itself.

**Keys.** `key` is what makes a measurement this one and no other: the same measurement, read again by whatever box and at whatever time, must get
the same key, two measurements never the same. To the cloud it is opaque: a day `YYYYMMDD`, `-`, a scheme (`r` record number, `c` device clock and content,
`a` arrival), `-`, 32 hex digits. `content` is 32 hex digits of a hash over values and units alone, equal for equal values (the cloud itself compares values). `device` is a pseudonym of 20 hex digits.
No message changes a reading or takes it back. A key that comes again with other values or units is kept beside the first, for a person to compare; what is
voided is voided in the cloud by a person, and stays settled for the box.

**Values** are strings with the digits that the device showed. A value off the device's scale has `beyond` instead. A part has a `value`, a `beyond`,
or both (then `value` is the bound: send it, for without one no rule can judge the part). Parts of known kinds must be in the unit in which they are stored, with `original` beside what was converted:
{"; ".join(f"`{kind.name}`: " + ", ".join(f"{part} `{unit}`" for part, unit in kind.parts.items()) for kind in KINDS.values())}. Other kinds and parts are kept
as they come, and no rule judges them. Names count letter by letter: a known kind or part in other letters (`Glucose`) is parked. A rule whose limit
is published in the unit of `original` judges that value, so it must be the same one. `parts` may be empty, where the device told no number.

**Marks** are words, any of which may be sent. These change what the cloud does: {_listed(WITHHELD)} are never judged (kept, shown, no alert);
{_listed(DOUBTED)} say that the device itself doubts the value: an alert of it is one level lower, to measure again, and it confirms no other;
`{SUMMARY}` is computed over a stretch of a stream, the one in which it lies.

**Who told it.** `source` is `pushed` where the device told of the measurement by itself right after making it, `memory` where it was read out later: of unknown
time, only what was pushed can page. `driver` and `profile` name the program that read it and the model, `transport` the way (`ble`, `serial`). Equal values of
one device within some minutes, where a key is of scheme `a` or the ways differ, make the later a suspected repeat: it is kept, and confirms nothing.

**Times** (`time.utc`, `accepted`) are real moments in the years {UTC_YEARS[0]} to {UTC_YEARS[-1]}, in milliseconds, with `Z`. The measurement lies
between `utc - early_s` and `utc + late_s`; say so honestly: who wore the device then is decided by that interval. `early_s` absent: nothing bounds it.
`method` says how `utc` is known: `corrected`, the device's clock was read at that visit, beside the box's; `assumed`, it was not, and is taken as local time; `arrival`,
the device gave no usable time, and `utc` is when the reading reached the box. `known` is false for the last, unless the visit itself saw it being measured.

**What becomes of it.** An observation that can't be read is parked alone, with its number. A body that can't be read (hash, encoding, size, count, unknown major
version in `schema`) is parked whole, and receipted as parked. A header that can't be read, or that names another agent than the topic, is never receipted.
"""

RECEIPT = """\
One for each envelope, again each time that the envelope comes again. `envelope` is its name: SHA-256 over the whole payload that was sent.
Every number of that envelope is **stored**, except those in `duplicates` (this measurement was stored before, under another number) and those in `parked`
(kept as it came, but not filed; `why` is for a person). All three are settled: the box need not keep them for the cloud's sake. A receipt for a name that
the box does not know means nothing. `store` names the cloud's store; `commit` only rises for one box and store: a lower one than a minute before, or
another store, means that the cloud lost its memory: ask the ledger. `new_epoch: true`: numbers of this epoch hold other measurements already (a box restored
from an image): both are kept; number further readings in a new epoch.
"""

QUESTION = f"""\
What does the cloud hold of me? Asked at each connection, once a day, and when a receipt gives cause. `nonce` is of the box's choosing, 1 to {NONCE_MAX} characters,
new for each question; the whole question has at most {QUESTION_BYTES_MAX} bytes. No answer may come: ask again, with a new nonce.
"""

ANSWER = f"""\
The answer to the question with this `nonce`; any other is ignored. For each epoch the numbers that are held, in ranges (at most {RANGES_MAX} in all: the newest), and
apart from them, and not summed, numbers that are parked and numbers that two keys claim (`two_keys`; at most {LISTED_MAX} in all). An epoch that is not
named is not held at all. `at` is the cloud's time when it answered. What the box believed settled and the cloud does not hold is to be sent again.

**Digest** of a range: for each number the 8-byte BLAKE2b hash (`digest_size=8`, no key) of the text `number:key` in UTF-8, read as a big-endian integer; their sum
modulo 2^64, in 16 lower-case hex digits. Digests are additive: neighbouring ranges add up.
"""

STATUS = f"""\
What a box says of itself, every 10 s or so: retained, at most {STATUS_BYTES_MAX} bytes. `issued` is the highest number of `epoch`, so that the cloud can tell a missing tail. The last will is a status with
`online: false`, which the broker publishes when the box goes without a word.
"""

RESERVED = "Reserved: in version 1 nothing is said here. Neither publish to it nor expect anything."
