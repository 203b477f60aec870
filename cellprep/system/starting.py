"""The first moments of a command, in which its libraries are loaded: what ends it then is one line, too.

It is loaded before all that takes time, and loads nothing that does. In programs that import cellprep it does nothing.
"""

import errno
import gc
import io
import os
import sys

#: What a machine refuses at any place, not least to standard output, and how it may be helped.
_REFUSALS = {
    errno.ENOSPC: "make room where it writes, be it standard output or /dev/shm",
    errno.EFBIG: "raise the limit of files' sizes (`ulimit -f`)",
    errno.EMFILE: "raise the number of files that may be open (`ulimit -n`)",
    errno.ENFILE: "wait until other programs have closed files",
    errno.EAGAIN: "raise the number of processes (`ulimit -u`), or give fewer with --jobs",
    errno.EROFS: "let it write there, be it to /dev/shm",
    errno.EACCES: "let it read and write there, not least what it makes itself (`umask`)",
    errno.ENOMEM: "raise the limit of memory (`ulimit -v`), or end other programs",
}
# How libraries say the same that are being loaded, or start threads.
_SIGNS = {
    "failed to map segment": errno.ENOMEM,
    "annot allocate memory": errno.ENOMEM,
    "can't start new thread": errno.ENOMEM,
    "Too many open files": errno.EMFILE,
}
_OF_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # whatever file it is that this is said of
_LEAST_MEMORY = 0.7 * 2**30  # bytes for the libraries alone; with less, some of them die without a word
_LITTLE_MEMORY = 4 * 2**30


class ClosedOutputError(OSError):
    """Something was to be written to standard output, which is closed."""


class _ClosedOutput(io.TextIOWrapper):
    """Stands in for standard output that is closed: its number is taken, so that no other file gets it."""

    def write(self, text: str) -> int:
        if text:
            raise ClosedOutputError
        return 0


def begin() -> None:
    """Let Ctrl-C and errors end this process in one line while libraries are loaded, if it is that of a command."""
    if not _is_command():
        return
    gc.disable()  # what is loaded stays: to look for cycles in it takes a tenth of the start
    if sys.stdout is None:
        sys.stdout = _ClosedOutput(open(_taken(1), "wb", closefd=False), encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:  # libraries would trip over it
        sys.stderr = open(_taken(2), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.umask(os.umask(0o077) & 0o077)  # what a command makes itself it must read and write again
    try:
        import signal  # it takes a while itself

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, leave)
    except KeyboardInterrupt:
        leave()
    if not os.environ.get("CELLPREP_TRACEBACK"):
        sys.excepthook = _tell
    limit = memory_limit()
    if limit is None or limit >= _LITTLE_MEMORY:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each of its threads takes 40 MB and more, and none is needed
    if limit < _LEAST_MEMORY:
        raise MemoryError


def _taken(number: int) -> int:
    """Open nothing under the number of a closed output, for worker processes, too: another file would get it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    os.set_inheritable(number, True)
    return number


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a command.

    It has a class of its own because Python remembers a KeyboardInterrupt that goes through code made from text, as
    modules with dataclasses run while they are imported: it would die by the signal in the end, though all is caught.
    """


def end_of_start() -> None:
    """Let Ctrl-C raise `Interrupted` from now on, as a command has begun that cleans up after itself."""
    import signal

    gc.enable()
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(*_: object) -> None:
    raise Interrupted


def leave(*_: object) -> None:
    """End at once: an exception would go through the loading of libraries, some of which make others of it."""
    try:
        os.write(2, b"interrupted: what is written is whole; run the same command again\n")
    finally:
        os._exit(130)


def was_interrupted(error: BaseException) -> bool:
    """Return whether an error is what became of an interrupt on its way through libraries."""
    return any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error, also_handled=True))


def memory_limit() -> int | None:
    """Return the bytes of memory that this process may take (`ulimit -v`), if that is limited."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def files_limit() -> float:
    """Return how many files this process may have open (`ulimit -n`)."""
    try:
        import resource
    except ImportError:  # on Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def described(error: BaseException) -> str:
    """Return what the machine refuses, and what may be done about it; else that the error was not expected."""
    if isinstance(error, BlockingIOError) and hasattr(error, "characters_written"):  # not of a process to start
        return (
            "standard output is full, and of a kind that is not waited for (O_NONBLOCK): send it to a file, or `| cat`"
        )
    # What was handled when an error of our own came says nothing of that one. Libraries trip over what they handle.
    for cause in _causes(error, also_handled=not _is_our_own(error)):
        if isinstance(cause, ClosedOutputError):
            return "standard output is closed: send it to a file, or to /dev/null"
        if number := _refusal(cause):
            name = getattr(cause, "filename", None) if number not in _OF_PROCESS else None
            place = f"{name if str(name).isprintable() else repr(name)}: " if name else ""
            return f"{place}{os.strerror(number)}: {_REFUSALS[number]}, and run the same command again"
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {words}; please report it, with what CELLPREP_TRACEBACK=1 shows"


def _refusal(error: BaseException) -> int | None:
    """Return the system's number of what the machine refuses."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return error.errno
    return next((number for sign, number in _SIGNS.items() if sign in str(error)), None)


def _is_our_own(error: BaseException) -> bool:
    """Return whether an error was raised by a line of this package."""
    trace, name = error.__traceback__, ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__"))
        trace = trace.tb_next
    return name.partition(".")[0] == __name__.partition(".")[0]


def _causes(error: BaseException, *, also_handled: bool) -> list[BaseException]:
    """Return an error and those that it came of, or also those that were being handled when it came."""
    found = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or (cause.__context__ if also_handled else None)
    return found


def _is_command() -> bool:
    """Return whether this process is that of a command: no worker of it, nor a program that imports cellprep."""
    script = sys.argv[0] if sys.argv else ""
    if script == "-m":
        return ("-m", "cellprep") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    names = ("cellprep", "cellprep.exe", "cellprep-script.py")
    return script in sys.orig_argv and os.path.basename(script) in names  # noqa: PTH119 - pathlib takes time


def _tell(kind: type[BaseException], error: BaseException, trace: object) -> None:
    print(f"error: {described(error)}", file=sys.stderr)  # noqa: T201


begin()
