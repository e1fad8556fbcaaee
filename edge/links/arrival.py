"""When bytes arrived: the box's wall clock at the start of a visit, carried on by the clock that never goes back."""

from gateway.runtime.clock import Clock


class Arrivals:
    """Stamps for one visit, in POSIX seconds. A step of the box's clock in mid-visit does not turn their order round."""

    def __init__(self, clock: Clock) -> None:
        """Hold the wall clock beside the steady one."""
        self._clock = clock
        self._wall_s = clock.now().timestamp()
        self._steady_s = clock.monotonic()

    def now(self) -> float:
        """POSIX seconds."""
        return self._wall_s + self._clock.monotonic() - self._steady_s
