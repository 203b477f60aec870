"""Running one function over many small tasks in processes, watched by a progress bar.

A worker that is killed, say for want of memory, costs the task that it died of and no other: the tasks that were
under way are tried again one by one, each in a process of its own.
"""

import ctypes
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import cv2

from cellprep.errors import UsageError
from cellprep.system.cluster import run_on_cluster
from cellprep.system.interrupts import interrupts_kept_from_workers
from cellprep.system.progress import progress_bar

if TYPE_CHECKING:
    from joblib import Parallel

Task = TypeVar("Task")
Result = TypeVar("Result")

_SECONDS_BETWEEN_LOOKS = 0.5


def check_jobs(jobs: int) -> None:
    """Refuse what is no number of processes.

    Raises
    ------
    UsageError
        If it is neither -1 nor at least 1.
    """
    if jobs == 0 or jobs < -1:
        raise UsageError(f"jobs {jobs} is no number of processes: give 1 or more, or -1 for all cores")


def cores_each(jobs: int, total: int) -> int:
    """Return how many of the cores each of few tasks may use for itself; 1 if the tasks are many."""
    from joblib import effective_n_jobs

    cores: int = effective_n_jobs(jobs)
    return max(1, cores // max(total, 1))


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    jobs: int,
    total: int,
    unit: str,
    quiet: bool,
    scheduler: str | None = None,
) -> Generator[tuple[Task, Result | None], None, None]:
    """Run a function over tasks and yield each task with its result, as they come.

    Parameters
    ----------
    function
        A function at the top of a module. It must not raise.
    tasks
        Small objects that can be pickled; taken only as fast as they are worked on.
    jobs
        Number of processes, at most; -1 for one per core, 1 for none but this.
    total
        Number of tasks.
    unit
        What a task is, for the progress bar.
    quiet
        Whether to show no `progress_bar`.
    scheduler
        Address of a Dask scheduler, whose workers do it instead of `jobs` processes.

    Yields
    ------
    tuple
        The task, and its result; None if the process that worked on it was killed, twice.
    """
    with progress_bar(total, unit, quiet=quiet) as bar:
        outcomes = run_on_cluster(function, tasks, scheduler) if scheduler else _run_here(function, tasks, jobs, total)
        with closing(outcomes):
            for outcome in outcomes:
                yield outcome
                bar.update()


def _run_here(
    function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int, total: int
) -> Generator[tuple[Task, Result | None], None, None]:
    handout = _Handout(function, tasks)
    yield from _outcomes(handout, _useful_jobs(jobs, total))
    if handout.error:
        raise handout.error


def _useful_jobs(jobs: int, total: int) -> int:
    """Return no more processes than tasks, but two rather than none: a task may bring down only a worker."""
    from joblib import effective_n_jobs

    available: int = effective_n_jobs(jobs)
    return min(available, max(total, 2))


def _outcomes(handout: "_Handout[Task]", jobs: int) -> Iterator[tuple[Task, Any]]:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    while True:
        results: Iterator[tuple[int, Any]] = iter(())
        try:
            with suppress(TerminatedWorkerError):  # the tasks under way follow one by one, then the rest as before
                with interrupts_kept_from_workers() if jobs > 1 else nullcontext():
                    results = _parallel(jobs, "generator_unordered")(handout)
                for index, result in results:
                    yield handout.under_way.pop(index), result
        except (GeneratorExit, KeyboardInterrupt):
            handout.stop()
            deque(results, maxlen=0)  # what is under way ends; joblib warns of results that nobody takes
            raise
        if not handout.under_way:
            return
        for index in list(handout.under_way):
            result = _run_alone(handout.call(index))
            yield handout.under_way.pop(index), result


def _parallel(jobs: int, return_as: str) -> "Parallel":
    from joblib import Parallel

    return Parallel(n_jobs=jobs, return_as=return_as, initializer=_become_worker, initargs=(os.getpid(),))


def _run_alone(call: Any) -> Any:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with interrupts_kept_from_workers():
            # With one job joblib would start no process, and this one would die.
            results = _parallel(2, "generator")([call])
        return next(results)[1]
    except TerminatedWorkerError:
        return None


def keep_freed_memory() -> None:
    """Let the C library use freed arrays again, where it can be told so.

    Else it hands them back after every image, and the system clears each of their pages once more: a fifth of the
    time of a build. It is for processes that do nothing else.
    """
    trim_threshold, mmap_threshold = -1, -3  # as <malloc.h> of the GNU C library numbers them
    with suppress(OSError, AttributeError, TypeError):
        c_library = ctypes.CDLL(None)
        c_library.mallopt(trim_threshold, 1 << 28)
        c_library.mallopt(mmap_threshold, 1 << 25)


def hand_back_freed_memory() -> None:
    """Hand all freed arrays back to the system now, where the C library can be told so."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV's threads from multiplying with the worker processes."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was deleted; absolute paths still work
        return None


class _Handout(Generic[Task]):
    """The tasks as joblib takes them, from several threads; it remembers which are under way."""

    def __init__(self, function: Callable[[Task], Any], tasks: Iterable[Task]) -> None:
        self.under_way: dict[int, Task] = {}
        self.error: Exception | None = None
        self._function = function
        self._tasks: Iterator[tuple[int, Task]] = enumerate(tasks)
        self._lock = threading.Lock()
        self._parent = os.getpid()
        self._folder = _working_folder()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._lock:
            try:
                index, task = next(self._tasks)
            except StopIteration:
                raise
            except Exception as error:  # noqa: BLE001 - joblib would hang; it is raised when all is done
                self.error = error
                raise StopIteration from None
            self.under_way[index] = task
            return self.call(index)

    def stop(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._tasks = iter(())

    def call(self, index: int) -> Any:
        from joblib import delayed

        return delayed(_call)(self._parent, self._folder, self._function, index, self.under_way[index])


def _call(
    parent: int, folder: Path | None, function: Callable[[Task], Result], index: int, task: Task
) -> tuple[int, Result]:
    if folder and os.getpid() != parent:
        os.chdir(folder)  # a worker may be left from a call when this process was elsewhere
    return index, function(task)


def _become_worker(parent: int) -> None:
    """End when the parent does, be it before the first task: joblib's workers would wait minutes for more to do."""
    keep_freed_memory()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)
