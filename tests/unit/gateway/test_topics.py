"""Topics: a box has one branch, and no name opens another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.topics import NAME, Branch, Down, Up, sender, uplink


@pytest.mark.parametrize("leaf", Up)
def test_a_box_is_known_by_the_topic_that_it_speaks_on(leaf: Up) -> None:
    branch = Branch("demo", "box-1")

    assert sender(branch.up(leaf)) == (branch, leaf)


@pytest.mark.parametrize("leaf", Down)
def test_what_a_box_hears_is_no_uplink(leaf: Down) -> None:
    with pytest.raises(ValueError, match="uplink"):
        sender(Branch("demo", "box-1").down(leaf))


@pytest.mark.parametrize(
    "name", ["", "+", "#", "a/b", "a+", "a#", ".a", "-a", "$a", "a b", "a\n", "ä", "a" * 64, "a\0"]
)
def test_a_name_that_would_open_another_branch_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must match"):
        Branch("demo", name)
    with pytest.raises(ValueError, match="must match"):
        Branch(name, "box-1")


def test_a_filter_covers_every_box_of_one_tenant() -> None:
    assert uplink("demo", Up.LEDGER) == "vitalgate/v1/demo/+/up/ledger"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "vitalgate/v1/demo/box-1/up",
        "vitalgate/v1/demo/box-1/up/observations/x",
        "vitalgate/v1/demo/box-1/up/rumours",
        "vitalgate/v2/demo/box-1/up/observations",
        "vitalgate/v1/demo//up/observations",
        "vitalgate/v1/demo/+/up/observations",
        "/vitalgate/v1/demo/box-1/up/observations",
    ],
)
def test_another_topic_is_no_uplink(topic: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 three causes, each with its own words
        sender(topic)


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        branch = Branch("demo", text)
    except ValueError:
        assert not NAME.fullmatch(text)
    else:
        assert sender(branch.up(Up.STATUS)) == (branch, Up.STATUS)
