"""A stopwatch around the ingester's own stages, while the real transaction runs. Changes no result; costs two clock reads a call.

It replaces names in the module that calls them, so a stage that is renamed stops the benchmark instead of leaving a gap.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import ModuleType, TracebackType
from typing import Any

# Stage -> the functions of the transaction that belong to it, in its order. The writer's `writing` gives the first and the last.
LOCK, COMMIT = "take the write lock", "commit (fsync)"
ENDS = {LOCK: ("writing",)}
STAGES = {
    "decode, check, hash": ("arrive",),
    "numbers, ledger": ("settle", "repeat_outcomes", "write_ledger"),
    "bindings": ("own",),
    "rule states": ("readable_states", "set_aside", "save_states"),
    "keys": ("claim", "write_conflicts"),
    "assess": ("assess",),
    "journal": ("_write_journal", "_number_journal"),
    "flags, alerts": ("write_findings",),
    "box's commit number": ("_count_commits",),
}
ORDER = (*STAGES, *ENDS, COMMIT)


@dataclass(slots=True)
class Spent:
    """Seconds in one stage, by the wall and by this thread's processor time."""

    wall: float = 0.0
    cpu: float = 0.0
    calls: int = 0


@dataclass(slots=True)
class Stopwatch:
    """What each stage took since `clear`."""

    spent: dict[str, Spent] = field(default_factory=lambda: {stage: Spent() for stage in ORDER})

    def clear(self) -> None:
        """Begin anew."""
        for one in self.spent.values():
            one.wall, one.cpu, one.calls = 0.0, 0.0, 0

    @contextmanager
    def on(self, stage: str) -> Generator[None]:
        """Time a block."""
        spent = self.spent.setdefault(stage, Spent())
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            spent.cpu += time.thread_time() - cpu
            spent.wall += time.perf_counter() - wall
            spent.calls += 1

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""
        spent = self.spent.setdefault(stage, Spent())

        def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 whatever the stage takes
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                spent.cpu += time.thread_time() - cpu
                spent.wall += time.perf_counter() - wall
                spent.calls += 1

        return run

    @contextmanager
    def attached(
        self, module: ModuleType | type, stages: Mapping[str, Sequence[str]]
    ) -> Generator[None]:
        """Time these functions of a module or class (stage -> names in it) inside this block."""
        names = {name: stage for stage, those in stages.items() for name in those}
        kept = {name: getattr(module, name) for name in names}
        for name, stage in names.items():
            timed = self._around(kept[name]) if stage == LOCK else self.timed(stage, kept[name])
            setattr(module, name, timed)
        try:
            yield
        finally:
            for name, function in kept.items():
                setattr(module, name, function)

    def _around(
        self, writing: Callable[..., AbstractContextManager[Any]]
    ) -> Callable[..., AbstractContextManager[Any]]:
        return lambda *arguments: _Ends(writing(*arguments), self)


@dataclass(slots=True)
class _Ends:
    """A transaction whose beginning and end are timed, and nothing in between."""

    inner: AbstractContextManager[Any]
    watch: Stopwatch

    def __enter__(self) -> Any:  # noqa: ANN401 the connection
        with self.watch.on(LOCK):
            return self.inner.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> bool | None:
        with self.watch.on(COMMIT):
            return self.inner.__exit__(kind, fault, at)
