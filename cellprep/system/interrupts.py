"""Ctrl-C: it does not interrupt critical steps and does not reach worker processes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C until the end of this context."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # only the main thread is interrupted, and only if the signal is handled at all
        return
    received: list[object] = []
    signal.signal(signal.SIGINT, lambda *_: received.append(None))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if received:
            before(signal.SIGINT, None)


@contextmanager
def interrupts_kept_from_workers() -> Iterator[None]:
    """Start processes that ignore Ctrl-C from the beginning; this process handles it.

    Ctrl-C takes effect when the processes have started: threads of libraries receive it even if this one does not, and
    a worker whose parent exits while it starts prints a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # unblocks signals, and would otherwise do so when a worker starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with interrupts_deferred():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
