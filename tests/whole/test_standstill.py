"""A process that neither runs nor ends for a while: what hangs on it waits, and goes on."""

import os
import signal
import time

import pytest

from tests.whole.steady import STEADY, everything


@pytest.mark.slow(50)
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["edge", "cloud", "broker"])
def test_a_process_that_stands_still_for_a_while_goes_on_where_it_was(whole, name: str) -> None:
    everything(whole, *STEADY, "--seconds", "40")
    whole.until("some readings", lambda: len(whole.readings()) > 4, 60)
    whole.leave()
    pid = whole.process(name).pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(20)
    os.kill(pid, signal.SIGCONT)
    whole.until("the console", whole.console_answers, 60)
    whole.arrived()

    assert whole.process(name).poll() is None
    assert whole.judge() == []
