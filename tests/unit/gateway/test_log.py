"""What may stand in a log: no person, no measurement, and no frame that holds one."""

import json

import pytest

from gateway.runtime import log
from gateway.sdk import PeerError

FRAME = "1ea800800074ea0702050b150a3c00"  # 168/128 mmHg
TOLD = f"blood_pressure {FRAME}: cut off in its time stamp"


def reading(data: bytes) -> None:
    raise PeerError(f"blood_pressure {data.hex()}: cut off in its time stamp")


@pytest.fixture
def line(capsys):
    log.configure(json=True)

    def last() -> dict[str, str]:
        return json.loads(capsys.readouterr().err.splitlines()[-1])

    yield last
    log.configure(json=True)


def test_a_frame_that_could_not_be_read_is_told_by_its_length_alone(line) -> None:
    log.get("visit").warning("visit.failed", place="C0:11:22:33:44:55", why=TOLD)

    told = line()
    assert told["why"] == "blood_pressure <15 octets>: cut off in its time stamp"
    assert told["place"] == "C0:11:22:33:44:55"


def test_nor_does_a_traceback_show_it(line) -> None:
    try:
        reading(bytes.fromhex(FRAME))
    except PeerError as fault:
        log.get("visit").error("visit.failed", error=fault, exc_info=True)

    told = line()
    assert "<15 octets>" in told["error"]
    assert FRAME not in json.dumps(told)
    assert "PeerError" in told["exception"]


@pytest.mark.parametrize("word", ["decade", "a facade", "0x2a35", "18 of 20", "2026-11-28"])
def test_words_and_numbers_are_no_octets(line, word: str) -> None:
    log.get("visit").warning("visit.failed", why=word)

    assert line()["why"] == word


def test_a_field_that_would_carry_a_measurement_is_withheld(line) -> None:
    log.get("visit").warning("visit.failed", value="168", why=None)

    told = line()
    assert (told["value"], told["why"]) == ("<withheld>", None)
