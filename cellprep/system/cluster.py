"""Running one function over many small tasks on a Dask cluster.

The Dask client is used directly: joblib's Dask backend does not notice that a task's workers were killed, and waits
for the result forever.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from cellprep._version import __version__
from cellprep.errors import ClusterError, MissingExtraError

if TYPE_CHECKING:
    from distributed import Client, Future

Task = TypeVar("Task")
Result = TypeVar("Result")

_SECONDS_TO_CONNECT = 10
_SECONDS_TO_FIND_WORKERS = 30
_TASKS_A_THREAD = 3  # one is running, the others are queued, so that no thread is idle


def run_on_cluster(
    function: Callable[[Task], Result], tasks: Iterable[Task], scheduler: str
) -> Generator[tuple[Task, Result | None], None, None]:
    """Run a function over tasks on the workers of a cluster.

    Parameters
    ----------
    function
        A function at the top level of a module. It must not raise.
    tasks
        Small objects that can be pickled, consumed only as fast as they are processed. Workers must be able to read
        the files that they name under the same paths.
    scheduler
        Address of the scheduler, such as ``tcp://host:8786``.

    Yields
    ------
    tuple
        A task and its result; None if several workers were killed while running it.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    ClusterError
        If the scheduler cannot be reached or is lost, has no workers, or its workers have another cellprep version.
    """
    try:
        from distributed import as_completed
    except ImportError as error:
        raise MissingExtraError("--scheduler", "Dask", "dask") from error

    with _connected(scheduler) as client:
        waiting, under_way, suspects = iter(tasks), {}, []
        finished = as_completed(loop=client.loop)

        def submit(task: Task) -> "Future[Result]":
            return client.submit(_run_remotely, __version__, function, _absolute(task), pure=False)

        def hand_out(number: int) -> None:
            for task in islice(waiting, number):
                future = submit(task)
                under_way[future] = task
                finished.add(future)

        hand_out(_TASKS_A_THREAD * sum(client.ncores().values()))
        for future in finished:
            task = under_way.pop(future)
            if _was_killed(future, scheduler):
                suspects.append(task)
            else:
                yield task, future.result()
            hand_out(1)
        for task in suspects:  # one at a time: only one of them may have killed the worker
            future = submit(task)
            yield task, None if _was_killed(future, scheduler) else future.result()


@contextmanager
def _connected(scheduler: str) -> Iterator["Client"]:
    """Connect to a scheduler that has workers. Dask's log is silenced, as relevant problems are raised."""
    from distributed import Client

    log = logging.getLogger("distributed")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        try:
            client = Client(scheduler, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(f"no Dask scheduler answers at {scheduler}: {' '.join(str(error).split())}") from error
        try:
            client.wait_for_workers(1, timeout=_SECONDS_TO_FIND_WORKERS)
            yield client
        except TimeoutError as error:
            raise ClusterError(f"the Dask scheduler {scheduler} has no workers: start at least one") from error
        finally:
            client.close(timeout=_SECONDS_TO_CONNECT)
    finally:
        log.setLevel(before)


def _run_remotely(version: str, function: Callable[[Task], Result], task: Task) -> Result:
    if version != __version__:
        raise ClusterError(f"a worker has cellprep {__version__}, not {version}: install one version everywhere")
    return function(task)


def _was_killed(future: "Future[Any]", scheduler: str) -> bool:
    """Wait for a task, and return whether its workers were killed repeatedly; raise if it was lost in another way."""
    from distributed.scheduler import KilledWorker

    problem = future.exception()
    while future.status in ("lost", "pending"):  # the worker that held its result was killed: it is computed again
        problem = future.exception()
    if future.status == "finished":
        return False
    if future.status != "error":  # cancelled, or forgotten
        raise ClusterError(f"the Dask scheduler {scheduler} was lost: {' '.join(str(problem).split())}")
    if isinstance(problem, KilledWorker):
        return True
    if isinstance(problem, ClusterError):
        raise problem
    words = " ".join(f"{type(problem).__name__}: {problem}".split())
    raise ClusterError(f"the workers of {scheduler} cannot run cellprep: {words}")


def _absolute(value: Any) -> Any:
    """Return a task with absolute paths, independent of a process's working directory."""
    if callable(absolute := getattr(value, "absolute", None)):  # paths have it, and images of stores
        return absolute()
    if isinstance(value, tuple):
        return tuple(map(_absolute, value)) if any(hasattr(item, "absolute") for item in value) else value
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: _absolute(getattr(value, field.name)) for field in fields(value) if field.init}
        return replace(value, **changed)
    return value
