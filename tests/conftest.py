import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cellprep.cli import app
from cellprep.system import flushing
from cellprep.system.aside import FILES

# Threads of torch that wait for each other take longer than the tiny networks here; set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Whether all is tried that takes long: as many examples and moments as CI does, which sets this variable.
THOROUGH = bool(os.environ.get("CI"))


def examples(number):
    """Return how many examples a property is tried with here: all in CI, a third elsewhere."""
    return number if THOROUGH else -(-number // 3)


# Timings vary on shared machines; and the same examples everywhere make a failure everybody's.
settings.register_profile("cellprep", deadline=None, derandomize=True, max_examples=examples(100))
settings.load_profile("cellprep")

HEADER = "id,annotation,width,height,cell_type"


@pytest.fixture(scope="session")
def test_data():
    """Folder of real annotated images."""
    folder = os.environ.get("CELLPREP_TEST_DATA")
    if not folder:
        pytest.skip("CELLPREP_TEST_DATA does not name a folder of real annotated images")
    return Path(folder)


@pytest.fixture(scope="session")
def sartorius(test_data):
    return test_data / "sartorius" / "train.csv"


@pytest.fixture(autouse=True)
def nothing_flushed(request, monkeypatch):
    """Skip flushing in tests, except in those of flushing itself; subprocesses flush as usual."""
    if request.module.__name__ != "test_flushing":
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
        monkeypatch.setattr(flushing, "_flush_file_system", lambda folder: None)


@pytest.fixture
def cli():
    """Run the command in this process."""

    def run(*args):
        return CliRunner().invoke(app, [str(arg) for arg in args])

    return run


@pytest.fixture
def command():
    """Run the command as a user does, in a process of its own."""

    def run(*args, prefix=(), **options):
        return subprocess.run(
            [*prefix, sys.executable, "-m", "cellprep", *map(str, args)],
            check=False,
            **{"capture_output": True, "text": True, "timeout": 120, **options},
        )

    return run


@pytest.fixture
def write_csv(tmp_path):
    def write(*rows, header=HEADER, name="train.csv"):
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write


def tree(folder):
    """Every file below a folder, with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def names_in(folder):
    """The names in a folder of output, without the list of its files."""
    return sorted(path.name for path in folder.iterdir() if path.name != FILES)


def output(folder):
    """The files of a folder of output, without their list, with their bytes."""
    return {name: content for name, content in tree(folder).items() if name != FILES}


@st.composite
def masks(draw, max_side=12, max_count=6):
    """Draw the masks of an image: rectangles and scattered pixels, overlapping as they like."""
    height = draw(st.integers(1, max_side))
    width = draw(st.integers(1, max_side))
    count = draw(st.integers(0, max_count))
    stack = np.zeros((count, height, width), bool)
    for mask in stack:
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        mask[top : draw(st.integers(top + 1, height)), left : draw(st.integers(left + 1, width))] = True
        if draw(st.booleans()):
            seed = draw(st.integers(0, 2**32 - 1))
            noise = np.random.default_rng(seed).random((height, width)) < 0.2
            np.logical_xor(mask, noise, out=mask)
    return stack
