"""What stands between a specimen and its link: passes everything on, until a check makes it do otherwise. Pure."""

from collections.abc import Iterable

from drivers.testing.subject import Act, Specimen
from gateway.contract.session import Read, Received, Refused, Subscribe, Write


class Between:
    """A specimen that says and hears what the inner one does."""

    def __init__(self, inner: Specimen) -> None:
        """`inner` is the device."""
        self._inner = inner

    def speak(self) -> Iterable[Received]:
        """What the device says by itself."""
        return self._inner.speak()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """What the device answers."""
        return self._inner.hear(command)

    def delivered(self, told: Received) -> None:
        """Let the device know what arrived."""
        self._inner.delivered(told)

    def hung_up(self) -> None:
        """Let the device know that the link is gone."""
        self._inner.hung_up()

    def measure(self, act: Act) -> None:
        """Have the device measure."""
        self._inner.measure(act)

    def reset_battery(self) -> None:
        """Change the device's battery."""
        self._inner.reset_battery()

    @property
    def remembered(self) -> int:
        """How many records the device keeps."""
        return self._inner.remembered
