"""`pytest --driver acme.glu`: each check a test. Where the option isn't given it does nothing, and loads nothing of ours."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import _pytest._code.code  # pytest exports neither name

    from drivers.testing.case import Case
    from drivers.testing.judge import Finding


class CheckFailed(Exception):  # noqa: N818 what pytest shows, no fault of the kit
    """A check that failed, with all that is known of it."""

    def __init__(self, finding: "Finding") -> None:
        """Input, reason, and how to see it again."""
        super().__init__(f"{finding.input}\n{finding.why}\n{finding.replay}")


class CheckItem(pytest.Item):
    """One check of one driver with one profile."""

    case: "Case"
    check: str

    def runtest(self) -> None:
        """Hold it. Raises CheckFailed."""
        from drivers.testing.judge import Result, hold  # noqa: PLC0415 see the first line

        finding = hold(self.case, self.check)
        if finding.result is Result.EXEMPT:
            pytest.skip(f"exempt: {finding.why}")
        if not finding.good:
            raise CheckFailed(finding)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: "_pytest._code.code.TracebackStyle | None" = None,
    ) -> "str | _pytest._code.code.TerminalRepr":
        """The finding; of anything else, where it was raised."""
        if isinstance(excinfo.value, CheckFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """What stands in pytest's report."""
        return str(self.config.rootpath), None, self.name


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--driver` and `--driver-seed`."""
    group = parser.getgroup("vitalgate", "driver conformance")
    group.addoption(
        "--driver",
        action="append",
        default=[],
        metavar="ID",
        help="hold the conformance checks over this driver, and collect nothing else unless paths are given",
    )
    group.addoption("--driver-seed", type=int, default=1, help="of what the checks try at random")


def pytest_configure(config: pytest.Config) -> None:
    """With `--driver` and no paths, nothing but the checks is collected."""
    if _asked(config) and config.args_source is not config.ArgsSource.ARGS:
        config.args = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the checks, before others choose among the tests."""
    seed: int = config.getoption("--driver-seed") or 0
    for driver in _asked(config):
        items.extend(_items(session, driver, seed))


def _asked(config: pytest.Config) -> list[str]:
    return config.getoption("--driver") or []


def _items(session: pytest.Session, driver: str, seed: int) -> Iterator[pytest.Item]:
    from drivers.testing.judge import CHECKS  # noqa: PLC0415 see the first line
    from drivers.testing.subjects import cases  # noqa: PLC0415 the same
    from gateway.runtime.errors import ConfigError  # noqa: PLC0415 the same

    try:
        tried = cases(driver, seed)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
    for case in tried:
        for name in CHECKS:
            item = CheckItem.from_parent(session, name=f"{driver}[{case.profile.id}]::{name}")
            item.case, item.check = case, name
            yield item
