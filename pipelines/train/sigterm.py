"""The first SIGTERM to a training worker is a notice that its machine is about to go; the next one ends it as ever."""

from __future__ import annotations

import signal
import threading

_noticed = threading.Event()  # a signal is the process's: its main thread gets it, and the training runs in another


def heed_sigterm() -> None:
    """Call it in the main thread."""
    before = signal.getsignal(signal.SIGTERM)

    def notice(*_: object) -> None:
        _noticed.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, notice)


def take_notice() -> bool:
    """Whether there was a SIGTERM since the last call."""
    noticed = _noticed.is_set()
    if noticed:
        _noticed.clear()
    return noticed
