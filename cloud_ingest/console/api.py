"""The JSON interface: every reading as each store holds it, alerts, devices, patients, health. Reads only; names are masked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from cloud_ingest.console.masking import masked
from cloud_ingest.console.times import age_in_years, micros, moment
from cloud_ingest.console.worklist import is_away
from cloud_ingest.stores.fate import Fate
from cloud_ingest.stores.records.criteria import Voiding
from cloud_ingest.stores.records.listing import Listed, Listing
from cloud_ingest.stores.records.views import RecordsViews
from cloud_ingest.stores.series import Point
from gateway.runtime.clock import Clock, iso

PAGE_MAX = 1_000
KEY_CHARS_MAX = 200
NO_PATIENT = "device:"  # how the subject of an unbound device begins
PLAIN = r"^[\x21-\x7e ]+$"

Key = Annotated[str | None, Query(max_length=KEY_CHARS_MAX, pattern=PLAIN)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


def api(views: RecordsViews, listing: Listing, clock: Clock) -> APIRouter:
    """Routes under /api. Raises StoreError where a store is away."""
    router = APIRouter(prefix="/api")

    @router.get("/readings")
    def readings(after: Key = None, limit: Limit = 500, device: Key = None) -> Mapping[str, object]:
        page = listing.page(after, limit, device)
        runs = {run.id: run for run in views.voidings()}
        told = [_reading(one, runs) for one in page.readings]
        return {"readings": told, "next": page.next_key}

    @router.get("/voidings")
    def voidings() -> Mapping[str, object]:
        return {"voidings": [_run(run) for run in views.voidings()]}

    @router.get("/alerts")
    def alerts() -> Mapping[str, object]:
        return {"alerts": [_dated(msgspec.to_builtins(one)) for one in views.all_alerts()]}

    @router.get("/devices")
    def devices() -> Mapping[str, object]:
        now_us = micros(clock.now())
        return {"devices": _devices(views, now_us), "boxes": _boxes(views, now_us)}

    @router.get("/patients")
    def patients() -> Mapping[str, object]:
        now = clock.now()
        worn = _worn(views, micros(now))
        return {
            "patients": [
                {
                    "id": one.id,
                    "name": masked(one.name),
                    "age": age_in_years(one.born, now),
                    "condition": one.condition,
                    "devices": worn.get(one.id, []),
                }
                for one in views.all_patients()
            ]
        }

    @router.get("/health")
    def health() -> Mapping[str, object]:
        since_us = views.behind_since_us()
        lag_s = (micros(clock.now()) - since_us) / 1e6 if since_us is not None else 0.0
        return {"ok": True, "series_lag_s": round(lag_s, 3)}

    _ = (readings, voidings, alerts, devices, patients, health)  # registered by their decorators
    return router


def _reading(one: Listed, runs: Mapping[int, Voiding]) -> Mapping[str, object]:
    observation = one.place[0].observation(one.place[1]) if one.place else None
    fate = one.place[0].fate(one.place[1]) if one.place else None
    subject = (
        (fate.subject if fate else "")
        or (one.point.subject if one.point else "")
        or next((str(flag["subject"]) for flag in one.flags), "")
    )
    return {
        "key": one.key,
        "device": observation.device if observation else one.point.device if one.point else None,
        "patient": subject if subject and not subject.startswith(NO_PATIENT) else None,
        "kind": observation.kind if observation else one.point.kind if one.point else None,
        "journal": _journal(one, runs),
        "keyed": one.keyed,
        "flags": [
            {name: flag[name] for name in ("rule", "severity", "shown", "how", "confirmed")}
            for flag in one.flags
        ],
        "alerts": [dict(alert) for alert in one.alerts],
        "series": _series(one.point),
        "refused": one.refused,
    }


def _journal(one: Listed, runs: Mapping[int, Voiding]) -> Mapping[str, object] | None:
    if one.place is None:
        return None
    row, position = one.place
    observation, fate = row.observation(position), row.fate(position)
    return {
        "id": row.id,
        "position": position,
        "agent": row.agent,
        "epoch": row.epoch,
        "n": row.first + position,
        "intact": row.intact and observation is not None and fate is not None,
        "observation": msgspec.to_builtins(observation) if observation else None,
        "outcome": fate.outcome if fate else None,
        "suspect_of": (fate.suspect_of or None) if fate else None,
        "conflict": bool(fate and fate.conflict),
        "voided": _void(fate, runs),
    }


def _void(fate: Fate | None, runs: Mapping[int, Voiding]) -> Mapping[str, object] | None:
    if fate is None or not fate.voided:
        return None
    run = runs.get(fate.voided)
    if run is None:
        return {"voiding": fate.voided}
    told = {"voiding": run.id, "by": run.who, "reason": run.reason}
    return {**told, "at": iso(moment(run.begun_us))}


def _run(run: Voiding) -> Mapping[str, object]:
    criteria: dict[str, object] = msgspec.json.decode(run.criteria, type=dict[str, object])
    return {**_dated(asdict(run)), "criteria": _dated(criteria)}


def _series(point: Point | None) -> Mapping[str, object] | None:
    if point is None:
        return None
    at = moment(point.time_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
    place = {"kind": point.kind, "subject": point.subject, "device": point.device}
    return {**place, "time": at, "fields": dict(point.fields)}


def _dated(row: Mapping[str, object]) -> Mapping[str, object]:
    """Columns that end in `_us` as ISO 8601."""
    return {
        name.removesuffix("_us"): iso(moment(value))
        if name.endswith("_us") and isinstance(value, int)
        else value
        for name, value in row.items()
    }


def _worn(views: RecordsViews, now_us: int) -> Mapping[str, list[str]]:
    worn: dict[str, list[str]] = {}
    for device, those in views.bound(now_us).items():
        for patient in those:
            worn.setdefault(patient, []).append(device)
    return worn


def _devices(views: RecordsViews, now_us: int) -> Sequence[Mapping[str, object]]:
    bound = views.bound(now_us)
    told = {
        device.device: (box.agent, device)
        for box in views.boxes()
        for device in (box.status.devices if box.status else ())
    }
    waiting = {row.device for row in views.inbox()}
    return [
        {
            "device": device,
            "box": told[device][0] if device in told else None,
            "profile": told[device][1].profile if device in told else None,
            "last_heard": told[device][1].last_heard if device in told else None,
            "last_reading": told[device][1].last_reading if device in told else None,
            "trouble": told[device][1].trouble if device in told else None,
            "patients": list(bound.get(device, ())),
        }
        for device in sorted(told.keys() | bound.keys() | waiting)
    ]


def _boxes(views: RecordsViews, now_us: int) -> Sequence[Mapping[str, object]]:
    return [
        {
            "agent": box.agent,
            "online": not is_away(box, now_us),
            "heard": iso(moment(box.heard_us)) if box.heard_us is not None else None,
            "pending": box.status.pending if box.status else None,
            "issued": box.status.issued if box.status else None,
            "epoch": box.status.epoch if box.status else None,
            "clock_off_s": box.status.clock_off_s if box.status else None,
        }
        for box in views.boxes()
    ]
