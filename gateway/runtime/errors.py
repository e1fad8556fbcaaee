"""The errors that name a culprit. Anything else is our own bug and is let through."""

from dataclasses import dataclass


class LinkError(Exception):
    """The radio, the cable or the device's side of it failed. `retry`: a later try may succeed."""

    def __init__(self, why: str, *, retry: bool = True) -> None:
        """Say what failed."""
        super().__init__(why)
        self.retry = retry


class StoreError(Exception):
    """A store failed. `retry`: a later try may succeed; else the data or the store itself is at fault."""

    def __init__(self, why: str, *, retry: bool) -> None:
        """Say what failed."""
        super().__init__(why)
        self.retry = retry


# Not frozen, and no slots: Python itself writes `__traceback__` on an exception that passes a context manager.
@dataclass(eq=False)
class ConfigError(Exception):
    """An operator must change something: where (file), which key, why, and what to write instead."""

    where: str
    key: str
    why: str
    instead: str

    def __str__(self) -> str:
        """One sentence for the operator."""
        return f"{self.where}: {self.key}: {self.why}. Write {self.instead}"


def said(error: BaseException) -> str:
    """What an error says of itself, as text that can be kept and sent. A plugin's may fail even at that, and must not stop who asks."""
    try:
        # Octets that a driver quotes by `surrogateescape` are no text to a file or to JSON.
        return str(error).encode(errors="backslashreplace").decode()
    except Exception as other:  # noqa: BLE001 whatever a vendor's `__str__` raises, its kind is told instead
        return f"{type(error).__name__}, which can't say why ({type(other).__name__})"
