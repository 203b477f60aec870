"""Scripts that train on stores with other libraries, if these are installed."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from stores import discs, write_store

from cellprep import Recipe

pytest.importorskip("torch")

SCRIPTS = sorted((Path(__file__).parent.parent / "examples" / "training").glob("*.py"))
LIBRARIES = {"with_lightning": "lightning", "with_monai": "monai"}


@pytest.fixture(scope="module")
def bright(tmp_path_factory):
    """Images of bright discs."""
    rng = np.random.default_rng(0)
    images = {}
    for number in range(4):
        labels = discs((96, 96), 24, seed=number)
        images[f"i{number}"] = labels, (60 + 120 * (labels > 0) + rng.normal(0, 12, labels.shape)).astype(np.uint8)
    recipe = Recipe(targets="dwt,stardist:rays=8")
    return write_store(tmp_path_factory.mktemp("bright") / "data.zarr", images, recipe).path


@pytest.mark.filterwarnings("default")  # what other libraries warn of is theirs
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_learns(script, bright, capsys):
    if library := LIBRARIES.get(script.stem):
        pytest.importorskip(library)
    losses = runpy.run_path(str(script))["train"](bright, epochs=4, crop=32)
    assert losses[-1] < 0.95 * losses[0]
    assert f"loss {losses[-1]:.4f}" in capsys.readouterr().out
