"""How many lines go in one request: fewer after one that failed, since a slow server may need longer than we wait. Pure."""

LINES_MAX = 5_000  # the best measured
LINES_MIN = 50
# Requests before larger ones are tried again; longer once those failed, so that a slow server gets on in between.
WAIT_FIRST, WAIT_MAX = 20, 1_000


class Pace:
    """One server's; it is told how each request went."""

    def __init__(self) -> None:
        """As fast as can be."""
        self.lines = LINES_MAX
        self._wait = self._left = WAIT_FIRST
        self._grown = False  # since the last failure

    def failed(self) -> None:
        """A request was not answered, or not in time."""
        self.lines = max(LINES_MIN, self.lines // 2)
        if self._grown:
            self._wait = min(self._wait * 2, WAIT_MAX)
        self._left, self._grown = self._wait, False

    def went_well(self) -> None:
        """A request was answered."""
        self._left -= 1
        if self._left:
            return
        self.lines = min(LINES_MAX, self.lines * 2)
        self._grown = self.lines < LINES_MAX
        if not self._grown:
            self._wait = WAIT_FIRST
        self._left = self._wait
