"""One worked example of each message, that belong together: what a box says, and what it is answered. Made by our own code."""

import hashlib

import msgspec

from gateway.model.identity import ledger_digest
from gateway.model.observation import (
    Beyond,
    Moment,
    Observation,
    Original,
    Part,
    Source,
    TimeMethod,
)
from gateway.wire.envelope import SCHEMA, Body, Header, envelope_hash
from gateway.wire.receipts import Answer, Held, HeldEpoch, Parked, Question, Receipt
from gateway.wire.status import DeviceStatus, Status

AGENT, EPOCH, FIRST = "box-1", "5f0c3a9be1d27748", 41
DEVICE = "4be0643f1d98573b97cd"
STORE = "c1a50b3e6f2d4879"

PRESSURE = Observation(
    key="20260314-c-0f343b0931126a20f133d67c2b018a3b",
    device=DEVICE,
    kind="blood_pressure",
    parts={
        "systolic": Part(unit="mm[Hg]", value="128"),
        "diastolic": Part(unit="mm[Hg]", value="82"),
    },
    time=Moment(
        utc="2026-03-13T23:05:09.000Z",
        method=TimeMethod.CORRECTED,
        early_s=1.5,
        late_s=1.5,
        device="2026-03-14T07:05:09",
        offset_s=-28_800.0,
        zone="Asia/Shanghai",
    ),
    content="4a7d1ed414474e4033ac29ccb8653d9b",
    source=Source.PUSHED,
    accepted="2026-03-13T23:05:12.418Z",
    driver="gatt.blood_pressure",
    profile="generic/blood-pressure",
    transport="ble",
)
GLUCOSE = Observation(
    key="20260314-r-9e107d9d372bb6826bd81d3542a419d6",
    device=DEVICE,
    kind="glucose",
    parts={
        "value": Part(unit="mg/dL", value="99.0858", original=Original(value="5.5", unit="mmol/L"))
    },
    time=Moment(utc="2026-03-14T00:10:00.000Z", method=TimeMethod.ASSUMED, early_s=600, late_s=600),
    content="e4d909c290d0fb1ca068ffaddf22cbd0",
    source=Source.MEMORY,
    accepted="2026-03-14T08:00:00.000Z",
    driver="acme.bpx",
    profile="acme/bpx",
    transport="serial",
    sequence=77,
    context={"meal": "before"},
)
TOO_LOW = Observation(
    key="20260314-a-d41d8cd98f00b204e9800998ecf8427e",
    device=DEVICE,
    kind="glucose",
    parts={"value": Part(unit="mg/dL", value="20", beyond=Beyond.BELOW)},
    time=Moment(utc="2026-03-14T08:00:00.000Z", method=TimeMethod.ARRIVAL, known=False),
    content="45c48cce2e2d7fbdea1afc51c7c6ad26",
    source=Source.MEMORY,
    accepted="2026-03-14T08:00:00.000Z",
    driver="acme.bpx",
    profile="acme/bpx",
    transport="serial",
    marks=("control",),
)
OBSERVATIONS = (PRESSURE, GLUCOSE, TOO_LOW)


def envelope() -> str:
    """An envelope with an uncompressed body, which is text."""
    body = msgspec.json.encode(Body(list(OBSERVATIONS)))
    header = Header(
        schema=SCHEMA,
        agent=AGENT,
        epoch=EPOCH,
        first=FIRST,
        count=len(OBSERVATIONS),
        encoding="json",
        sha256=hashlib.sha256(body).hexdigest(),
    )
    return (msgspec.json.encode(header) + b"\n" + body).decode()


def receipt() -> Receipt:
    """That envelope's: one stored, one a duplicate, one parked."""
    return Receipt(
        envelope=envelope_hash(envelope().encode()),
        agent=AGENT,
        epoch=EPOCH,
        store=STORE,
        commit=18,
        duplicates=(FIRST + 1,),
        parked=(
            Parked(FIRST + 2, "ValueError: slot 1000000 of its subject; 999999 fit in a second"),
        ),
    )


def question() -> Question:
    """A question."""
    return Question(nonce="b1946ac92492d234")


def answer() -> Answer:
    """What is held after that receipt."""
    held = [(FIRST, PRESSURE.key), (FIRST + 1, GLUCOSE.key)]
    ranges = (Held(FIRST, FIRST + 1, f"{ledger_digest(held):016x}"),)
    return Answer(
        nonce=question().nonce,
        agent=AGENT,
        store=STORE,
        commit=18,
        epochs=(HeldEpoch(epoch=EPOCH, ranges=ranges, parked=(FIRST + 2,)),),
        at="2026-03-14T08:00:03.412Z",
    )


def status() -> Status:
    """A box that waits for nothing."""
    return Status(
        agent=AGENT,
        online=True,
        at="2026-03-14T08:00:03.000Z",
        version="0.1.0",
        epoch=EPOCH,
        issued=FIRST + 2,
        devices=(
            DeviceStatus(
                device=DEVICE,
                profile="generic/blood-pressure",
                last_heard="2026-03-13T23:05:12.000Z",
                last_reading="2026-03-13T23:05:09.000Z",
            ),
        ),
    )


def will() -> Status:
    """What the broker says when a box goes."""
    return Status(agent=AGENT, online=False, at="2026-03-14T08:00:03.000Z", version="0.1.0")
