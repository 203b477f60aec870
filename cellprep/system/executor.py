"""Running one function over many images, in parallel processes, with a progress bar.

A problem with one image does not affect the others: an error that ends its task is returned as `Failed`. If a worker
process is killed, for example for lack of memory, the tasks that were running are tried again one by one, each in a
process of its own, so that only the task that caused it fails.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cellprep.errors import CellprepError, StoreWriteError, UsageError
from cellprep.system.cluster import run_on_cluster
from cellprep.system.interrupts import interrupts_kept_from_workers
from cellprep.system.memory import keep_freed_memory
from cellprep.system.progress import progress_bar
from cellprep.text.wording import unexpected

if TYPE_CHECKING:
    from joblib import Parallel

Task = TypeVar("Task")
Result = TypeVar("Result")

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True, slots=True)
class Failed:
    """Result of a task that failed.

    Attributes
    ----------
    problem
        The error message, in one line.
    unwritable
        Whether the disk cannot be written to, which affects all tasks.
    """

    problem: str
    unwritable: bool = False

    @classmethod
    def of(cls, error: Exception) -> "Failed":
        """Return the failure that an error causes."""
        if isinstance(error, StoreWriteError):
            return cls(error.reason, unwritable=True)
        return cls(str(error) if isinstance(error, CellprepError) else unexpected(error))


def check_jobs(jobs: int) -> None:
    """Refuse an invalid number of processes.

    Raises
    ------
    UsageError
        If it is neither -1 nor at least 1.
    """
    if jobs == 0 or jobs < -1:
        raise UsageError(f"jobs is {jobs}: give 1 or more, or -1 for all cores")


def cores_each(jobs: int, total: int) -> int:
    """Return the number of cores that each task may use: more than 1 only if there are fewer tasks than cores."""
    from joblib import effective_n_jobs

    cores: int = effective_n_jobs(jobs)
    return max(1, cores // max(total, 1))


def run_tasks(
    function: Callable[[Task], Result | Failed],
    tasks: Iterable[Task],
    *,
    done: str,
    jobs: int,
    total: int,
    quiet: bool,
    unit: str = "image",
    scheduler: str | None = None,
) -> Generator[tuple[Task, Result | Failed], None, None]:
    """Run a function over tasks and yield each task with its result or failure, in order of completion.

    Parameters
    ----------
    function
        A function at the top level of a module, or a `functools.partial` of one. It may raise; it must not return None.
    tasks
        Small objects that can be pickled, consumed only as fast as they are processed.
    done
        Verb in the past tense for the work on a task. It is used in the message about a killed process.
    jobs
        Largest number of processes; -1 for one per core, 1 for the current process only.
    total
        Number of tasks.
    quiet
        Whether to hide the `progress_bar`.
    unit
        Singular noun for a task in the progress bar.
    scheduler
        Address of a Dask scheduler whose workers run the tasks instead of `jobs` processes.

    Yields
    ------
    tuple
        A task and its result, or `Failed` if the function raised an error or the process that ran it was killed twice.

    Examples
    --------
    >>> dict(run_tasks(float, ["1", "one"], done="read", jobs=1, total=2, quiet=True))
    {'1': 1.0, 'one': Failed(problem="unexpected ValueError: could not convert ...", unwritable=False)}
    """
    guarded = partial(_guarded, function)
    killed = Failed(f"the process that {done} it was killed, probably because memory ran out")
    with progress_bar(total, unit, quiet=quiet) as bar:
        outcomes = (
            run_on_cluster(guarded, tasks, scheduler)
            if scheduler
            else _run_here(guarded, tasks, _useful_jobs(jobs, total))
        )
        with closing(outcomes):
            for task, result in outcomes:
                yield task, killed if result is None else result
                bar.update()


def in_order(
    outcomes: Iterable[tuple[Task, Result | Failed]], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | Failed]]:
    """Yield the results of `run_tasks` in the order of its tasks, each as soon as possible.

    Tasks must be distinct objects. If they are in a deque, more may be appended during the run; each is removed when it
    is yielded.
    """
    waiting = tasks if isinstance(tasks, deque) else deque(tasks)
    early: dict[int, Result | Failed] = {}
    for task, result in outcomes:
        early[id(task)] = result
        while waiting and id(waiting[0]) in early:
            first = waiting.popleft()
            yield first, early.pop(id(first))


def _guarded(function: Callable[[Task], Result | Failed], task: Task) -> Result | Failed:
    try:
        return function(task)
    except Exception as error:  # noqa: BLE001 - an error in one task must not stop the others
        return Failed.of(error)


def _useful_jobs(jobs: int, total: int) -> int:
    """Return the number of processes to start: at most one per task, but at least two: a crash then ends a worker."""
    from joblib import effective_n_jobs

    available: int = effective_n_jobs(jobs)
    return min(available, max(total, 2))


def _run_here(
    function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int
) -> Generator[tuple[Task, Result | None], None, None]:
    """Yield tasks and results in order of completion; None for a task whose process was killed twice."""
    under_way: dict[int, Task] = {}
    errors: list[Exception] = []
    stopped = threading.Event()
    waiting = takewhile(lambda _: not stopped.is_set(), enumerate(_until_error(tasks, errors)))
    call = partial(_call, os.getpid(), _working_folder(), function)
    while True:
        results: Iterator[tuple[int, Any]] = iter(())
        try:
            with interrupts_kept_from_workers() if jobs > 1 else nullcontext():
                results = _parallel(jobs, "generator_unordered")(_handed_out(waiting, under_way, call))
            for number, result in results:
                yield under_way.pop(number), result
        except BrokenProcessPool as error:
            _check_killed(error)  # the running tasks are repeated one by one, then the rest goes on as before
        except (GeneratorExit, KeyboardInterrupt):
            stopped.set()
            deque(results, maxlen=0)  # running tasks finish; joblib warns about unread results
            raise
        if not under_way:
            break
        for number in list(under_way):
            result = _run_alone(call, number, under_way[number])
            yield under_way.pop(number), result
    if errors:
        raise errors[0]


def _until_error(tasks: Iterable[Task], errors: list[Exception]) -> Iterator[Task]:
    """Stop at an error raised by the iterator of tasks and keep it: joblib would drop the tasks that are running."""
    try:
        yield from tasks
    except Exception as error:  # noqa: BLE001 - it is raised when all is done
        errors.append(error)


def _handed_out(
    waiting: Iterator[tuple[int, Task]], under_way: dict[int, Task], call: Callable[[int, Task], Any]
) -> Iterator[Any]:
    """Yield calls for joblib, which asks from several threads, one at a time; record the running tasks."""
    from joblib import delayed

    for number, task in waiting:
        under_way[number] = task
        yield delayed(call)(number, task)


def _check_killed(error: BrokenProcessPool) -> None:
    """Re-raise an error of joblib unless it says that a worker was killed."""
    if error.__cause__ is not None:  # a task or a result cannot be pickled
        raise error


def _parallel(jobs: int, return_as: str) -> "Parallel":
    from joblib import Parallel

    return Parallel(n_jobs=jobs, return_as=return_as, initializer=_become_worker, initargs=(os.getpid(),))


def _run_alone(call: Callable[[int, Task], Any], number: int, task: Task) -> Any:
    from joblib import delayed

    try:
        with interrupts_kept_from_workers():
            # With one job joblib starts no process, so a crash would end this one.
            results = _parallel(2, "generator")([delayed(call)(number, task)])
        return next(results)[1]
    except BrokenProcessPool as error:
        _check_killed(error)
        return None


def _call(
    parent: int, folder: Path | None, function: Callable[[Task], Result], number: int, task: Task
) -> tuple[int, Result]:
    if folder and os.getpid() != parent:
        os.chdir(folder)  # a reused worker may still have the working directory of an earlier call
    return number, function(task)


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:  # the folder was deleted; absolute paths still work
        return None


def _become_worker(parent: int) -> None:
    """End when the parent process ends, even before the first task: idle joblib workers would stay for minutes."""
    keep_freed_memory()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Limit OpenCV to one thread per worker process."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
