"""Faults that drivers typically have, each as an edit of ours that are sound. To add a driver: a name, and a line in each fault."""

from tests.kit.planting import Fault, edit

CUFF, METER, ULTRA, SCALE = "gatt.blood_pressure", "gatt.glucose", "onetouch.ultra2", "xiaomi.scale"
# With which profile each is tried, where a fault names no other.
PROFILES = {
    CUFF: "generic/blood-pressure",
    METER: "generic/glucose",
    ULTRA: "lifescan/onetouch-ultra2",
    SCALE: "xiaomi/mi-scale-v1",
}
DRIVERS = tuple(PROFILES)

B = "drivers/gatt/blood_pressure"
G = "drivers/gatt/glucose"
U = "drivers/vendor/onetouch_ultra2"
X = "drivers/vendor/xiaomi_scale"
RACP, INTRODUCTION = "drivers/gatt/racp.py", "drivers/gatt/introduction.py"
FIELDS = "gateway/contract/fields.py"
EXPONENT_IS_SIGNED = (
    "exponent = _signed(raw >> self.mantissa_bits, 8 * self.octets - self.mantissa_bits)"
)
MODELS = "device_profiles/models"

SDK_HEARS = "what a device that only advertises said last is kept, timed and flushed by the SDK"
NOTHING_KEPT = "its device keeps nothing that it has told"
LINES = "its lines are text: the SDK finds where each ends"
ONE_UNIT_SCALE = "whole numbers: there is no exponent"
NO_USERS = "its device knows no users"
NO_NUMBER = "its records have no number, and their names no place for one"
NO_CHECKSUM = "its frames carry no checksum"
NO_CONTROL = "its device knows no control solution"
NO_CONTEXT = "it joins no context from frames of its own"
NO_OFFSET = "its records have no time offset"
FIXED = "its fields stand in fixed places"
ASKED_ONCE = "it asks for nothing whose answer could be taken for another's"
NO_CURSOR = "its device forgets what it told, so there is no cursor"

MONTH_BEFORE = "(lambda at: at and at.replace(month=(at.month - 2) % 12 + 1))"

# The lines of the cuff's visit on which several faults hang.
CUFF_HEARS = "    def hear(event: Event)"
CUFF_REPORTS = "            yield Report(readings[event.channel](event.data))\n"
CUFF_BEGINS = "        intro = Introduction(unit, opened, hear)\n"

FAULTS = (
    Fault(
        "octets swapped",
        ["both_ways", "replay_matches"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                'flags = fields.u8("flags")\n',
                'flags = fields.u8("flags")\n    fields = Fields(data[2:3] + data[1:2] + data[3:])\n',
            ),
            METER: edit(
                f"{G}/codec.py",
                'fields.u16("sequence number")',
                'int.from_bytes(fields.take(2, "sequence number"), "big")',
            ),
            ULTRA: edit(
                f"{U}/codec.py",
                'month, day, year = found["date"]',
                'day, month, year = found["date"]',
            ),
            SCALE: edit(
                f"{X}/codec.py",
                'fields.u8("control"), fields.u16("weight")',
                'fields.u8("control"), int.from_bytes(fields.take(2, "weight"), "big")',
            ),
        },
    ),
    Fault(
        "month off by one",
        ["both_ways"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                "taken=told.time.naive if",
                f"taken={MONTH_BEFORE}(told.time.naive) if",
            ),
            METER: edit(
                f"{G}/codec.py",
                "taken=told.base_time.naive,",
                f"taken={MONTH_BEFORE}(told.base_time.naive),",
            ),
            ULTRA: edit(
                f"{U}/codec.py", "taken=record.taken,", f"taken={MONTH_BEFORE}(record.taken),"
            ),
            SCALE: edit(
                f"{X}/codec.py", "taken=told.time.naive,", f"taken={MONTH_BEFORE}(told.time.naive),"
            ),
        },
    ),
    Fault(
        "wrong sign of a time offset",
        ["both_ways"],
        {
            METER: edit(
                f"{G}/codec.py",
                "timedelta(minutes=told.offset_min or 0)",
                "timedelta(minutes=-(told.offset_min or 0))",
            )
        },
        {CUFF: NO_OFFSET, ULTRA: NO_OFFSET, SCALE: NO_OFFSET},
    ),
    Fault(
        "offset added to the time that is stored",
        ["both_ways"],
        {
            METER: edit(
                f"{G}/codec.py",
                "taken=told.base_time.naive,",
                "taken=told.base_time.naive and told.base_time.naive + timedelta(minutes=told.offset_min or 0),",
            )
        },
        {CUFF: NO_OFFSET, ULTRA: NO_OFFSET, SCALE: NO_OFFSET},
    ),
    Fault(
        "time offset unsigned",
        ["both_ways"],
        {
            METER: edit(
                f"{G}/codec.py", "return told - 0x10000 if told >= 0x8000 else told", "return told"
            )
        },
        {CUFF: NO_OFFSET, ULTRA: NO_OFFSET, SCALE: NO_OFFSET},
    ),
    Fault(
        "exponent ignored",
        ["units_are_read", "both_ways"],
        {
            CUFF: edit(FIELDS, "Decimal(mantissa).scaleb(exponent)", "Decimal(mantissa)"),
            METER: edit(
                f"{G}/codec.py",
                "sample.number.scaleb(places)",
                "Decimal(sample.number.as_tuple().digits[-1])",
                "from datetime import timedelta\n",
                "from datetime import timedelta\nfrom decimal import Decimal\n",
            ),
            SCALE: edit(
                f"{X}/codec.py",
                "Decimal(told.raw).scaleb(-2), told.unit",
                "Decimal(told.raw), told.unit",
            ),
        },
        {ULTRA: ONE_UNIT_SCALE},
    ),
    Fault(
        "exponent unsigned",
        ["units_are_read", "both_ways"],
        {
            CUFF: edit(FIELDS, EXPONENT_IS_SIGNED, "exponent = raw >> self.mantissa_bits"),
            METER: edit(FIELDS, EXPONENT_IS_SIGNED, "exponent = raw >> self.mantissa_bits"),
        },
        {ULTRA: ONE_UNIT_SCALE, SCALE: "its factors are fixed"},
    ),
    Fault(
        "NaN as a number",
        ["both_ways"],
        {
            CUFF: edit(
                FIELDS,
                "if special := self.specials.get(raw):",
                "if special := self.specials.get(raw * (raw != 0x07FF)):",
            )
        },
        {
            METER: "the samples of its subject show a number, LO or HI",
            ULTRA: "its records have no code for it",
            SCALE: "its frames have no code for it",
        },
    ),
    Fault(
        "mantissa unsigned",
        ["both_ways"],
        {},
        dict.fromkeys(DRIVERS, "nothing that its device measures can be negative"),
    ),
    Fault(
        "digits that were shown are dropped",
        ["both_ways", "units_are_read"],
        {
            CUFF: edit(
                f"{B}/codec.py", "Quantity(number, unit)", "Quantity(number.normalize(), unit)"
            ),
            METER: edit(
                f"{G}/codec.py",
                "sample.number.scaleb(places)",
                "sample.number.scaleb(places).normalize()",
            ),
            ULTRA: edit(
                f"{U}/codec.py",
                "Quantity(Decimal(value), UNIT)",
                "Quantity(Decimal(value).normalize(), UNIT)",
            ),
            SCALE: edit(
                f"{X}/codec.py",
                'return Quantity(exact, "kg")',
                'return Quantity(exact.normalize(), "kg")',
            ),
        },
    ),
    Fault(
        "unit ignored",
        ["units_are_read"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                'unit="kPa" if flags & KPA else "mmHg",',
                'unit="mmHg",',
            ),
            METER: edit(f"{G}/codec.py", '"mol/L" if flags & _IN_MOL else "kg/L")', '"kg/L")'),
            ULTRA: edit(
                f"{U}/session.py",
                "yield Report(told)",
                "yield Report(replace(told, parts={n: replace(p, unit='mmol/L') if hasattr(p, 'unit') and header.unit == 'MMOL/L' else p for n, p in told.parts.items()}))",
            ),
            SCALE: edit(
                f"{X}/codec.py",
                'unit="lb" if control & V1_POUND else "jin" if control & V1_JIN else "kg"',
                'unit="kg"',
            ),
        },
    ),
    Fault(
        "LO as a number",
        ["lo_hi_are_limits"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                "parts[name] = _LIMITS[number]",
                "parts[name] = Quantity(Decimal(0), unit)",
            ),
            METER: edit(
                f"{G}/codec.py",
                "        return beyond\n",
                '        return Quantity(told.base_time.naive and __import__("decimal").Decimal(20), "mg/dL")\n',
            ),
            ULTRA: edit(
                f"{U}/codec.py",
                "        return Limit.BELOW\n",
                "        return Quantity(Decimal(value), UNIT)\n",
            ),
        },
        {SCALE: "its frames have no code for LO or HI"},
    ),
    Fault(
        "HI taken for LO",
        ["lo_hi_are_limits"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                "Special.ABOVE: Limit.ABOVE, Special.BELOW: Limit.BELOW",
                "Special.ABOVE: Limit.BELOW, Special.BELOW: Limit.BELOW",
            ),
            METER: edit(
                f"{G}/codec.py", "{Special.ABOVE: Limit.ABOVE,", "{Special.ABOVE: Limit.BELOW,"
            ),
            ULTRA: edit(f"{U}/codec.py", "return Limit.ABOVE if", "return Limit.BELOW if"),
        },
        {SCALE: "its frames have no code for LO or HI"},
    ),
    Fault(
        "control solution as a patient's",
        ["control_is_marked"],
        {
            METER: edit(f"{G}/codec.py", 'yield "control"\n', 'yield "solution"\n'),
            ULTRA: edit(f"{U}/codec.py", '{"control": record.control,', '{"control": False,'),
        },
        {CUFF: NO_CONTROL, SCALE: NO_CONTROL},
    ),
    Fault(
        "user slot ignored",
        ["both_ways", "profile_agrees"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                "slot=None if told.user in (None, UNKNOWN_USER) else str(told.user)",
                "slot=None",
            )
        },
        {METER: NO_USERS, ULTRA: NO_USERS, SCALE: NO_USERS},
    ),
    Fault(
        "field read at a fixed place",
        ["both_ways"],
        {
            CUFF: edit(f"{B}/codec.py", 'user=fields.u8("user id") if', "user=data[16] if"),
            METER: edit(
                f"{G}/codec.py",
                'status=fields.u16("sensor status") if',
                'status=Fields(data[13:]).u16("sensor status") if',
            ),
        },
        {ULTRA: FIXED, SCALE: FIXED},
    ),
    Fault(
        "truncated packet accepted",
        ["every_prefix"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                'fields = Fields(data)\n    flags = fields.u8("flags")',
                'fields = Fields(data.ljust(19, b"\\0"))\n    flags = fields.u8("flags")',
            ),
            METER: edit(
                f"{G}/codec.py",
                "fields = Fields(data)\n",
                'fields = Fields(data.ljust(17, b"\\0"))\n',
            ),
            SCALE: edit(
                f"{X}/codec.py",
                "_check_length(data, V1_OCTETS)\n    fields = Fields(data)",
                'fields = Fields(data.ljust(V1_OCTETS, b"\\0"))',
            ),
        },
        {ULTRA: LINES},
    ),
    Fault(
        "checksum ignored",
        ["flipped_bits"],
        {ULTRA: edit(f"{U}/codec.py", "if checksum(text) != told:", "if told < 0:")},
        {CUFF: NO_CHECKSUM, METER: NO_CHECKSUM, SCALE: NO_CHECKSUM},
    ),
    Fault(
        "a packet taken for a line",
        ["cuts_do_not_matter"],
        {
            ULTRA: edit(
                f"{U}/codec.py",
                'FRAMING = LineFramed(end=b"\\r\\n", line_max=120)',
                "class _Packets:\n    end, rest = b'\\r\\n', b''\n    def reader(self):\n        return self\n"
                "    def feed(self, data):\n        return [data.rstrip(b'\\r\\n')]\n\n\nFRAMING = _Packets()",
            )
        },
        dict.fromkeys((CUFF, METER, SCALE), "a radio's packet is a frame"),
    ),
    Fault(
        "too impatient",
        ["cuts_do_not_matter", "units_are_read"],
        {
            CUFF: edit(f"{B}/session.py", "unit.profile.quiet_s)", "0.2)"),
            METER: edit(RACP, "PATIENCE_S = 8.0", "PATIENCE_S = 0.2"),
            SCALE: edit(
                "gateway/contract/broadcast.py", "quiet_s = unit.profile.quiet_s", "quiet_s = 0.2"
            ),
        },
        {ULTRA: "a stream's pieces follow each other within milliseconds in the kit"},
    ),
    Fault(
        "endless wait",
        ["silence_ends"],
        {
            CUFF: edit(INTRODUCTION, "        yield SetTimer(_ANSWER, ANSWER_S)\n", ""),
            METER: edit(RACP, "    yield SetTimer(_PATIENCE, patience_s)\n    while", "    while"),
            ULTRA: edit(
                f"{U}/session.py",
                "    yield from quiet(unit.profile.quiet_s)\n",
                "    while True:\n        yield\n",
            ),
        },
        {SCALE: SDK_HEARS},
    ),
    Fault(
        "asks again after a time-out, where answers don't say what they answer",
        ["silence_ends"],
        {
            ULTRA: edit(
                f"{U}/session.py",
                "            line = _clean((yield from meter.frame()))\n",
                "            try:\n                line = _clean((yield from meter.frame()))\n"
                "            except PeerError:\n                line = _clean((yield from meter.ask("
                "request(ASK_DUMP), lambda frame: _clean(frame).startswith(b'P \"'))))\n",
                "    yield from _end_of(meter, header.count, unit.profile.quiet_s)\n",
                "",
            )
        },
        {
            CUFF: ASKED_ONCE,
            METER: "records say which they are, and it holds them against a count",
            SCALE: "it can't ask",
        },
    ),
    Fault(
        "memory cleared, or a record forgotten, before it is stored",
        ["forget_after_stored"],
        {
            CUFF: edit(f"{B}/session.py", "            yield Flush()\n", ""),
            ULTRA: edit(
                f"{U}/session.py",
                "    memory = [_fingerprint",
                "    from gateway.sdk import Write\n    yield Write(LINE, request(b'DMZ'))\n    memory = [_fingerprint",
            ),
        },
        {
            METER: "it sends no request that deletes, and its device's side knows none",
            SCALE: NOTHING_KEPT,
        },
    ),
    Fault(
        "cursor moved before Stored",
        ["forget_after_stored"],
        {
            METER: edit(
                f"{G}/session.py",
                "            for reading in self._transfer.readings(new, self._join):\n                yield Report(reading)\n"
                "            yield from until_stored(str(Cursor(newest.mark)) if newest else None)",
                "            yield from until_stored(str(Cursor(newest.mark)) if newest else None)\n"
                "            for reading in self._transfer.readings(new, self._join):\n                yield Report(reading)\n"
                "            yield from until_stored()",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                "    already = known(",
                "    yield from until_stored(CURSOR + ''.join(memory))\n    already = known(",
            ),
        },
        {CUFF: NO_CURSOR, SCALE: SDK_HEARS},
    ),
    Fault(
        "cursor ignored",
        ["resume_is_exact", "repeats_keep_keys"],
        {
            METER: edit(f"{G}/session.py", "cursor(unit.cursor)\n", "cursor(None)\n"),
            ULTRA: edit(f"{U}/session.py", "known(memory, unit.cursor,", "known(memory, None,"),
        },
        {CUFF: NO_CURSOR, SCALE: SDK_HEARS},
    ),
    Fault(
        "memory position as record number",
        ["repeats_keep_keys"],
        {
            METER: edit(
                f"{G}/transfer.py",
                "for record in records:\n            waiting",
                "for place, record in enumerate(records):\n            record = replace(record, told=replace(record.told, sequence=place))\n            waiting",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                "    for told in readings(dump, with_ordinals=unit.profile.identity.ordinal)[already:]:\n        yield Report(told)",
                "    for place, told in enumerate(readings(dump, with_ordinals=True)[already:]):\n        yield Report(replace(told, ordinal=place))",
            ),
        },
        {CUFF: NO_NUMBER, SCALE: NO_NUMBER},
    ),
    Fault(
        "record's own number dropped",
        ["replay_matches", "both_ways"],
        {
            METER: edit(
                f"{G}/codec.py",
                "        sequence=told.sequence,\n        context=",
                "        context=",
            )
        },
        {CUFF: NO_NUMBER, ULTRA: NO_NUMBER, SCALE: NO_NUMBER},
    ),
    Fault(
        "last record dropped",
        ["both_ways", "resume_is_exact"],
        {
            CUFF: edit(
                f"{B}/session.py",
                CUFF_HEARS,
                f"    held = []\n\n{CUFF_HEARS}",
                CUFF_REPORTS,
                "            held.append(readings[event.channel](event.data))\n            yield from map(Report, held[-2:-1])\n",
                CUFF_BEGINS,
                f"        held.clear()\n{CUFF_BEGINS}",
            ),
            METER: edit(
                f"{G}/session.py",
                "for reading in self._transfer.readings(new, self._join):\n                yield",
                "for reading in self._transfer.readings(new[:-1] or new, self._join):\n                yield",
            ),
            ULTRA: edit(
                f"{U}/session.py", "for place in range(count):", "for place in range(count - 1):"
            ),
        },
        {SCALE: "each weighing is one burst, and all its frames say the same"},
    ),
    Fault(
        "equal values taken for one measurement",
        ["repeats_keep_keys", "both_ways"],
        {
            CUFF: edit(
                f"{B}/session.py",
                CUFF_HEARS,
                f"    seen = []\n\n{CUFF_HEARS}",
                CUFF_REPORTS,
                "            told = readings[event.channel](event.data)\n            if told.parts not in seen:\n"
                "                seen.append(told.parts)\n                yield Report(told)\n",
                CUFF_BEGINS,
                f"        seen.clear()\n{CUFF_BEGINS}",
            ),
            METER: edit(
                f"{G}/transfer.py",
                "if data not in self._raw:\n                    self._raw.add(data)",
                "if data[10:] not in self._raw:\n                    self._raw.add(data[10:])",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                "        told.append(replace(single, ordinal=seen[same]) if with_ordinals else single)",
                "        if single.parts not in [one.parts for one in told]:\n            told.append(single)",
            ),
            SCALE: edit(
                f"{X}/session.py",
                "return Between(told.time.naive if weighing else None)",
                "return None",
            ),
        },
    ),
    Fault(
        "skips what it can't read, and moves on",
        ["flipped_bits", "every_prefix"],
        {
            METER: edit(
                f"{G}/transfer.py",
                'self.fault = PeerError(f"{channel} {data.hex()}: {fault}")',
                "del fault",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                '            raise PeerError(f"record {place + 1} of {count}: {fault}") from fault',
                "            continue",
            ),
        },
        {CUFF: NOTHING_KEPT, SCALE: NOTHING_KEPT},
    ),
    Fault(
        "waits for context that may never come",
        ["units_are_read", "mutations_lose_nothing"],
        {
            METER: edit(
                f"{G}/transfer.py",
                "            yield join(record, waiting",
                "            if record.told.context_follows and not waiting:\n                continue\n            yield join(record, waiting",
            ),
            SCALE: edit(
                f"{X}/session.py",
                "    # The current through",
                "    if channel == V2 and not told.has_impedance:\n        return None\n    # The current through",
                only="xiaomi/mi-scale-v2",
            ),
        },
        {CUFF: NO_CONTEXT, ULTRA: NO_CONTEXT},
    ),
    Fault(
        "context joined to the record before it",
        ["mutations_lose_nothing", "every_prefix", "resume_is_exact"],
        {
            METER: edit(
                f"{G}/transfer.py",
                "self._contexts[_number(data)].append",
                "self._contexts[self.records[-1].told.sequence if self.records else _number(data)].append",
            )
        },
        {CUFF: NO_CONTEXT, ULTRA: NO_CONTEXT, SCALE: NO_CONTEXT},
    ),
    Fault(
        "what was announced is not held against what came",
        ["mutations_lose_nothing"],
        {
            METER: edit(
                RACP,
                "if announced is not None and gathering.frames < announced:",
                "if announced is not None and gathering.frames < 0:",
            ),
        },
        {
            ULTRA: "a dump that was told in part is told again whole: its times name the records",
            CUFF: "it announces nothing",
            SCALE: "it announces nothing",
        },
    ),
    Fault(
        "raises KeyError",
        ["only_peer_error", "flipped_bits"],
        {
            CUFF: edit(f"{B}/codec.py", "if number in _LIMITS:", "if isinstance(number, Special):"),
            METER: edit(
                f"{G}/codec.py",
                'TYPES.get(sample.type, f"reserved_{sample.type}")',
                "TYPES[sample.type]",
            ),
            ULTRA: edit(
                f"{U}/codec.py",
                '    if found is None:\n        raise PeerError(f"its checksum is right, but it is no {what}")\n',
                "",
            ),
            SCALE: edit(
                f"{X}/codec.py",
                "if unit not in (V2_KILOGRAM, V2_POUND) or",
                "{V2_KILOGRAM: 1, V2_POUND: 1}[unit]\n    if",
                only="xiaomi/mi-scale-v2",
            ),
        },
    ),
    Fault(
        "state kept between visits",
        ["replay_repeats", "stays_pure"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                "    parts: dict",
                "    _ALL.append(raw)\n    parts: dict",
                "UNKNOWN_USER = 0xFF\n",
                "UNKNOWN_USER = 0xFF\n_ALL = []\n",
                "slot=None if told",
                "sequence=len(_ALL),\n        slot=None if told",
            ),
            METER: edit(
                f"{G}/transfer.py",
                "        self._raw: set[bytes] = set()\n",
                "        self._raw = _RAW\n",
                "_FINGERPRINT_BYTES = 6\n",
                "_FINGERPRINT_BYTES = 6\n_RAW = set()\n",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                "    memory = [_fing",
                "    dump = _DUMPS.setdefault(str(dump), dump) if str(dump) not in _DUMPS else []\n    memory = [_fing",
                "FINGERPRINT_BYTES = 4 ",
                "_DUMPS = {}\nFINGERPRINT_BYTES = 4 ",
            ),
            SCALE: edit(
                f"{X}/session.py",
                "    told = decode_v1",
                "    if data in _SEEN:\n        return None\n    _SEEN.add(data)\n    told = decode_v1",
                "V1, V2 = ",
                "_SEEN = set()\nV1, V2 = ",
            ),
        },
    ),
    Fault(
        "reads a clock",
        ["stays_pure"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                "        pushed=True,\n",
                "        pushed=__import__('datetime').datetime.now().year > 0,\n",
            ),
            METER: edit(
                f"{G}/transfer.py",
                "        self.frames = 0\n        self.fault",
                "        import time\n        self.began = time.monotonic()\n        self.frames = 0\n        self.fault",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                "    header = decode_header",
                "    from datetime import date\n    today = date.today()\n    header = decode_header",
            ),
            SCALE: edit(
                f"{X}/codec.py",
                "    return Reading(\n",
                "    import time\n    time.time()\n    return Reading(\n",
            ),
        },
    ),
    Fault(
        "draws, opens or asks the environment",
        ["stays_pure"],
        {
            CUFF: edit(
                f"{B}/session.py",
                CUFF_BEGINS,
                f"        import random\n        random.random()\n{CUFF_BEGINS}",
            ),
            METER: edit(
                f"{G}/session.py",
                "        facts = yield",
                "        import os\n        os.environ.get('HOME')\n        facts = yield",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                "    memory = [_fing",
                "    with open('/dev/null') as _:\n        pass\n    memory = [_fing",
            ),
            SCALE: edit(
                f"{X}/session.py",
                "    told = decode_v1",
                "    import threading\n    threading.Thread(target=len, args=('',)).start()\n    told = decode_v1",
            ),
        },
    ),
    Fault(
        "tells in the order of a set",
        ["stays_pure"],
        {
            METER: edit(
                f"{G}/transfer.py",
                "        return self.records\n        return",
                "        return self.records\n        return",
                "        for record in records:\n            waiting",
                "        by_raw = {record.raw: record for record in records}\n        for record in map(by_raw.get, {str(raw): raw for raw in by_raw}.values() if len(by_raw) < 2 else [raw for _, raw in sorted((hash(raw), raw) for raw in by_raw)]):\n            waiting",
            ),
            ULTRA: edit(
                f"{U}/session.py",
                "    for told in readings(dump, with_ordinals=unit.profile.identity.ordinal)[already:]:",
                "    for told in sorted(readings(dump, with_ordinals=unit.profile.identity.ordinal)[already:], key=lambda one: hash(one.raw)):",
            ),
        },
        {CUFF: "each record is told as it comes", SCALE: "each weighing is told as it comes"},
    ),
    Fault(
        "memory grows with what it hears",
        ["memory_is_bounded"],
        {
            CUFF: edit(
                f"{B}/session.py",
                CUFF_HEARS,
                f"    told = []\n\n{CUFF_HEARS}",
                CUFF_REPORTS,
                f"            told.append(bytes(bytearray(event.data)))\n{CUFF_REPORTS}",
            ),
            METER: edit(f"{G}/transfer.py", "RECORDS_MAX = 10_000", "RECORDS_MAX = 10**9"),
            ULTRA: edit(f"{U}/codec.py", "line_max=120", "line_max=10**9"),
            SCALE: edit(
                f"{X}/session.py",
                "    told = decode_v1",
                "    _ALL.append(bytes(bytearray(data)))\n    told = decode_v1",
                "V1, V2 = ",
                "_ALL = []\nV1, V2 = ",
            ),
        },
    ),
    Fault(
        "values beyond what is plausible are clamped",
        ["profile_agrees"],
        {
            CUFF: edit(
                f"{B}/codec.py",
                "Quantity(number, unit)",
                "Quantity(min(number, Decimal(300)), unit)",
            ),
            METER: edit(
                f"{G}/codec.py",
                "Quantity(sample.number.scaleb(places), unit)",
                "Quantity(min(sample.number.scaleb(places), 600), unit)",
            ),
            SCALE: edit(
                f"{X}/codec.py",
                'return Quantity(exact, "kg")',
                'return Quantity(min(exact, Decimal(200)), "kg")',
            ),
        },
        {ULTRA: "beyond its range it shows LO and HI, and no number"},
    ),
    Fault(
        "asks on a channel that the profile doesn't name",
        ["profile_agrees"],
        {
            CUFF: edit(f"{MODELS}/generic/blood-pressure.toml", "measurement = {", "pressure = {"),
            METER: edit(f"{MODELS}/generic/glucose.toml", "racp = {", "control_point = {"),
            SCALE: edit(
                f"{X}/session.py",
                "fuller_follows=channel == V2 and not told.has_impedance)",
                "fuller_follows=channel == V2 and not told.has_impedance)",
                'V1, V2 = "weight_scale", "body_composition"',
                'V1, V2 = "weight", "body_composition"',
            ),
        },
        {ULTRA: "a cable has one line"},
    ),
    Fault(
        "the profile states another kind or range than the device's",
        ["profile_agrees"],
        {
            CUFF: edit(
                f"{MODELS}/generic/blood-pressure.toml",
                'systolic = { low = "40"',
                'systolic = { low = "160"',
            ),
            METER: edit(f"{G}/codec.py", 'KIND = "glucose"', 'KIND = "ketone"'),
            ULTRA: edit(f"{MODELS}/lifescan/onetouch-ultra2.toml", 'high = "600"', 'high = "95"'),
            SCALE: edit(f"{MODELS}/xiaomi/mi-scale-v1.toml", 'low = "0.05"', 'low = "60"'),
        },
    ),
    Fault(
        "the profile hides that the device forgets on confirmation",
        ["profile_agrees"],
        {CUFF: edit(f"{MODELS}/generic/blood-pressure.toml", "deletes_on_confirm = true\n", "")},
        {METER: "it keeps its memory", ULTRA: "it keeps its memory", SCALE: "it has no memory"},
    ),
    Fault(
        "the profile counts fewer users than are told",
        ["profile_agrees"],
        {CUFF: edit(f"{MODELS}/generic/blood-pressure.toml", "users = 2\n", "")},
        {METER: NO_USERS, ULTRA: NO_USERS, SCALE: NO_USERS},
    ),
    Fault(
        "the profile claims a name that records don't have",
        ["profile_agrees"],
        {
            CUFF: edit(
                f"{MODELS}/generic/blood-pressure.toml", 'scheme = "clock"', 'scheme = "record"'
            ),
            ULTRA: edit(
                f"{MODELS}/lifescan/onetouch-ultra2.toml", 'scheme = "clock"', 'scheme = "record"'
            ),
            SCALE: edit(
                f"{MODELS}/xiaomi/mi-scale-v1.toml", 'scheme = "clock"', 'scheme = "record"'
            ),
        },
        {METER: "its records have a number"},
    ),
    Fault(
        "the profile wins no sighting",
        ["sightings_won"],
        {
            CUFF: edit(
                f"{MODELS}/generic/blood-pressure.toml",
                'services = ["1810"]',
                'services = ["181f"]',
            ),
            METER: edit(
                f"{MODELS}/generic/glucose.toml", 'services = ["1808"]', 'services = ["181f"]'
            ),
            ULTRA: edit(
                f"{MODELS}/lifescan/onetouch-ultra2.toml",
                "usb = [",
                "usb = [] # [",
                'models = ["',
                'models = ["X',
            ),
            SCALE: edit(
                f"{MODELS}/xiaomi/mi-scale-v1.toml", 'services = ["181d"]', 'services = ["181f"]'
            ),
        },
    ),
)
