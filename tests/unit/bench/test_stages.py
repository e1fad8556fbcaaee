"""The stopwatch times functions by their names: one that is called otherwise would stop the benchmark, after minutes."""

from bench.stages import ENDS, STAGES, Stopwatch
from cloud_ingest.stores.records import ingest


def test_every_stage_that_is_timed_is_one_of_the_transactions_functions() -> None:
    watch = Stopwatch()
    before = dict(vars(ingest))

    with watch.attached(ingest, STAGES), watch.attached(ingest.Writer, ENDS):
        timed = {name for name, what in vars(ingest).items() if what is not before.get(name)}

    assert timed == {name for names in STAGES.values() for name in names}
    assert vars(ingest) == before
