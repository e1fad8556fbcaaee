"""Glucose Measurement Context 0x2A34 both ways, and its words for people. Pure; tables and sources: README.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from gateway.sdk import Fields, Special, encode_sfloat

Number = Decimal | Special
AmountUnit = Literal["kg", "L"]

MEAL_KETONE_ISENS = 6  # reserved by the standard; i-SENS marks a ketone record by it (xDrip)
EXERCISE_OVERRUN = 0xFFFF

_CARBOHYDRATE, _MEAL, _PERSON, _EXERCISE = 0x01, 0x02, 0x04, 0x08
_MEDICATION, _IN_LITRES, _HBA1C, _EXTENDED = 0x10, 0x20, 0x40, 0x80

CARBOHYDRATES: Mapping[int, str] = {
    1: "breakfast", 2: "lunch", 3: "dinner", 4: "snack", 5: "drink", 6: "supper", 7: "brunch",
}  # fmt: skip
MEALS: Mapping[int, str] = {
    1: "preprandial", 2: "postprandial", 3: "fasting", 4: "casual", 5: "bedtime",
}  # fmt: skip
TESTERS: Mapping[int, str] = {1: "self", 2: "health_care_professional", 3: "lab_test"}
HEALTH: Mapping[int, str] = {
    1: "minor_issues", 2: "major_issues", 3: "during_menses", 4: "under_stress", 5: "no_issues",
}  # fmt: skip
MEDICATIONS: Mapping[int, str] = {
    1: "rapid_acting_insulin", 2: "short_acting_insulin", 3: "intermediate_acting_insulin",
    4: "long_acting_insulin", 5: "premixed_insulin",
}  # fmt: skip
NOT_AVAILABLE = 15


@dataclass(frozen=True, slots=True)
class Carbohydrate:
    """What was eaten; the field's unit is kg, whatever the flag's text says."""

    id: int
    kg: Number


@dataclass(frozen=True, slots=True)
class Medication:
    """What was taken; kg or L, as the flag says."""

    id: int
    amount: Number
    unit: AmountUnit


@dataclass(frozen=True, slots=True)
class Context:
    """The fields of 0x2A34 as they stand; None where the flags leave a field out.

    `person`: tester and health; `exercise`: seconds and percent.
    """

    sequence: int
    extended: int | None = None
    carbohydrate: Carbohydrate | None = None
    meal: int | None = None
    person: tuple[int, int] | None = None
    exercise: tuple[int, int] | None = None
    medication: Medication | None = None
    hba1c: Number | None = None


def decode_context(data: bytes) -> Context:
    """Read 0x2A34. Raises PeerError where a flagged field is cut; what is reserved stands as its number."""
    fields = Fields(data)
    flags, sequence = fields.u8("flags"), fields.u16("sequence number")
    return Context(
        sequence=sequence,
        extended=fields.u8("extended flags") if flags & _EXTENDED else None,
        carbohydrate=_carbohydrate(fields) if flags & _CARBOHYDRATE else None,
        meal=fields.u8("meal") if flags & _MEAL else None,
        person=_person(fields) if flags & _PERSON else None,
        exercise=_exercise(fields) if flags & _EXERCISE else None,
        medication=_medication(fields, "L" if flags & _IN_LITRES else "kg")
        if flags & _MEDICATION
        else None,
        hba1c=fields.sfloat("HbA1c") if flags & _HBA1C else None,
    )


def _carbohydrate(fields: Fields) -> Carbohydrate:
    return Carbohydrate(fields.u8("carbohydrate id"), fields.sfloat("carbohydrate"))


def _person(fields: Fields) -> tuple[int, int]:
    both = fields.u8("tester and health")
    return both & 0x0F, both >> 4


def _exercise(fields: Fields) -> tuple[int, int]:
    return fields.u16("exercise duration"), fields.u8("exercise intensity")


def _medication(fields: Fields, unit: AmountUnit) -> Medication:
    return Medication(fields.u8("medication id"), fields.sfloat("medication"), unit)


def encode_context(told: Context) -> bytes:
    """Write 0x2A34. Raises ValueError for what the fields can't hold."""
    flags, tail = 0, b""
    for flag, octets in _encoded(told):
        flags, tail = flags | flag, tail + octets
    return bytes((flags,)) + told.sequence.to_bytes(2, "little") + tail


def _encoded(told: Context) -> Iterator[tuple[int, bytes]]:
    if told.extended is not None:
        yield _EXTENDED, bytes((told.extended,))
    if told.carbohydrate:
        eaten = told.carbohydrate
        yield _CARBOHYDRATE, bytes((eaten.id,)) + encode_sfloat(eaten.kg)
    if told.meal is not None:
        yield _MEAL, bytes((told.meal,))
    if told.person:
        tester, health = told.person
        yield _PERSON, bytes((tester | health << 4,))
    if told.exercise:
        seconds, percent = told.exercise
        yield _EXERCISE, seconds.to_bytes(2, "little") + bytes((percent,))
    if told.medication:
        taken = told.medication
        unit = _IN_LITRES if taken.unit == "L" else 0
        yield _MEDICATION | unit, bytes((taken.id,)) + encode_sfloat(taken.amount)
    if told.hba1c is not None:
        yield _HBA1C, encode_sfloat(told.hba1c)


def in_words(told: Context) -> Iterator[tuple[str, str]]:
    """Names and values for a reading's context: grams, milligrams, millilitres, percent; what is reserved keeps its number."""
    if told.carbohydrate:
        yield "carbohydrate", _word(told.carbohydrate.id, CARBOHYDRATES)
        yield from _amount("carbohydrate_g", told.carbohydrate.kg, 3)
    if told.meal is not None:
        yield "meal", _word(told.meal, MEALS)
    if told.person:
        for name, code, words in zip(
            ("tester", "health"), told.person, (TESTERS, HEALTH), strict=True
        ):
            if code != NOT_AVAILABLE:
                yield name, _word(code, words)
    if told.exercise:
        seconds, percent = told.exercise
        yield "exercise_s", "overrun" if seconds == EXERCISE_OVERRUN else str(seconds)
        yield "exercise_percent", str(percent)
    if told.medication:
        yield "medication", _word(told.medication.id, MEDICATIONS)
        name, places = (
            ("medication_mg", 6) if told.medication.unit == "kg" else ("medication_ml", 3)
        )
        yield from _amount(name, told.medication.amount, places)
    if told.hba1c is not None:
        yield from _amount("hba1c_percent", told.hba1c, 0)


def _amount(name: str, number: Number, places: int) -> Iterator[tuple[str, str]]:
    if isinstance(number, Decimal):
        yield name, f"{number.scaleb(places):f}"


def _word(code: int, words: Mapping[int, str]) -> str:
    return words.get(code, f"reserved_{code}")
