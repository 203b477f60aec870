import os
import signal
from pathlib import Path

import joblib
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from cellprep.errors import SourceError
from cellprep.system.executor import run_tasks


def square(number):
    return number**2


def working_folder(_):
    return str(Path.cwd())


def square_unless_killed(number):
    """Die as a worker does for which there is no memory, every time."""
    if number % 10 == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def run(function, tasks, jobs=2):
    return dict(run_tasks(function, tasks, jobs=jobs, total=len(tasks), unit="task", quiet=True))


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_every_task_comes_back_with_its_result(jobs, count):
    assert run(square, range(count), jobs) == {k: k**2 for k in range(count)}


def test_a_killed_worker_costs_its_task_only():
    assert run(square_unless_killed, range(40)) == {k: None if k % 10 == 3 else k**2 for k in range(40)}


def test_a_worker_may_die_while_the_first_tasks_are_handed_out(monkeypatch):
    def dying(**options):
        monkeypatch.setattr(joblib, "Parallel", honest)

        def take_two(tasks):
            next(tasks), next(tasks)
            raise TerminatedWorkerError("no worker could start")

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
        done.extend(run_tasks(square, tasks(), jobs=jobs, total=50, unit="task", quiet=True))
    assert sorted(done) == [(k, k**2) for k in range(50)]


def test_tasks_are_taken_as_they_are_worked_on():
    taken = []

    def tasks():
        for k in range(10_000):
            taken.append(k)
            yield k

    outcomes = run_tasks(square, tasks(), jobs=2, total=10_000, unit="task", quiet=True)
    next(outcomes)
    assert len(taken) < 5_000
    outcomes.close()


def test_workers_are_where_this_process_is(tmp_path, monkeypatch):
    """Also when they are left from an earlier call."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(run(working_folder, range(4)).values()) == {str(tmp_path / name)}
