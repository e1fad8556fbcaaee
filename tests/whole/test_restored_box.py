"""A box restored from yesterday's disk image: nothing lost, nothing receipted for another reading."""

import shutil

import pytest


@pytest.mark.slow(55)
@pytest.mark.timeout(300)
def test_a_box_restored_from_an_old_image_loses_nothing(whole) -> None:
    whole.start_broker()
    whole.start_ward(
        "--scenario", "kill", "--cuffs", "2", "--meters", "1", "--every", "2", "--seconds", "45"
    )
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()
    whole.until("some readings", lambda: len(whole.readings()) > 6, 60)
    whole.end("edge")
    data = whole.house.folder / "edge"
    shutil.copytree(data, whole.house.folder / "image")
    imaged = whole.status()["issued"]
    whole.start("edge")
    whole.until("numbers beyond the image's", lambda: whole.status()["issued"] >= imaged + 6, 60)
    whole.until("the box to be empty", lambda: whole.status()["pending"] == 0, 60)
    whole.end("edge")
    shutil.rmtree(data)
    shutil.copytree(whole.house.folder / "image", data)

    whole.start("edge")
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 90)
    whole.until(
        "everything to arrive",
        lambda: sum(1 for one in whole.readings() if one["series"]) >= len(whole.truth().measured),
        60,
    )

    # A new epoch is due only where a number would name another reading; a meter told again in the same order takes the same
    # numbers, rightly. That a conflict makes one is shown in tests/unit/edge/test_publish.py and test_ingest_settling.py.
    assert whole.judge() == []
    assert whole.status()["pending"] == 0
