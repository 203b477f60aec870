"""The notebooks among the examples: running one again gives the text that it shows."""

import os
import re
import runpy
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed, which comes with nbclient")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("torch")

ROOT = Path(__file__).parent.parent
RUN = runpy.run_path(str(ROOT / "docs" / "notebooks.py"))
NUMBER = r"\d+(?:\.\d+)?"


def shown(cell):
    """The texts of a cell's outputs, and of others their types."""
    for output in cell.get("outputs", []):
        assert output.output_type != "error"
        yield output.get("text") or output["data"]["text/plain"]
        yield sorted(output.get("data", []))


def words_and_numbers(notebook):
    text = str([[*shown(cell)] for cell in notebook.cells])
    return re.sub(NUMBER, "#", text), [float(number) for number in re.findall(NUMBER, text)]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what other libraries warn of is theirs
@pytest.mark.parametrize("path", RUN["NOTEBOOKS"], ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_does(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    before = nbformat.read(path, as_version=4)
    words, numbers = words_and_numbers(RUN["run"](path))
    was = words_and_numbers(before)
    assert words == was[0], "run it again: python docs/notebooks.py"
    assert numbers == pytest.approx(was[1], rel=0.05)  # networks' values differ a little between processors
    assert "/" not in re.sub(r"kaggle-csv|image/jpeg|text/\w+|train/", "", was[0])  # no path of the machine that ran it


def test_there_are_notebooks():
    assert {path.stem for path in RUN["NOTEBOOKS"]} == {"csv_to_training", "images_to_table"}
