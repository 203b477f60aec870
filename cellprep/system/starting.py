"""First moments of a command, while libraries are loaded: errors in this phase are reported in one line, too.

This module is loaded before anything slow, and loads nothing slow itself. In programs that import cellprep it does
nothing.
"""

import errno
import gc
import io
import os
import sys

#: Errors of the operating system that can occur anywhere, and remedies.
_REFUSALS = {
    errno.ENOSPC: "free some space where the command writes, including standard output and /dev/shm",
    errno.EFBIG: "raise the limit on file sizes (`ulimit -f`)",
    errno.EMFILE: "raise the limit on open files (`ulimit -n`)",
    errno.ENFILE: "wait until other programs close files",
    errno.EAGAIN: "raise the limit on processes (`ulimit -u`), or use fewer with --jobs",
    errno.EROFS: "allow the command to write there, including /dev/shm",
    errno.EACCES: "allow the command to read and write there, including files that it creates (`umask`)",
    errno.ENOMEM: "raise the limit on memory (`ulimit -v`), or close other programs",
}
# Messages of libraries for the same errors, while they are loaded or start threads.
_SIGNS = {
    "failed to map segment": errno.ENOMEM,
    "annot allocate memory": errno.ENOMEM,
    "can't start new thread": errno.ENOMEM,
    "Too many open files": errno.EMFILE,
}
_OF_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the file named by these errors is irrelevant
_LEAST_MEMORY = 0.7 * 2**30  # bytes for the libraries alone; with less, some of them crash silently
_LITTLE_MEMORY = 4 * 2**30


class ClosedOutputError(OSError):
    """Standard output is closed."""


class _ClosedOutput(io.TextIOWrapper):
    """Replacement for closed standard output; it occupies the file descriptor so that no other file gets it."""

    def write(self, text: str) -> int:
        if text:
            raise ClosedOutputError
        return 0


def begin() -> None:
    """Make Ctrl-C and errors end a command in one line while libraries are loaded."""
    if not _is_command():
        return
    gc.disable()  # modules stay loaded: searching them for cycles takes a tenth of the start-up time
    if sys.stdout is None:
        sys.stdout = _ClosedOutput(open(_taken(1), "wb", closefd=False), encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:  # libraries do not expect None
        sys.stderr = open(_taken(2), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.umask(os.umask(0o077) & 0o077)  # a command must be able to read and write the files that it creates
    try:
        import signal  # slow to import

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, leave)
    except KeyboardInterrupt:
        leave()
    if not os.environ.get("CELLPREP_TRACEBACK"):
        sys.excepthook = _tell
    limit = memory_limit()
    if limit is None or limit >= _LITTLE_MEMORY:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each of its threads takes 40 MB or more, and none is needed
    if limit < _LEAST_MEMORY:
        raise MemoryError


def _taken(number: int) -> int:
    """Occupy the descriptor of a closed output, in worker processes, too: another file would get it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    os.set_inheritable(number, True)
    return number


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a command.

    A class of its own is needed because Python remembers a KeyboardInterrupt that passes through code compiled from
    text, such as modules with dataclasses during import, and would finally die by the signal although it was caught.
    """


def end_of_start() -> None:
    """Make Ctrl-C raise `Interrupted` from now on, as the command now cleans up after itself."""
    import signal

    gc.enable()
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(*_: object) -> None:
    raise Interrupted


def leave(*_: object) -> None:
    """Exit at once: an exception would pass through library imports, some of which would convert it."""
    try:
        os.write(2, b"interrupted: all files written so far are complete; run the same command again\n")
    finally:
        os._exit(130)


def was_interrupted(error: BaseException) -> bool:
    """Return whether an error is an interrupt that libraries converted."""
    return any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error, also_handled=True))


def memory_limit() -> int | None:
    """Return the limit on this process's memory in bytes (`ulimit -v`), if any."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def files_limit() -> float:
    """Return the limit on open files of this process (`ulimit -n`)."""
    try:
        import resource
    except ImportError:  # on Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def described(error: BaseException) -> str:
    """Describe an error of the operating system with a remedy, or an unexpected error."""
    if isinstance(error, BlockingIOError) and hasattr(error, "characters_written"):  # not from starting a process
        return "standard output is full and non-blocking (O_NONBLOCK): redirect it to a file, or to `| cat`"
    # An error of our own is unrelated to the one handled before it. Libraries fail on errors while handling them.
    for cause in _causes(error, also_handled=not _is_our_own(error)):
        if isinstance(cause, ClosedOutputError):
            return "standard output is closed: redirect it to a file or to /dev/null"
        if number := _refusal(cause):
            name = getattr(cause, "filename", None) if number not in _OF_PROCESS else None
            place = f"{name if str(name).isprintable() else repr(name)}: " if name else ""
            return f"{place}{os.strerror(number)}: {_REFUSALS[number]}, and run the same command again"
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {words}; please report it with the traceback that CELLPREP_TRACEBACK=1 shows"


def _refusal(error: BaseException) -> int | None:
    """Return the system's number of an error of the operating system."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return error.errno
    return next((number for sign, number in _SIGNS.items() if sign in str(error)), None)


def _is_our_own(error: BaseException) -> bool:
    """Return whether an error was raised by this package's own code."""
    trace, name = error.__traceback__, ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__"))
        trace = trace.tb_next
    return name.partition(".")[0] == __name__.partition(".")[0]


def _causes(error: BaseException, *, also_handled: bool) -> list[BaseException]:
    """Return an error and its causes, optionally with the errors that were being handled."""
    found = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or (cause.__context__ if also_handled else None)
    return found


def _is_command() -> bool:
    """Return whether this process runs a command, as opposed to a worker or a program that imports cellprep."""
    script = sys.argv[0] if sys.argv else ""
    if script == "-m":
        return ("-m", "cellprep") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    names = ("cellprep", "cellprep.exe", "cellprep-script.py")
    return script in sys.orig_argv and os.path.basename(script) in names  # noqa: PTH119 - pathlib takes time


def _tell(kind: type[BaseException], error: BaseException, trace: object) -> None:
    print(f"error: {described(error)}", file=sys.stderr)  # noqa: T201


begin()
