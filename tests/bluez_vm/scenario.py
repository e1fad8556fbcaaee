"""The story that the real BlueZ and our stand-in must both tell: pair, read, read again, lose a bond, mend it, read again."""

from tests.bluez_vm.house import House


async def act(there: House) -> None:
    """Play it. Raises AssertionError where a word or a reading is not as it must be."""
    cuff, meter = there.devices["cuff"].place, there.devices["meter"].place
    async with there.agent():
        await there.until(
            "nobody's device is paired unasked, and each is told of",
            lambda: all(
                f"not paired: run vitalgate edge pair {place}" in there.trouble(which)
                for which, place in (("cuff", cuff), ("meter", meter))
            ),
        )
        assert there.confirmed() == 0
        assert not there.outbox()

    said = await there.pair("cuff")
    assert f"0: Looking for {cuff}" in said
    assert "is paired (without a passkey: it has none to show), and answered without you: " in said
    said = await there.pair("meter", passkey=True)
    assert f"0: Looking for {meter}" in said
    assert "is paired (by passkey), and answered without you: " in said
    shown = len(there.shown())

    async with there.agent():
        await there.until("the past of both is read", lambda: there.outbox() == there.truth())
        await there.measure(pressures=2, sugars=1)
        await there.until(
            "what is new is read, without a person", lambda: there.outbox() == there.truth()
        )
        # A visit that meets BlueZ still hanging up, which takes it two seconds, may fail; nobody is told to pair for that.
        assert not any("not paired" in there.trouble(which) for which in there.devices)

        before = there.confirmed()
        await there.cuff._radio.forget_bonds()
        await there.measure(pressures=2)
        await there.until(
            "the cuff has forgotten the pairing, and that is told",
            lambda: f"run vitalgate edge pair {cuff} --again" in there.trouble("cuff"),
        )
        assert there.confirmed() == before
        await there.measure(sugars=1)
        await there.until(
            "the meter is read all the same",
            lambda: sum((there.truth() - there.outbox()).values()) == 2,
        )

    assert "1: " in (twice := await there.pair("cuff"))
    assert "--again" in twice
    assert "is paired (without a passkey" in await there.pair("cuff", "--again")
    async with there.agent():
        await there.until("what the cuff had kept is read", lambda: there.outbox() == there.truth())
        await there.until("and nothing is wrong any more", lambda: not there.trouble("cuff"))
    assert len(there.shown()) == shown, "a bond that is kept needs no passkey"
    assert sum(there.truth().values()) == 5 + 3 + 2 + 1
