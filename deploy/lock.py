"""Makes requirements.lock: one resolution for everything, run-time packages first, development's after the mark.

usage: python deploy/lock.py      (needs uv: pip install uv)
"""

import re
import subprocess
from pathlib import Path

MARK = "# --- development only: `make demo` stops reading here ---"
HEAD = "# Made by deploy/lock.py from pyproject.toml. One resolution; every file by its hash."
ROOT = Path(__file__).resolve().parent.parent
COMPILE = (
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--upgrade"),
    *("--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", "pyproject.toml"),
)


def blocks(text: str) -> dict[str, str]:
    """Requirement line without its hashes -> the whole entry."""
    entries = re.split(r"(?m)^(?=[a-zA-Z0-9])", text)
    return {entry.split(" \\\n")[0]: entry.rstrip("\n") for entry in entries if entry.strip()}


def resolve(*extras: str) -> dict[str, str]:
    """What uv resolves for these extras."""
    wanted = [word for extra in extras for word in ("--extra", extra)]
    done = subprocess.run((*COMPILE, *wanted), cwd=ROOT, check=True, capture_output=True, text=True)
    return blocks(done.stdout)


def main() -> None:
    """Write the lock."""
    everything = resolve("dev")
    names = {line.split("==")[0] for line in resolve("demo")}
    first = [entry for line, entry in everything.items() if line.split("==")[0] in names]
    rest = [entry for line, entry in everything.items() if line.split("==")[0] not in names]
    (ROOT / "requirements.lock").write_text("\n".join([HEAD, *first, MARK, *rest, ""]))


if __name__ == "__main__":
    main()
