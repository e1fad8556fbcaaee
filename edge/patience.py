"""How long to wait before the next try: longer each time, never the same for two, never beyond a named bound. Pure."""

from random import Random


class Backoff:
    """Waits that double from `first_s` to `most_s`, each drawn between half and the whole."""

    def __init__(self, first_s: float, most_s: float, rng: Random) -> None:
        """`rng` gives the jitter: many boxes that lost one radio or broker shall not come back in step."""
        self._first_s, self._most_s, self._rng = first_s, most_s, rng
        self._wait_s = first_s

    def next_s(self) -> float:
        """Seconds to wait now."""
        wait_s = self._wait_s * (0.5 + self._rng.random() / 2)
        self._wait_s = min(self._wait_s * 2, self._most_s)
        return wait_s

    def reset(self) -> None:
        """It went well: the next failure waits `first_s` again."""
        self._wait_s = self._first_s
