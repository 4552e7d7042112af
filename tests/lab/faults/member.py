"""What happens to the member while the operation goes on: it is killed and started again as by its service, or is away for a while."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

from lab import EjabberdNode, wait_until

from .points import Point
from .scenes import World

#: A service starts it again at once; here it waits for the end of the operation, as that meets a member that is gone. But no longer.
_DOWN = 15
_START_TIMEOUT = 40


def happening(world: World, point: Point) -> Callable[[Callable[[], None], Callable[[], bool]], None]:
    """What `Killer.run_beside` wants for the point."""
    if point.member == "m":
        return lambda go_on, is_over: _killed(world, go_on, is_over)
    away = frozen(world.other) if point.member == "f" else cut_off(world)
    return lambda go_on, _is_over: _away(away, point.away, world.closed, go_on)


def _killed(world: World, go_on: Callable[[], None], is_over: Callable[[], bool]) -> None:
    other = world.other
    other.signal(signal.SIGKILL)
    go_on()
    other.wait_until_dead()
    deadline = time.monotonic() + _DOWN
    wait_until(lambda: is_over() or time.monotonic() > deadline, _DOWN + 1, "the end of the operation")
    world.go_on()
    other.start(_START_TIMEOUT)


def _away(away: contextlib.AbstractContextManager, seconds: int, closed: threading.Event, go_on: Callable[[], None]) -> None:
    with away:
        go_on()
        # The time itself is what is tried.
        closed.wait(seconds)


@contextlib.contextmanager
def frozen(node: EjabberdNode) -> Iterator[None]:
    """The node's VM is stopped: its connections stay, and nobody answers."""
    node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        # It may have been ended meanwhile.
        with contextlib.suppress(ProcessLookupError, RuntimeError):
            node.signal(signal.SIGCONT)


@contextlib.contextmanager
def cut_off(world: World) -> Iterator[None]:
    """What the two nodes send each other is lost."""
    world.lab.cut(*world.nodes)
    try:
        yield
    finally:
        world.lab.mend(*world.nodes)
