"""Our wheel as a vendor gets it: built once for all that ask, however many workers run, and environments that hold it and nothing else."""

import fcntl
import os
import shutil
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 400
SDIST = "import setuptools.build_meta as b, sys; print(b.build_sdist(sys.argv[1]))"
WHEEL = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w")


@dataclass(frozen=True)
class Built:
    """A folder with our sources, sdist and wheel, and an environment into which the wheel was installed."""

    home: Path

    @property
    def sources(self) -> Path:
        return self.home / "ours"

    @property
    def wheel(self) -> Path:
        (found,) = (self.home / "dist").glob("vitalgate-*.whl")
        return found

    def environment(self, place: Path) -> None:
        """An environment of the caller's own, with what pip put into ours."""
        venv.create(place, symlinks=True)
        shutil.copytree(self.home / "env" / "lib", place / "lib", dirs_exist_ok=True)
        for script in (self.home / "env" / "bin").iterdir():
            if not (place / "bin" / script.name).exists():
                shutil.copy(script, place / "bin")
                # Its first line names the interpreter by its place.
                text = script.read_text().replace(str(self.home / "env"), str(place))
                (place / "bin" / script.name).write_text(text)

    def another(self, sources: Path, into: Path) -> Path:
        """The wheel of somebody else's package, by the same tools."""
        self._python(*WHEEL, str(into), str(sources))
        (found,) = into.glob("*.whl")
        return found

    def _make(self) -> None:
        venv.create(self.home / "env", with_pip=True, symlinks=True)
        pyproject = (ROOT / "pyproject.toml").read_text().splitlines()
        wants = next(line for line in pyproject if "requires" in line).split('"')[1]
        tools = ("--target", str(self.home / "tools"))
        self._python("-m", "pip", "install", "-q", *tools, wants)
        told = self._python("-c", SDIST, str(self.home), folder=copy_of_ours(self.sources))
        self._python(*WHEEL, "dist", str(self.home / told.split()[-1]))
        self._python("-m", "pip", "install", "-q", str(self.wheel))

    def _python(self, *words: str, folder: Path | None = None) -> str:
        # The tools that build stand beside the environment: it holds our wheel and what that needs.
        python = str(self.home / "env" / "bin" / "python")
        return done(folder or self.home, python, *words, PYTHONPATH=str(self.home / "tools"))


def built(folder: Path) -> Built:
    """Built by whoever asks first; the others wait for it."""
    folder.mkdir(exist_ok=True)
    one = Built(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            one._make()
            (folder / "built").touch()
    return one


def run(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    # Only what a vendor has: neither the checkout nor this test's environment.
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "SSL_CERT_FILE")
    surroundings = {
        name: value
        for name, value in os.environ.items()
        if name in kept or name.startswith("PIP_") or name.lower().endswith("_proxy")
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=surroundings | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def done(folder: Path, *command: str, **more: str) -> str:
    told = run(folder, *command, **more)
    assert told.returncode == 0, f"{command}\n{told.stdout[-3000:]}\n{told.stderr[-3000:]}"
    return told.stdout


def copy_of_ours(folder: Path) -> Path:
    """What is in the repository, built where nothing of the checkout can help."""
    told = done(ROOT, "git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard")
    for name in told.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder
