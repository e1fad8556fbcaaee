"""One driver under atheris: coverage of its code decides which octets are tried next. Started by `python -m tests.fuzz`; never comes back."""

import os
import re
import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["drivers", "gateway.contract"]):
    from drivers.testing.fuzz import OCTETS_MAX
    from drivers.testing.subjects import cases
from tests.fuzz.filed import box_of
from tests.fuzz.limits import FOUND_EXIT, Limited, Searched, shown

RSS_MB_MAX = 1_024
VISIT_S_MAX = 600  # by the clock on the wall; `limits` ends a visit long before
SEEDS = 64


def main() -> None:
    """Arguments: driver, seconds, seed, and the file that stderr goes to."""
    driver, seconds, seed, log = (
        sys.argv[1],
        float(sys.argv[2]),
        int(sys.argv[3]),
        Path(sys.argv[4]),
    )
    tried = [Limited(case, box_of(case.profile)) for case in cases(driver, seed)]
    searched = Searched(driver, seconds, tried)

    def one(octets: bytes) -> None:
        if searched.over:
            _leave(0, searched.told(_coverage(log)))
        chosen = tried[octets[0] % len(tried)] if octets else tried[0]
        if why := chosen.visit(octets[1:]):
            _leave(FOUND_EXIT, shown(driver, chosen.case.profile.id, chosen.found(octets[1:], why)))

    corpus = log.with_name(f"{driver}.corpus")
    corpus.mkdir()
    _plant(corpus, Random(seed), len(tried))
    options = [
        f"-max_len={OCTETS_MAX}",
        f"-rss_limit_mb={RSS_MB_MAX}",
        f"-seed={seed}",
        f"-timeout={VISIT_S_MAX}",
        f"-artifact_prefix={log.parent}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def _coverage(log: Path) -> str:
    """By what libFuzzer says on stderr."""
    reached = re.findall(r"cov: (\d+)", log.read_text(errors="replace"))
    return f", {reached[-1]} places of the code reached" if reached else ""


def _leave(code: int, words: str) -> None:
    """The engine can't be asked to stop."""
    print(words, flush=True)
    os._exit(code)


def _plant(corpus: Path, rng: Random, profiles: int) -> None:
    """Visits at random to each profile, and one without a mishap."""
    (corpus / "calm").write_bytes(b"")
    for number in range(SEEDS):
        octets = rng.randbytes(rng.randrange(1, OCTETS_MAX - 1))
        (corpus / f"{number}").write_bytes(bytes((number % profiles,)) + octets)


if __name__ == "__main__":
    main()
