"""Waiting for conditions, with deadlines."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class Late(AssertionError):
    """Something did not come about in time."""


def wait_until(condition: Callable[[], Value], seconds: float, what: str, every: float = 0.02) -> Value:
    """Calls `condition` until it answers something true, which is returned."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Late(f"waited {seconds:g} s for {what}")
        time.sleep(every)
    return value
