import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib
import pytest

from cellprep.errors import SourceError, StoreWriteError
from cellprep.system.executor import Failed, in_order, run_tasks

KILLED = Failed("the process that squared it was killed, probably because memory ran out")


def square(number):
    return number**2


def working_folder(_):
    return str(Path.cwd())


def square_unless_killed(number):
    """Die as a worker does for which there is no memory, every time."""
    if number % 10 == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def slower_first(number):
    time.sleep(0.02 * (number % 3 == 0))
    return number


def outcomes_of(function, tasks, jobs=2):
    return run_tasks(function, tasks, done="squared", jobs=jobs, total=len(tasks), quiet=True)


def run(function, tasks, jobs=2):
    return dict(outcomes_of(function, tasks, jobs))


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_every_task_comes_back_with_its_result(jobs, count):
    assert run(square, range(count), jobs) == {k: k**2 for k in range(count)}


def test_a_killed_worker_costs_its_task_only():
    assert run(square_unless_killed, range(16)) == {k: KILLED if k % 10 == 3 else k**2 for k in range(16)}


ERRORS = {
    "ours": (SourceError("it is\x1b gone"), Failed("it is\\x1b gone")),
    "disk": (StoreWriteError("s.zarr", "No space"), Failed("No space", unwritable=True)),
    "memory": (MemoryError(), Failed("there is not enough memory for it")),
    "library": (RuntimeError("out of memory"), Failed("there is not enough memory for it")),
    "unforeseen": (ValueError("so\nit is"), Failed("unexpected ValueError: so it is; please report this")),
}


def raise_error(name):
    raise ERRORS[name][0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_costs_its_task_only(jobs):
    assert run(raise_error, list(ERRORS), jobs) == {name: failed for name, (_, failed) in ERRORS.items()}


def test_results_come_in_order_if_asked_also_when_a_worker_is_killed():
    tasks = list(range(1000, 1030))  # objects of their own, which are kept
    assert list(in_order(outcomes_of(slower_first, tasks), tasks)) == list(zip(tasks, tasks, strict=True))
    found = dict(in_order(outcomes_of(square_unless_killed, tasks[:9]), tasks[:9]))
    assert list(found.items()) == [(k, KILLED if k % 10 == 3 else k**2) for k in tasks[:9]]


class Unreadable:
    def __reduce__(self):
        return int, ("x",)


def unreadable(_):
    return Unreadable()


def test_a_result_that_cannot_be_read_is_no_killed_worker():
    with pytest.raises(BrokenProcessPool, match="un-serialize"):
        run(unreadable, range(1))


def test_a_worker_may_die_while_the_first_tasks_are_handed_out(monkeypatch):
    def dying(**options):
        monkeypatch.setattr(joblib, "Parallel", honest)

        def take_two(tasks):
            next(tasks), next(tasks)
            raise BrokenProcessPool("no worker could start")

        return take_two

    honest = joblib.Parallel
    monkeypatch.setattr(joblib, "Parallel", dying)
    assert run(square, range(9)) == {k: k**2 for k in range(9)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_tasks_is_raised_after_all_before_it(jobs):
    def tasks():
        yield from range(50)
        raise SourceError("gone")

    done = []
    with pytest.raises(SourceError, match="gone"):
        done.extend(run_tasks(square, tasks(), done="squared", jobs=jobs, total=50, quiet=True))
    assert sorted(done) == [(k, k**2) for k in range(50)]


def test_tasks_are_taken_as_they_are_worked_on():
    taken = []

    def tasks():
        for k in range(10_000):
            taken.append(k)
            yield k

    outcomes = run_tasks(square, tasks(), done="squared", jobs=2, total=10_000, quiet=True)
    next(outcomes)
    assert len(taken) < 5_000
    outcomes.close()


def test_workers_are_where_this_process_is(tmp_path, monkeypatch):
    """Also when they are left from an earlier call."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(run(working_folder, range(4)).values()) == {str(tmp_path / name)}
