"""One driver under atheris: coverage of its code decides which octets are tried next. Started by `python -m tests.fuzz`; never comes back."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["drivers", "gateway.contract"]):
    from drivers.testing.fuzz import visited
    from drivers.testing.subjects import cases

OCTETS_MAX = 2_048
VISIT_S_MAX = 10
RSS_MB_MAX = 1_024
SEEDS = 64


class Finding(Exception):  # noqa: N818 what the fuzzer shows
    """What a visit may not do."""


def main() -> None:
    """Arguments: driver, seconds, seed."""
    driver, seconds, seed = sys.argv[1:]
    tried = cases(driver, int(seed))

    def one(octets: bytes) -> None:
        case = tried[octets[0] % len(tried)] if octets else tried[0]
        if why := visited(case, octets[1:]):
            line = f"python -m tests.fuzz --driver {driver} --input {octets[1:].hex()}"
            raise Finding(f"{case.profile.id}: {why}\n{line}")

    with tempfile.TemporaryDirectory(prefix="vitalgate-fuzz-") as corpus:
        _plant(Path(corpus), tried)
        options = [
            f"-max_total_time={float(seconds):.0f}",
            f"-max_len={OCTETS_MAX}",
            f"-timeout={VISIT_S_MAX}",
            f"-rss_limit_mb={RSS_MB_MAX}",
            f"-seed={seed}",
            "-print_final_stats=1",
            "-verbosity=1",
            f"-artifact_prefix={tempfile.gettempdir()}/vitalgate-fuzz-",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], one)
        atheris.Fuzz()


def _plant(corpus: Path, tried: list) -> None:
    """What captures hold, so that frames needn't be found by chance."""
    (corpus / "silent").write_bytes(b"\0")
    for number, case in enumerate(tried):
        for name, capture in case.captures.items():
            said = b"".join(getattr(one, "data", b"") for one in capture.told)
            (corpus / f"{number}-{name}").write_bytes(bytes((number,)) + said[: OCTETS_MAX - 1])


if __name__ == "__main__":
    main()
