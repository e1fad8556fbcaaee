"""A disk that shows room and takes nothing: a box must not let a cuff forget what it can't keep."""

import os
import resource
import time
from pathlib import Path

import pytest

OUTAGE_S = 20
IN_FLIGHT_MAX = 4  # two cuffs, each with what it may have been telling as the disk failed


@pytest.mark.slow(50)
@pytest.mark.timeout(180)
def test_a_box_whose_disk_takes_nothing_lets_no_cuff_forget(whole) -> None:
    whole.start_broker("iotcore")
    options = ("--cuffs", "2", "--meters", "1", "--every", "2", "--seconds", "40")
    whole.start_ward("--scenario", "kill", *options)
    whole.start_edge()
    whole.bind_everybody()
    whole.end("edge")
    # Its log goes elsewhere: what is asked here is what becomes of readings.
    whole.start("edge", log=Path(os.devnull))
    box = whole.process("edge")
    whole.until("the box to run", lambda: whole.status()["connected"], 30)
    since = time.time()
    resource.prlimit(box.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    time.sleep(OUTAGE_S)
    forgotten = [at for at in whole.truth().confirmed.values() if at.timestamp() > since]
    resource.prlimit(box.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    whole.start_cloud()
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)
    whole.until(
        "all on the box", lambda: whole.status()["issued"] >= len(whole.truth().measured), 60
    )
    whole.until("the box to be empty", lambda: whole.status()["pending"] == 0, 60)
    whole.until("the series", lambda: all(one["series"] for one in whole.readings()), 30)

    assert len(forgotten) <= IN_FLIGHT_MAX
    assert box.poll() is None
    assert whole.judge() == []
