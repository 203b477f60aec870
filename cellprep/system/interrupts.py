"""When Ctrl-C acts: not in the middle of a step that must be done whole, and not on worker processes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C wait until a short step is done; it acts where this context ends."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # it interrupts only the main thread, and only if it is to act at all
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
    """Start processes to which Ctrl-C is nothing, from their first moment: it is for this one to act on.

    Here it acts when they have started: the threads of libraries take it even if this one does not, and a worker whose
    parent leaves while it starts says so in a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which lets them through again, and would do so with the first worker's start
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with interrupts_deferred():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
