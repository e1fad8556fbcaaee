"""A first profile from an interview: what the device showed, and what only a person can know as a comment. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from device_profiles.loader import Entry
from gateway.contract.profile import IdentityRule, Profile
from gateway.runtime.errors import ConfigError

BASE = re.compile(r"0000([0-9a-f]{4})-0000-1000-8000-00805f9b34fb")
SERIAL, SYSTEM_ID = "2a25", "2a23"
# Services of any kind of device: access and attributes, alerts and transmit power, what time it is, who it is, its battery.
ANYBODYS = frozenset({"1800", "1801", "1802", "1803", "1804", "1805", "180a", "180f"})
ROWS_MAX = 500
_UNIT = re.compile(r"[0-9A-Fa-f]{3,}$|[0-9]+$")  # at a name's end: serial digits, or an address

Uuid = Annotated[StrictStr, Field(pattern=r"^[0-9a-f-]{36}$")]


class Interview(BaseModel):
    """What `vitalgate edge interview` wrote."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    interview: Literal[1]
    lasting: StrictBool
    name: Annotated[StrictStr, Field(max_length=248)] = ""
    services: tuple[Uuid, ...] = ()
    companies: tuple[Annotated[int, Field(ge=0, le=0xFFFF)], ...] = ()
    service_data: tuple[Uuid, ...] = ()
    gatt: Annotated[
        tuple[tuple[Uuid, Uuid, tuple[StrictStr, ...]], ...], Field(max_length=ROWS_MAX)
    ] = ()
    facts: Mapping[StrictStr, StrictStr] = {}

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """Service and characteristic of all that it has."""
        return frozenset((service, characteristic) for service, characteristic, _ in self.gatt)


def parse_interview(text: str, where: str) -> Interview:
    """Raises ConfigError."""
    try:
        return TypeAdapter(Interview).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "(file)"
        raise ConfigError(
            where, key, first["msg"], "what `vitalgate edge interview` writes"
        ) from error


def fitting(told: Interview, catalogue: Mapping[str, Entry]) -> Sequence[str]:
    """All profiles whose driver could talk to it, by id."""
    return sorted(
        name
        for name, entry in catalogue.items()
        if _measures(told, entry)
        and all(
            (at.service, at.characteristic) in told.places
            for at in entry.profile.channels.values()
            if not at.optional
        )
    )


def _measures(told: Interview, entry: Entry) -> bool:
    # Every device says who it is and what time it has; what none needs to have, one must.
    return any(
        (at.service, at.characteristic) in told.places and _short(at.service) not in ANYBODYS
        for at in entry.profile.channels.values()
    )


def nearest(told: Interview, catalogue: Mapping[str, Entry]) -> Entry | None:
    """The profile whose driver can talk to it: all that it must have is there. Of several the one for any maker, else the fullest."""
    fits = [catalogue[name] for name in fitting(told, catalogue)]
    return max(
        fits,
        key=lambda one: (one.profile.maker == "any", len(one.profile.channels), one.profile.id),
        default=None,
    )


def draft(told: Interview, like: Entry) -> str:
    """The profile's text."""
    return "\n".join(
        (
            *_head(told, like),
            *_clues(told),
            *_channels(told, like),
            *_identity(told, like.profile.identity),
            *_rest(like.profile),
            "",
        )
    )


def sighting(told: Interview, wins: str) -> str:
    """The line to record, so that the profile wins it. The part of the name that is one unit's is left out."""
    seen = {
        "services": [_short(uuid) for uuid in told.services],
        "name": _UNIT.sub("0", told.name),
        "companies": list(told.companies),
        "model": told.facts.get("model", ""),
    }
    line = {"id": wins.replace("/", "-"), "link": "ble", **{k: v for k, v in seen.items() if v}}
    return json.dumps(
        {**line, "wins": wins, "kind": "recorded", "source": "vitalgate edge interview"}
    )


def _head(told: Interview, like: Entry) -> Iterator[str]:
    profile = like.profile
    yield f"# A draft from an interview, after {profile.id}. Each line that says CONFIRM is a guess of that profile's: look it up, then take the word out."
    yield f"maker = {_quoted(told.facts.get('manufacturer') or 'CONFIRM')}"
    yield f"model = {_quoted(told.facts.get('model') or told.name or 'CONFIRM')}"
    yield f"kind = {_quoted(profile.kind)}"
    yield f"driver = {_quoted(profile.driver)}"
    yield 'link = "ble"'
    yield 'support = "documents only"'
    firmware = told.facts.get("firmware") or "unknown"
    basis = f"an interview of one unit, firmware {firmware}; not read yet"
    yield f"basis = {_quoted(basis)}"
    yield ""
    yield "# CONFIRM: whether it forgets a record once the radio has confirmed it. When in doubt, true."
    yield f"deletes_on_confirm = {json.dumps(profile.deletes_on_confirm)}"
    if profile.users > 1:
        yield "# CONFIRM: how many users it tells apart."
        yield f"users = {profile.users}"
    yield f"quiet_s = {profile.quiet_s}"
    yield f"deadline_s = {profile.deadline_s}"
    if profile.settle_s:
        yield f"settle_s = {profile.settle_s}"
    yield ""


def _clues(told: Interview) -> Iterator[str]:
    yield "[identify]"
    # A list is an or: one of anybody's services in it, and every device fits.
    services = [short for short in map(_short, told.services) if short not in ANYBODYS]
    if len(services) > 1:
        yield "# CONFIRM: that each of these alone tells this device from others."
    if services:
        yield f"services = {json.dumps(services)}"
    # Of a name that is a number no part is the model's, and a glob of nothing would fit every device.
    if stem := _literal(_UNIT.sub("", told.name)):
        yield "# CONFIRM: which part of the name is the model's, and which the unit's."
        yield f"names = {json.dumps([f'{stem}*'], ensure_ascii=False)}"
    if told.companies:
        yield f"companies = {json.dumps(list(told.companies))}"
    if model := told.facts.get("model"):
        yield f"models = {json.dumps([model], ensure_ascii=False)}"
    yield ""


def _channels(told: Interview, like: Entry) -> Iterator[str]:
    yield "[channels]"
    for name, at in like.profile.channels.items():
        if (at.service, at.characteristic) in told.places:
            optional = ", optional = true" if at.optional else ""
            place = (
                f'service = "{_short(at.service)}", characteristic = "{_short(at.characteristic)}"'
            )
            yield f"{name} = {{ {place}{optional} }}"
    known = {(at.service, at.characteristic) for at in like.profile.channels.values()}
    others = [row for row in told.gatt if row[:2] not in known]
    for service, characteristic, properties in others[:12]:
        yield f"# also there: {_short(service)}/{_short(characteristic)} ({', '.join(properties)})"
    yield ""


def _identity(told: Interview, rule: IdentityRule) -> Iterator[str]:
    there = {_short(characteristic) for _, characteristic in told.places}
    named = (
        "a serial number"
        if SERIAL in there
        else "a System ID"
        if SYSTEM_ID in there
        else "a lasting address"
        if told.lasting
        else "nothing that lasts"
    )
    yield f"# The unit is named by {named}. CONFIRM: that it is on the label, and not the same in every unit."
    yield "# CONFIRM: record if it stores a number with each record, clock if only a time, arrival if neither."
    yield "[identity]"
    yield f'scheme = "{rule.scheme.name.lower()}"'
    if rule.ordinal:
        yield "# CONFIRM: that two measurements fit in one tick of its clock."
        yield "ordinal = true"
    if rule.reset_epochs:
        yield "# CONFIRM: what its clock shows after a change of battery."
        yield f"reset_epochs = [{', '.join(one.isoformat() for one in rule.reset_epochs)}]"
        yield f"reset_span_s = {rule.reset_span_s}"
    yield ""


def _rest(profile: Profile) -> Iterator[str]:
    yield "# Never set before it is known to be safe."
    yield "[clock]"
    yield "settable = false"
    yield f"resolution_s = {profile.clock.resolution_s}"
    yield ""
    if profile.stream:
        yield "# It tells a sample a second while it is worn: so many seconds make one summary."
        yield "[stream]"
        yield f"window_s = {profile.stream.window_s}"
        yield ""
    if profile.ranges:
        yield "# CONFIRM: what it can show, from its manual."
        yield "[ranges]"
        for part, bounds in profile.ranges.items():
            yield f'{part} = {{ low = "{bounds.low}", high = "{bounds.high}", unit = "{bounds.unit}" }}'


def _short(uuid: str) -> str:
    found = BASE.fullmatch(uuid)
    return found[1] if found else uuid


def _quoted(text: str) -> str:
    return json.dumps("".join(filter(str.isprintable, text))[:200], ensure_ascii=False)


def _literal(stem: str) -> str:
    """A glob that means these letters."""
    return re.sub(r"([*?[])", r"[\1]", "".join(filter(str.isprintable, stem)))
