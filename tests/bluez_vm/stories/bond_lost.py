"""Reading what is paired without a person; the cuff loses its bond, that is told and mended, and nothing is lost or read twice."""

from tests.bluez_vm.house import House

KINDS = ("blood_pressure", "glucose")
MEASURED = 5 + 3 + 2 + 1


async def act(there: House) -> None:
    """Play it. Raises AssertionError where a word or a reading is not as it must be."""
    shown = len(there.box.shown("meter"))
    await _read_without_a_person(there)
    await _the_bond_is_lost(there)
    await _it_is_mended(there)
    assert len(there.box.shown("meter")) == shown, "a bond that is kept needs no passkey"
    assert there.radio("meter").pairings == [True]
    assert sum(there.truth(*KINDS).values()) == MEASURED


async def _read_without_a_person(there: House) -> None:
    await there.box.until("the past of both is read", lambda: _all_read(there))
    await there.measure(pressures=2, sugars=1)
    await there.box.until("what is new is read, without a person", lambda: _all_read(there))
    # A visit that meets BlueZ still hanging up, which takes it two seconds, may fail; nobody is told to pair for that.
    assert not any("not paired" in there.box.trouble(which) for which in ("cuff", "meter"))


async def _the_bond_is_lost(there: House) -> None:
    # On disk here is not yet confirmed there: the confirmation is on its way to the cuff, which else would forget one more.
    await there.box.until("the cuff has forgotten what it told", lambda: not there.unconfirmed())
    await there.radio("cuff").forget_bonds()
    await there.measure(pressures=2)
    await there.box.until(
        "the cuff has forgotten the pairing, and that is told",
        lambda: _remedy(there) in there.box.trouble("cuff"),
    )
    assert not await there.radio("cuff").bonds()
    if there.bonds is not None:
        assert there.bonds.proof(there.box.devices["cuff"].place) is False, "this box holds its own"
    assert there.unconfirmed() == 2
    await there.measure(sugars=1)
    await there.box.until("the meter is read all the same", lambda: _missing(there) == 2)


async def _it_is_mended(there: House) -> None:
    assert (twice := await there.box.pair("cuff")).startswith("1: ")
    assert "--again" in twice
    assert "is paired (without a passkey" in await there.box.pair("cuff", "--again")
    assert there.radio("cuff").pairings == [False, False]
    await there.box.until("what the cuff had kept is read", lambda: _all_read(there))
    await there.box.until("and nothing is wrong any more", lambda: not there.box.trouble("cuff"))
    assert not there.unconfirmed()


def _all_read(there: House) -> bool:
    return there.told(*KINDS) == there.truth(*KINDS)


def _missing(there: House) -> int:
    assert not there.told(*KINDS) - there.truth(*KINDS)
    return sum((there.truth(*KINDS) - there.told(*KINDS)).values())


def _remedy(there: House) -> str:
    return f"run vitalgate edge pair {there.box.devices['cuff'].place} --again"
