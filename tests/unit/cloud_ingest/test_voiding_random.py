"""Whatever comes, is given away, contradicted, seen by people and voided, in any order: nothing stands on what is gone, and nothing is lost from sight."""

from collections import defaultdict

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_ingest.rules.judge import when
from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records.criteria import Criteria
from cloud_ingest.stores.records.schema import alert_events, alerts, flags, inbox, journal, voided
from gateway.wire.envelope import decode_envelope
from tests.unit.cloud_ingest.voided_kit import reading

FIRMWARES = ["2.0", "2.0", "1.4", "1.3", "1.2", "1.1", "1.0"]
LOOSE = "d0" * 10  # a meter that is bound to nobody
PERSON = "nurse zhao"

READ = st.tuples(
    st.just("read"),
    st.sampled_from(
        ["crisis", "crisis", "crisis again", "calm", "low", "repeat", "doubt", "loose"]
    ),
    st.sampled_from([0, 2, 4, 9, 14, 24, 30, 190]),  # minutes ago
    st.sampled_from(FIRMWARES),
)
STEP = st.one_of(
    READ,
    READ,
    READ,
    st.tuples(st.just("void"), st.sampled_from(FIRMWARES[2:])),
    st.tuples(st.just("wait"), st.sampled_from([1, 6, 11])),
    st.tuples(st.just("person"), st.sampled_from(["acknowledge", "resolve"]), st.integers(0, 2)),
    st.tuples(st.just("assign"), st.integers(0, 3)),
    st.tuples(st.just("contradict"), st.integers(0, 5), st.sampled_from(FIRMWARES)),
    st.tuples(st.just("send again"), st.integers(0, 5)),
)


class Ward:
    """One patient, and what was measured so far."""

    def __init__(self, kit) -> None:
        self.kit, self.seen, self.sent = kit, [], 0
        self.patient = kit.wearer(kit.cuff, kit.meter)

    def send(self, seen):
        self.sent += 1
        self.kit.send(self.sent, seen)
        self.seen.append(seen)

    def measured(self, what, ago):
        kit, n = self.kit, len(self.seen) + 1
        if what != "loose":
            return reading(kit, n, what, ago)
        ago -= (kit.clock.now() - kit.now).total_seconds() / 60
        return kit.glucose("41", ago, sequence=n, device=LOOSE)

    def step(self, what, *told: object) -> None:
        kit = self.kit
        match what:
            case "read":
                kind, ago, firmware = told
                seen = self.measured(kind, ago)
                self.send(msgspec.structs.replace(seen, model="Cuff", firmware=firmware))
            case "void":
                whole = Criteria(firmware=told[0], from_us=0, to_us=10**16)
                kit.records.void(whole, "dr. lin", "recalled")
            case "wait":
                for _ in range(told[0]):
                    kit.clock.advance(60)
                    kit.records.act_on_due(kit.clock.now())
            case "person":
                stands = [row["id"] for row in kit.rows(alerts) if row["state"] != "resolved"]
                for alert in stands[told[1] : told[1] + 1]:
                    getattr(kit.records, told[0])(alert, PERSON)
            case "assign":
                for row in kit.records.unassigned()[told[0] : told[0] + 1]:
                    kit.records.assign(row.key, self.patient, PERSON)
            case "contradict":
                for seen in [one for one in self.seen if one.kind == "glucose"][told[0] :][:1]:
                    other = kit.glucose("43", key=seen.key)
                    parts = {"parts": other.parts, "content": other.content}
                    self.send(msgspec.structs.replace(seen, firmware=told[1], **parts))
            case _:
                for seen in self.seen[told[0] : told[0] + 1]:
                    self.send(seen)
        kit.clock.advance(1)


def filed(kit):
    """Each stored reading with its fate and when it came."""
    for row in kit.rows(journal):
        pairs = zip(
            decode_envelope(row["payload"]).observations, decode_fates(row["fate"]), strict=True
        )
        for seen, fate in pairs:
            if fate.outcome == "stored":
                yield seen, fate, row["received_us"]


def crosses(seen):
    parts = {name: float(part.value) for name, part in seen.parts.items()}
    return parts.get("systolic", 0) >= 180 or parts.get("value", 100) < 54


def each_is_in_one_place(kit, patient):
    waits = {row["key"] for row in kit.rows(inbox) if row["patient"] is None}
    counts = [(seen, fate) for seen, fate, _ in filed(kit) if fate.counts]
    gone = [seen.key for seen, fate, _ in filed(kit) if not fate.counts]
    assert sorted(row["key"] for row in kit.rows(voided)) == sorted(gone)
    assert {seen.key for seen, fate in counts if fate.subject != patient} == waits
    assert {row["key"] for row in kit.rows(flags)} <= {seen.key for seen, _ in counts}
    places = [(seen.kind, fate.subject, fate.time_us) for seen, fate in counts]
    assert len(set(places)) == len(places), "two points share a time"


def nothing_stands_on_what_is_gone(kit, patient):
    mine = {s.key: s for s, f, _ in filed(kit) if f.counts and f.subject == patient and crosses(s)}
    story = defaultdict(set)
    for event in kit.rows(alert_events):
        if event["what"] in {"opened", "joined", "paged-late"}:
            story[event["alert"]].add(event["key"])
    for alert in kit.rows(alerts):
        if alert["state"] != "resolved":
            assert story[alert["id"]] & mine.keys(), alert["condition"]
            assert {alert["key"], alert["last_key"]} <= mine.keys(), alert["condition"]
        if alert["state"] != "resolved" and alert["condition"] == "BP-CRISIS":
            times = sorted(s.time.utc for s in mine.values() if s.kind == "blood_pressure")
            assert len(set(times)) > 1, "a pair of one"
            assert pairs(kit, patient), "a pair that is none"


def pairs(kit, patient):
    """Crises that confirm each other: measured one to ten minutes apart, and neither a repeat."""
    told = [
        when(seen).at_us / 60e6
        for seen, fate, _ in filed(kit)
        if fate.counts and fate.subject == patient and not fate.suspect_of
        if seen.kind == "blood_pressure" and crosses(seen)
    ]
    return [(one, other) for one in told for other in told if 1 <= other - one <= 10]


def every_low_stands_or_a_person_ended_it(kit, patient):
    given = {row["key"]: row["assigned_us"] for row in kit.rows(inbox) if row["patient"]}
    ended = {row["alert"]: row for row in kit.rows(alert_events) if row["what"] == "resolved"}
    for seen, fate, came_us in filed(kit):
        if not fate.counts or fate.suspect_of or fate.subject != patient or not crosses(seen):
            continue
        if seen.kind != "glucose":
            continue
        enough = {"GLU-L2", "GLU-L2?"} if seen.marks else {"GLU-L2"}
        judged_us = max(came_us, given.get(seen.key, 0))
        assert any(
            alert["state"] != "resolved"
            or (
                alert["id"] in ended
                and ended[alert["id"]]["who"] == PERSON
                and alert["resolved_us"] >= judged_us
            )
            for alert in kit.rows(alerts)
            if alert["condition"] in enough
        ), seen.key


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, min_size=2, max_size=14))
def test_whatever_happens_alerts_and_readings_stay_true(new_kit, steps):
    kit = new_kit()
    ward = Ward(kit)
    for step in steps:
        ward.step(*step)
        if step[0] in {"void", "assign"}:
            nothing_stands_on_what_is_gone(kit, ward.patient)
    each_is_in_one_place(kit, ward.patient)
    nothing_stands_on_what_is_gone(kit, ward.patient)
    every_low_stands_or_a_person_ended_it(kit, ward.patient)
    kit.records.close()
