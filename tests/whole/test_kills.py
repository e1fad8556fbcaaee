"""`kill -9` of agent, broker and ingester, each at random moments while the ward measures: what is lost is bounded and named."""

import random
import time

import pytest

from demo.toll import UNDER_WAY_S_MAX, WINDOW_S_MAX

KILLS = 10
# How long each needs to be at work again before its next death: an agent must find, connect and read.
PAUSE_S = {"edge": (2.5, 6.0), "broker": (0.5, 2.5), "cloud": (1.5, 3.5)}
SETTLE_S = 120


@pytest.mark.slow(120)
@pytest.mark.timeout(480)
def test_ten_kills_of_each_process_cost_nothing_that_a_memory_still_holds(whole, request) -> None:
    seed = int(request.config.getoption("randomly_seed", 0) or 0) & 0xFFFF
    dice = random.Random(seed)
    print(f"\nseed {seed}")
    whole.start_broker()
    whole.start_ward(
        "--scenario", "kill", "--cuffs", "4", "--meters", "2", "--every", "2", "--seconds", "100"
    )
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()
    deaths: dict[str, list[float]] = {name: [] for name in PAUSE_S}
    order = [name for name in PAUSE_S for _ in range(KILLS)]
    dice.shuffle(order)
    for name in order:
        time.sleep(dice.uniform(*PAUSE_S[name]))
        deaths[name].append(whole.kill(name))
        whole.start(name)
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 240)
    whole.until("the console to answer again", whole.console_answers, 60)
    truth = whole.truth()
    whole.until("everything to arrive", lambda: settled(whole, truth), SETTLE_S)
    found = whole.judge()

    window = whole.status()["window_ms"]
    print(
        f"measured {len(truth.measured)}, kills {KILLS} each, window p99 {window['p99']} ms, max {window['max']} ms"
    )
    lost = [finding for finding in found if finding.what == "missing"]
    print("\n".join(str(finding) for finding in found))
    assert [finding for finding in found if finding.what != "missing"] == []
    for finding in lost:
        at = truth.confirmed.get(finding.who)
        assert at is not None, f"{finding}: it was never confirmed, so its device still holds it"
        after = [death - at.timestamp() for death in deaths["edge"]]
        assert any(-UNDER_WAY_S_MAX < gap < WINDOW_S_MAX for gap in after), (
            f"{finding}: no agent died within {WINDOW_S_MAX} s of it"
        )
    assert len(truth.measured) > 100


def settled(whole, truth) -> bool:
    """Nothing waits on the box, and only what a cuff has forgotten can still be missing."""
    if whole.status()["pending"] or any(one["series"] is None for one in whole.readings()):
        return False
    return all(
        finding.who in truth.confirmed for finding in whole.judge() if finding.what == "missing"
    )
