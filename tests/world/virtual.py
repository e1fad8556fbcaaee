"""Virtual time and mortal processes: an asyncio loop whose clock jumps to the next timer. No thread, no real clock, no device.

A process that is killed is simply never resumed: no `finally` of it runs, as after `kill -9`. Its tasks are kept until the
world is judged, and only then unwound (`bury`), since Python would else unwind them whenever it collects them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any, cast

from gateway.runtime.errors import StoreError

STEP_S = 1e-9  # what a step takes: on a clock that stands still, a wait that is shorter than a float can tell would never end
STEPS_MAX = 400_000  # callbacks of all processes in one world: more is a loop that does not end
DISK_S_MAX = 0.02  # for one commit or look at the disk
BURIAL_S = 120.0
WAIT_S_MAX = 86_400  # asyncio's own, as the two that follow
TIMERS_KEPT = 100
RESOLUTION_S = 1e-9

_current: ContextVar["Process | None"] = ContextVar("process", default=None)


class DeadlockError(Exception):
    """Nothing is due and nothing will ever be: the world forgot to plan its end."""


class Process:
    """One operating-system process of the world. `steps` counts what it has done; it dies before step `dies_at`."""

    def __init__(self, loop: "VirtualLoop", name: str, rng: Random) -> None:
        self.loop, self.name, self._rng = loop, name, rng
        self.alive, self.ghost = True, False
        self.steps = 0
        self.dies_at: int | None = None
        self.on_death: Callable[[], None] = lambda: None
        self.after_disk: Callable[[], None] = lambda: None
        self.disk_factor = 1.0
        self._disk_free_at = 0.0
        self._tasks: list[asyncio.Task[Any]] = []
        self._mains: list[asyncio.Task[Any]] = []
        self._swallowed: list[tuple[Callable[..., object], Sequence[object], Context]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this process."""
        context = copy_context()
        context.run(_current.set, self)
        task = self.loop.create_task(work, context=context)
        self.adopt(task)
        self._mains.append(task)
        return task

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Every task that runs in this process, also those that the product starts itself."""
        self._tasks.append(task)

    def may_step(self) -> bool:
        """Count a step; False where the process is dead, or dies of this step."""
        if self.ghost:
            return True
        if not self.alive:
            return False
        self.steps += 1
        self.loop.count_step()
        if self.dies_at is not None and self.steps >= self.dies_at:
            self.on_death()
        return self.alive

    def disk(self, call: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Do this on the process's one thread for its disk: in order, some time later. It may die before and after."""
        future = self.loop.create_future()
        took_s = self._rng.random() * DISK_S_MAX * self.disk_factor
        self._disk_free_at = max(self.loop.time(), self._disk_free_at) + took_s
        self.loop.call_at(self._disk_free_at, self._do, call, future)
        return future

    def _do(self, call: Callable[[], Any], future: "asyncio.Future[Any]") -> None:
        if future.cancelled():
            return
        if self.ghost:
            future.set_exception(StoreError("this process is dead", retry=False))
            return
        try:
            result = call()
        except Exception as fault:  # noqa: BLE001 it belongs to whoever asked
            future.set_exception(fault)
        else:
            future.set_result(result)
        finally:
            self.after_disk()

    @property
    def fault(self) -> BaseException | None:
        """What ended one of the tasks that it began with: a bug of the product."""
        for task in self._mains:
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    def haunt(self) -> list["asyncio.Task[Any]"]:
        """After everything is judged: let its tasks run to their ends by cancelling them."""
        self.ghost = True
        for call, args, context in self._swallowed:
            self.loop.call_soon(call, *args, context=context)
        self._swallowed.clear()
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()
        return left

    def swallow(self, call: Callable[..., object], args: Sequence[object]) -> None:
        """What would have gone on had it lived: needed to unwind it."""
        self._swallowed.append((call, args, copy_context()))

    def forget(self) -> None:
        """Let go of its tasks, having looked at what each ended with, so that nobody says that it was never looked at."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()
        self._tasks.clear()
        self._mains.clear()


class _Handle:
    """A callback, perhaps of a process: then it runs if the process still lives. A timer's has `when`, and nothing waits for it by itself."""

    __slots__ = ("_args", "_call", "_context", "_loop", "_process", "_when", "cancelled_", "waits")

    def __init__(
        self,
        loop: "VirtualLoop",
        call: Callable[..., object],
        args: Sequence[object],
        context: Context | None,
        when: float | None,
    ) -> None:
        self._loop, self._call, self._args, self._when = loop, call, args, when
        self._context = copy_context() if context is None else context
        self._process = self._context.get(_current)
        self.cancelled_, self.waits = False, when is not None

    def __lt__(self, _other: object) -> bool:
        """Two timers of one moment: neither is before the other."""
        return False

    def cancel(self) -> None:
        """It will not run."""
        if not self.cancelled_:
            self.cancelled_ = True
            self._call, self._args = _nothing, ()
            if self.waits:
                self._loop.timers_cancelled += 1

    def cancelled(self) -> bool:
        """Whether it was."""
        return self.cancelled_

    def when(self) -> float:
        """On the loop's clock."""
        assert self._when is not None
        return self._when

    def run(self) -> None:
        """Do it, or leave it to the dead."""
        try:
            if self._process is None:
                self._context.run(self._call, *self._args)
            else:
                self._context.run(self._guarded)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as fault:  # noqa: BLE001 the loop's own handler judges it
            told = {"message": f"Exception in callback {self._call!r}", "exception": fault}
            self._loop.call_exception_handler(told)

    def _guarded(self) -> None:
        assert self._process is not None
        if self._process.may_step():
            self._call(*self._args)
        elif self._when is None:
            self._process.swallow(self._call, self._args)


def _nothing() -> None:
    """Stands where a cancelled callback was."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without sockets and threads. `began` is the true time of its second 0.

    It runs callbacks in the order in which asyncio's own loop would, without what that one does for threads and debuggers.
    """

    def __init__(self, began: datetime) -> None:
        super().__init__()
        self._seconds = 0.0
        self._began = began
        self._steps = 0
        self._soon: deque[_Handle] = deque()
        self._timers: list[tuple[float, _Handle]] = []
        self.timers_cancelled = 0
        self.set_task_factory(cast("Any", _make_task))

    def time(self) -> float:
        """Virtual seconds."""
        return self._seconds

    def now(self) -> datetime:
        """True UTC."""
        return self._began + timedelta(seconds=round(self._seconds, 6))

    def advance(self, seconds: float) -> None:
        """Let time pass (also in mid-callback: something was slow)."""
        self._seconds += seconds

    def forgive_steps(self) -> None:
        """What comes now is no part of the world."""
        self._steps = 0

    def count_step(self) -> None:
        """Stop a world that never ends."""
        self._steps += 1
        self._seconds += STEP_S
        if self._steps > STEPS_MAX:
            raise DeadlockError(f"over {STEPS_MAX} steps")

    def get_debug(self) -> bool:
        """Never."""
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        """Of this loop."""
        return asyncio.Future(loop=self)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> _Handle:
        """In the next round."""
        handle = _Handle(self, callback, args, context, None)
        self._soon.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> _Handle:
        """After so many seconds."""
        return self.call_at(self._seconds + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> _Handle:
        """At that moment."""
        handle = _Handle(self, callback, args, context, when)
        heappush(self._timers, (when, handle))
        return handle

    def run_in_executor(  # type: ignore[override]
        self,
        executor: object,  # noqa: ARG002 each process has one thread for its disk
        func: Callable[..., Any],
        *args: object,
    ) -> "asyncio.Future[Any]":
        process = _current.get()
        assert process is not None, "only processes have a disk"
        return process.disk(lambda: func(*args))

    def outside(self, after_s: float, call: Callable[..., object], *args: object) -> None:
        """The world's own doing, in nobody's process: it happens whoever dies."""
        context = copy_context()
        context.run(_current.set, None)
        self.call_later(after_s, call, *args, context=context)

    def _run_once(self) -> None:
        self._let_go_of_cancelled()
        soon, timers = self._soon, self._timers
        if not soon and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise DeadlockError
            self._seconds += min(max(0, timers[0][0] - self._seconds), WAIT_S_MAX)
        due = self._seconds + RESOLUTION_S
        while timers and timers[0][0] < due:
            handle = heappop(timers)[1]
            handle.waits = False
            soon.append(handle)
        for _ in range(len(soon)):
            handle = soon.popleft()
            if not handle.cancelled_:
                handle.run()

    def _let_go_of_cancelled(self) -> None:
        timers = self._timers
        if len(timers) > TIMERS_KEPT and self.timers_cancelled * 2 > len(timers):
            timers = self._timers = [one for one in timers if not one[1].cancelled_]
            heapify(timers)
            self.timers_cancelled = 0
        while timers and timers[0][1].cancelled_:
            self.timers_cancelled -= 1
            heappop(timers)[1].waits = False

    def _write_to_self(self) -> None:
        """Nobody calls from a thread."""


def _make_task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any],
    context: Context | None = None,
    **more: Any,  # noqa: ANN401 asyncio's own
) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context, **more)
    process = _current.get()
    if process is not None:
        process.adopt(task)
    return task


async def bury(processes: Sequence[Process]) -> None:
    """Unwind all tasks of processes that are gone, after the world is judged."""
    loop = asyncio.get_running_loop()
    until = loop.time() + BURIAL_S
    while loop.time() < until:
        left = [task for process in processes for task in process.haunt()]
        if not left:
            break
        await asyncio.sleep(BURIAL_S / 8)
    for process in processes:
        process.forget()
