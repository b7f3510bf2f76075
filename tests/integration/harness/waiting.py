"""Waiting for a condition instead of sleeping."""

import time

PATIENCE = 25.0
"""Seconds after which a condition that does not come is a failure: many, for a busy machine, and
fewer than what the bridge does anyway after 30 or 60 s."""


def wait_until(condition, what, timeout=PATIENCE, pause=0.01):
    """Returns the first true value of `condition()`."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(pause)
