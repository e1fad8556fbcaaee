"""A capture without identities: same octet counts, same readings, same keys, or it is refused. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import islice

from drivers.captures.secrets import Secret, plain, swaps, too_short, weighing_the_same
from gateway.contract.capture import Capture, Heard, digest
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, replay
from gateway.contract.session import Driver, Opened, Received, Refused, UnitInfo, Write

TRIES_MAX = 20  # substitutes that are tried, each by a replay
SERIAL, SYSTEM_ID, ADDRESS, NAME, PORT = "serial number", "system id", "address", "name", "port"
# Channels that hold nothing but an identity, and the fact that a driver states of it.
_CHANNELS = {"serial_number": SERIAL, "system_id": SYSTEM_ID}
# What is read, or was to be written, of a person. No replay asks for it: it is given no codes.
_READ_OF_PERSONS = {"birth_date": "birth date"}
_WRITTEN_OF_PERSONS = {**_READ_OF_PERSONS, "user_control": "consent code"}
_OPENED = {"address": ADDRESS, "name": NAME, "port": PORT}
_VOCABULARY = frozenset({"driver", "profile", "sha256"})  # words of ours in a header
SYSTEM_ID_OCTETS = 8
_MIDDLES = (
    b"\xfe\xff",
    b"\xff\xfe",
)  # of one made of an address; some makers leave it as it is written
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_WIDE = re.compile(rb"(?:[ -~]\0){4,}|(?:\0[ -~]){4,}")
# Two signs of a script that writes names in two are a word, too.
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'-]){3,}|[\u3400-\u9fff\uac00-\ud7a3]{2,}")
# A label's number has at least so many characters together, digits among them.
_NUMBER = re.compile(r"(?=[A-Za-z]*[0-9])[0-9A-Za-z]{6,}")

# A maker's own checksum, made right again: channel, octets of the whole visit -> the same, as many.
Reseal = Callable[[str, bytes], bytes]


class ScrubError(ValueError):
    """It can't be done so that nothing of worth is lost, or it isn't known what to remove: says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A capture with what it is replayed by. `reseal`: the maker's, where the subject brings one."""

    capture: Capture
    profile: Profile
    driver: Driver
    reseal: Reseal | None = None


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """`removed`: what, and how often. `remains`: readable text that is still there, for a person to look at."""

    capture: Capture
    removed: Mapping[str, int]
    remains: Sequence[str]


@dataclass(slots=True)
class _Tally:
    found: Counter[Secret] = field(default_factory=Counter[Secret])


def scrub(
    bound: Bound, stated: Iterable[Secret], *, has_serial: bool = True, file: str = ""
) -> Scrubbed:
    """Remove what is stated, and what driver and link say of the device. Raises ScrubError.

    `has_serial` False: the person says that this device tells no serial number. `file`: the name that it is given away under.
    """
    before = _play(bound, bound.capture)
    asked = list(stated)
    secrets = _all(bound.capture, before, asked)
    if has_serial and not any(secret.what == SERIAL for secret in secrets):
        raise ScrubError(
            "nothing in it says which serial number the device has. Write --serial as on its label, or --no-serial if it tells none"
        )
    for secret in secrets:
        if too_short(secret.text):
            raise ScrubError(
                f"{secret.what} {secret.text!r} is too short to be told from measurements"
            )
    _all_found(bound.capture, asked)
    _refuse_named(bound.capture, secrets, file)
    for substitutes in _substitutes(secrets):
        capture, tally = _replaced(bound, substitutes)
        if _same(before, _play(bound, capture)):
            break
    else:
        raise ScrubError(
            "with another serial number its frames don't replay to the same readings: they carry a checksum that sum and XOR "
            "don't keep. Give the driver's subject a method reseal(channel, octets) that makes it right"
        )
    _none_left(capture, secrets)
    return _told(bound, capture, tally, set(substitutes.values()))


def _told(bound: Bound, capture: Capture, tally: _Tally, ours: AbstractSet[str]) -> Scrubbed:
    removed = Counter[str]()
    for secret, times in tally.found.items():
        removed[secret.what] += times
    said = (
        ", ".join(f"{what} {times}x" for what, times in sorted(removed.items()))
        or "nothing to remove"
    )
    header = {**bound.capture.header, "scrubbed": said}
    whole = replace(capture, header={**header, "sha256": digest(capture)})
    return Scrubbed(whole, dict(removed), list(_readable(capture, ours)))


def _all(capture: Capture, played: Played, stated: Iterable[Secret]) -> list[Secret]:
    """What is to go, the longest first: a serial number may stand inside a name."""
    found = dict.fromkeys(stated)
    for facts in played.facts:
        found |= dict.fromkeys(
            Secret(what, facts[fact])
            for fact, what in _CHANNELS.items()
            if not too_short(facts.get(fact, ""))
        )
    for event in capture.heard:
        if isinstance(event, Received) and event.channel in _CHANNELS:
            what = _CHANNELS[event.channel]
            texts = [event.data.hex()] if what == SYSTEM_ID else _texts(event.data)
            found |= dict.fromkeys(Secret(what, text) for text in texts if not too_short(text))
            if what == SYSTEM_ID and (made_of := _made_of(event.data)):
                found[Secret(ADDRESS, made_of)] = None
        elif isinstance(event, Opened):
            told = {_OPENED[name]: text for name, text in event.facts.items() if name in _OPENED}
            # A name of one letter is taken out here, and looked for nowhere else.
            found |= {Secret(what, text): None for what, text in told.items() if _telling(text)}
    return sorted(found, key=lambda secret: -len(secret.text))


def _made_of(system_id: bytes) -> str | None:
    """The address that it was made of, where the middle says so: it names the device wherever else it stands."""
    if len(system_id) != SYSTEM_ID_OCTETS or system_id[3:5] not in _MIDDLES:
        return None
    return (system_id[:4:-1] + system_id[2::-1]).hex(":")


def _telling(text: str) -> bool:
    return not too_short(text) and not text.startswith("(")


def _texts(data: bytes) -> list[str]:
    """What stands in a channel of text: a part behind a NUL is the device's, too."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    parts = [part.strip() for part in _CONTROLS.split(text)]
    return [part for part in parts if not too_short(part)] or parts


def _is_short(data: bytes) -> bool:
    texts = _texts(data)
    return any(texts) and all(map(too_short, texts))


def _substitutes(secrets: Sequence[Secret]) -> Iterator[Mapping[Secret, str]]:
    usual = {secret: plain(secret) for secret in secrets}
    yield usual
    heavy = [s for s in secrets if s.what not in (NAME, PORT, ADDRESS, SYSTEM_ID)]
    drawn = {secret: list(islice(weighing_the_same(secret), TRIES_MAX)) for secret in heavy}
    for turn in range(max(map(len, drawn.values()), default=0)):
        yield usual | {s: texts[min(turn, len(texts) - 1)] for s, texts in drawn.items() if texts}


def _replaced(bound: Bound, substitutes: Mapping[Secret, str]) -> tuple[Capture, _Tally]:
    tally = _Tally()
    heard = [_without(event, substitutes, tally) for event in bound.capture.heard]
    for channel in dict.fromkeys(e.channel for e in heard if isinstance(e, Received)):
        # A serial line cuts anywhere: what is looked for may stand in two packets.
        places = [
            n for n, e in enumerate(heard) if isinstance(e, Received) and e.channel == channel
        ]
        packets = [
            event for event in heard if isinstance(event, Received) and event.channel == channel
        ]
        stream = _swap(b"".join(packet.data for packet in packets), substitutes, tally)
        if bound.reseal is not None:
            stream = bound.reseal(channel, stream)
        at = 0
        for place, packet in zip(places, packets, strict=True):
            heard[place] = replace(packet, data=stream[at : at + len(packet.data)])
            at += len(packet.data)
        if at != len(stream):
            raise ScrubError(f"reseal gave {len(stream)} octets for {at} of channel {channel}")
    return replace(bound.capture, heard=heard), tally


def _without(event: Heard, substitutes: Mapping[Secret, str], tally: _Tally) -> Heard:
    match event:
        case Opened(_, facts):
            for secret in substitutes:
                tally.found[secret] += sum(secret.text == text for text in facts.values())
            known = {name: f"({name})" for name in facts if name in _OPENED}
            return replace(event, facts={**facts, **known})
        case Received(_, "serial_number", data) if _is_short(data):
            # `N/A`, or a number of three digits: taken out here, and looked for nowhere else.
            tally.found[Secret(SERIAL, "")] += 1
            blank = plain(Secret(SERIAL, data.decode("latin-1")))
            return replace(event, data=blank.encode("latin-1"))
        case Received(_, channel, data) if what := _READ_OF_PERSONS.get(channel):
            tally.found[Secret(what, "")] += 1
            return replace(event, data=bytes(len(data)))
        case Refused(_, Write(channel, data, _) as command) if what := _WRITTEN_OF_PERSONS.get(
            channel
        ):
            tally.found[Secret(what, "")] += 1
            return replace(event, command=replace(command, data=bytes(len(data))))
        case Refused(_, Write(_, data, _) as command):
            return replace(event, command=replace(command, data=_swap(data, substitutes, tally)))
        case _:
            return event


def _swap(data: bytes, substitutes: Mapping[Secret, str], tally: _Tally) -> bytes:
    for secret, substitute in substitutes.items():
        for here, there in swaps(secret, substitute).items():
            tally.found[secret] += data.count(here)
            data = data.replace(here, there)
    return data


def _all_found(capture: Capture, stated: Sequence[Secret]) -> None:
    for secret in stated:
        if not any(_holds(capture, secret)):
            raise ScrubError(
                f"{secret.what} {secret.text!r} stands nowhere in it: neither as text nor as packed digits or a number. "
                "Look at the label again; a capture of another unit, or an identity in a form of its own, can't be made safe by this"
            )


def _refuse_named(capture: Capture, secrets: Sequence[Secret], file: str) -> None:
    for name, text in capture.header.items():
        if name not in _VOCABULARY and any(_names(secret.text, text) for secret in secrets):
            raise ScrubError(f"the header's {name} names the device: {text!r}. Mend that first")
    # What a device calls itself is the model's name, too, after which a capture is named.
    if any(_names(secret.text, file) for secret in secrets if secret.what != NAME):
        raise ScrubError(f"the file's name names the device: {file!r}. Give it another, with --out")


def _names(secret: str, text: str) -> bool:
    """With or without what separates, as in names of files."""
    bare, told = ("".join(filter(str.isalnum, one)).casefold() for one in (secret, text))
    return secret.casefold() in text.casefold() or (not too_short(bare) and bare in told)


def _none_left(capture: Capture, secrets: Sequence[Secret]) -> None:
    for secret in secrets:
        if secret.text != plain(secret) and any(_holds(capture, secret)):
            raise ScrubError(f"{secret.what} is still there after all")


def _holds(capture: Capture, secret: Secret) -> Iterator[bool]:
    streams: dict[str, bytes] = {}
    for event in capture.heard:
        match event:
            case Opened(_, facts):
                yield any(secret.text in text for text in facts.values())
            case Received(_, channel, data):
                streams[channel] = streams.get(channel, b"") + data
            case Refused(_, Write(_, data, _)):
                yield any(here in data for here in swaps(secret, secret.text))
            case _:
                pass
    for stream in streams.values():
        yield any(here in stream for here in swaps(secret, secret.text))


def _readable(capture: Capture, ours: AbstractSet[str]) -> Iterator[str]:
    seen: dict[str, None] = {}
    streams: dict[str, bytes] = {}
    for event in capture.heard:
        if isinstance(event, Received):
            streams[event.channel] = streams.get(event.channel, b"") + event.data
    for stream in streams.values():
        wide = b"\n".join(run.replace(b"\0", b"") for run in _WIDE.findall(stream))
        text = b"\n".join((stream, wide)).decode(errors="replace")
        for word in (*_WORD.findall(text), *_NUMBER.findall(text)):
            seen[word.strip()] = None
    yield from (word for word in seen if word not in ours and set(word) - set("0X"))


def _play(bound: Bound, capture: Capture) -> Played:
    unit = UnitInfo(bound.profile, capture.header.get("cursor") or None)
    return replay(bound.driver.open(unit), capture.heard)


def _same(before: Played, after: Played) -> bool:
    told = [[replace(one, raw=b"") for one in played.readings] for played in (before, after)]
    return before.ending is after.ending and told[0] == told[1]
