"""Three voidings and more, one after another: what supported an alert between two of them alone does not hold it afterwards."""

from tests.unit.cloud_ingest.voided_kit import GOOD, MINUTE, by, standing, story, void

FIRST, SECOND, THIRD = "1.1", "1.2", "1.3"


def send(kit, *told: object):
    for n, (firmware, seen) in enumerate(told, 1):
        kit.send(n, by(firmware, seen))


def test_a_pair_that_stood_between_two_voidings_alone_holds_no_alert_after_a_third(kit):
    kit.wearer(kit.cuff)
    send(
        kit,
        (GOOD, kit.bp(200, 130, 50)),
        (THIRD, kit.bp(201, 130, 46)),  # a pair: the alert opens
        (SECOND, kit.bp(185, 121, 30)),
        (GOOD, kit.bp(185, 121, 24.5, arrival="1", transport="usb")),  # a repeat of that
        (GOOD, kit.bp(190, 125, 14)),
        (FIRST, kit.bp(185, 121, 10, arrival="2", transport="usb")),  # a pair with it
        (
            GOOD,
            kit.bp(185, 121, 10),
        ),  # a repeat of that; a pair in its place, while what it repeats then is hidden
    )
    (held,) = standing(kit)
    for firmware in (FIRST, SECOND):
        void(kit, firmware=firmware)
        assert [row[:2] for row in standing(kit)] == [held[:2]]
    void(kit, firmware=THIRD)
    assert "BP-CRISIS" not in [row[0] for row in standing(kit)]
    assert "voided" in [what for what, *_ in story(kit)]


def test_what_comes_to_light_while_a_pair_stands_is_told_when_that_pair_is_voided_too(kit):
    kit.wearer(kit.cuff)
    send(kit, (FIRST, kit.bp(121, 80, 30)), (GOOD, kit.bp(192, 124, 28)))  # answered by that
    kit.clock.advance(2 * MINUTE)
    kit.records.act_on_due(kit.clock.now())
    assert standing(kit) == []
    kit.send(3, by(SECOND, kit.bp(185, 121, 2)), by(SECOND, kit.bp(186, 121, 0)))
    void(kit, firmware=FIRST)
    assert [row[0] for row in standing(kit)] == ["BP-CRISIS"]
    void(kit, firmware=SECOND)
    assert [(row[0], row[4]) for row in standing(kit)] == [("BP-CRISIS?", kit.bp(192, 124, 28).key)]
