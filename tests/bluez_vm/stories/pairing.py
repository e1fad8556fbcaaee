"""Pairing while the agent runs: by passkey and Just Works, each seen to be what the key is; a wrong passkey, once."""

import math
import time

from tests.bluez_vm.box import as_shown, misread
from tests.bluez_vm.house import House

TRIES_AT_FIRST = 3
"""Beyond one for each doubling of the wait: the agent's first ones come within a second or two."""


async def act(there: House) -> None:
    """Play it. Raises AssertionError where a word or a key is not as it must be."""
    await _nobody_is_paired_unasked(there)
    await _a_wrong_passkey(there)
    await _just_works(there)
    await _by_passkey(there)


async def _nobody_is_paired_unasked(there: House) -> None:
    await there.box.until(
        "nobody's device is paired unasked, and each is told of",
        lambda: all(_remedy(there, which) in there.box.trouble(which) for which in ("cuff", "meter")),
    )  # fmt: skip
    assert not there.box.observations()
    for which in ("cuff", "meter"):
        assert not there.radio(which).pairings
        _check_bluez(there, which, None)


async def _a_wrong_passkey(there: House) -> None:
    began_s = time.monotonic()
    before = len(there.box.shown("meter"))
    said = await there.box.pair("meter", typed=misread)
    assert said.startswith("1: ")
    assert "the passkey was wrong. Try again, with the number that it shows then." in said
    assert not await there.radio("meter").bonds()
    assert not there.radio("meter").pairings
    _check_bluez(there, "meter", None)
    await there.box.until(
        "the status says what to do of a device whose passkey was wrong",
        lambda: _remedy(there, "meter") in there.box.trouble("meter"),
    )
    # Each try of the agent's makes the screen show a passkey, which nobody types: they grow apart, and the wrong one is tried once.
    tries = len(there.box.shown("meter")) - before
    lasted_s = time.monotonic() - began_s
    assert tries <= 1 + TRIES_AT_FIRST + math.log2(1 + lasted_s)
    there.box.tell(f"the meter showed a passkey {tries} times in {lasted_s:.0f} s")


async def _just_works(there: House) -> None:
    said = await there.box.pair("cuff")
    assert f"0: Looking for {there.box.devices['cuff'].place}" in said
    assert "is paired (without a passkey: it has none to show), and answered without you: " in said
    await _check_keys(there, "cuff", proof=False)


async def _by_passkey(there: House) -> None:
    said = await there.box.pair("meter", typed=as_shown)
    assert f"0: Looking for {there.box.devices['meter'].place}" in said
    assert "is paired (by passkey), and answered without you: " in said
    await _check_keys(there, "meter", proof=True)


async def _check_keys(there: House, which: str, *, proof: bool) -> None:
    """What both sides hold: a key that is proof against a man in the middle, or not."""
    assert there.radio(which).pairings == [proof]
    assert list((await there.radio(which).bonds()).values()) == [proof]
    _check_bluez(there, which, proof)


def _check_bluez(there: House, which: str, proof: bool | None) -> None:  # noqa: FBT001
    if there.bonds is not None:
        assert there.bonds.proof(there.box.devices[which].place) is proof


def _remedy(there: House, which: str) -> str:
    return f"not paired: run vitalgate edge pair {there.box.devices[which].place}"
