"""Checks of what a driver leans on beside what the device said: nothing, and no more memory than it needs. Seeded."""

import ast
import dataclasses
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

from drivers.testing.case import Case, Trial, Trials, filled
from drivers.testing.subject import Act, DeviceClock, Specimen, Subject
from drivers.testing.watch import IMPURE, Found, Watched
from drivers.testing.witness import witnesses
from gateway.contract.profile import Profile
from gateway.contract.replay import replay
from gateway.contract.session import Driver, UnitInfo

KERNEL = "gateway"
MODULES_MAX = 200
# What Python itself imports when it is first asked for something: `datetime.strptime`. Whatever hooks hang in the importer
# (pytest's look at files) would be taken for the driver's calls, in the first visit of a process alone.
FIRST_USED = ("_strptime",)


def stays_pure(case: Case) -> Trials:
    """No clock, chance, file, socket, thread or environment: not imported, not called, and fresh interpreters tell the same."""
    for module in _modules(case.subject.driver):
        if imported := sorted(_imports(module) & (IMPURE - {"builtins", "io"})):
            yield Trial(f"module {module.__name__}", f"imports {', '.join(imported)}")
        else:
            yield Trial(f"module {module.__name__}")
    for name in FIRST_USED:
        importlib.import_module(name)
    for name, capture in case.captures.items():
        called: list[str] = []
        driver = Watched(case.subject.driver, called.append)
        replay(driver.open(UnitInfo(case.profile)), capture.heard)
        yield Trial(f"capture {name}, watched", _calls(called))
    for manner in case.manners:
        called = []
        watched = replace(case, subject=_Watched(case.subject, called.append))
        filled(watched, manner).visit()
        yield Trial(f"a visit, watched{f' ({manner})' if manner else ''}", _calls(called))
    if case.installed:
        yield Trial("two fresh interpreters", _differ(*witnesses(case)))


@dataclass(frozen=True, slots=True)
class _Watched:
    true: Subject
    found: Found

    @property
    def driver(self) -> Driver:
        return Watched(self.true.driver, self.found)

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> Specimen:
        return self.true.specimen(profile, clock, manner)

    def sample(self, number: int, unit: str) -> Act:
        return self.true.sample(number, unit)

    def echo(self, raw: bytes) -> bytes:
        return self.true.echo(raw)


def _calls(called: list[str]) -> str | None:
    return f"calls {', '.join(sorted(set(called)))}" if called else None


def _differ(one: str, other: str) -> str | None:
    for said, told in zip_longest(one.splitlines(), other.splitlines(), fillvalue="nothing"):
        if said != told:
            return f"one says {said}; the other {told}"
        if said.startswith("failed: "):
            return said
    return None if one else "they say nothing"


def _modules(driver: Driver) -> list[ModuleType]:
    """Those in which the driver is written, and what they import of their maker's: not the kernel, not Python."""
    waiting = [name for name in _written_in(driver) if _is_theirs(name)]
    known: dict[str, ModuleType] = {}
    while waiting and len(known) < MODULES_MAX:
        name = waiting.pop(0)
        module = sys.modules.get(name)
        if name in known or module is None or not getattr(module, "__file__", None):
            continue
        known[name] = module
        waiting += sorted(one for one in _imports(module, whole=True) if _is_theirs(one))
    return list(known.values())


def _written_in(driver: Driver) -> Iterator[str]:
    yield type(driver).__module__
    if dataclasses.is_dataclass(driver):
        for field in dataclasses.fields(driver):
            yield str(getattr(getattr(driver, field.name), "__module__", ""))


def _is_theirs(name: str) -> bool:
    top = name.partition(".")[0]
    return bool(top) and top != KERNEL and top not in sys.stdlib_module_names


def _imports(module: ModuleType, *, whole: bool = False) -> set[str]:
    """What stands in its import statements, wherever they stand: the first part of each name, or the `whole` of it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_bytes())):
        match node:
            case ast.Import():
                names |= {one.name for one in node.names}
            case ast.ImportFrom(module=str(of), level=0):
                names |= {of, *(f"{of}.{one.name}" for one in node.names)}
            case _:
                pass
    return names if whole else {name.partition(".")[0] for name in names}
