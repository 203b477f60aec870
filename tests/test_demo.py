import csv
import json
from collections import Counter

import numpy as np
import pytest
from conftest import tree
from PIL import Image
from scipy import ndimage

from cellprep import open_source, open_store
from cellprep.commands.demo import write_dataset, write_mixed, write_nuclei
from cellprep.commands.preview import draw_targets
from cellprep.core.synthesis import CELL_TYPES


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), seed=3, images_per_type=2, shape=(200, 260))


def test_the_same_seed_gives_the_same_files(dataset, tmp_path):
    write_dataset(tmp_path / "a", seed=3, images_per_type=2, shape=(200, 260))
    write_dataset(tmp_path / "b", seed=4, images_per_type=2, shape=(200, 260))
    assert tree(tmp_path / "a") == tree(dataset.parent)
    assert tree(tmp_path / "b")["train.csv"] != tree(dataset.parent)["train.csv"]


def test_cells_are_of_three_types_and_touch_and_overlap(dataset):
    with dataset.open() as file:
        types = Counter(row["cell_type"] for row in csv.DictReader(file))
    assert types.keys() == CELL_TYPES.keys()
    coverage = [image.load().runs.coverage() for image in open_source(dataset).images()]
    assert sum((overlap > 1).sum() for overlap in coverage) > 200
    areas = np.concatenate([image.load().runs.areas for image in open_source(dataset).images()])
    assert areas.min() >= 40
    assert areas.max() > 5 * np.median(areas)


def test_images_show_the_cells(dataset):
    """Cells are textured and rimmed, the background is even."""
    for image in open_source(dataset).images():
        pixels = np.asarray(Image.open(dataset.parent / "train" / f"{image.image_id}.png")).astype(float)
        inside = image.load().runs.coverage() > 0
        assert pixels.shape == inside.shape
        assert pixels[inside].std() > 1.5 * pixels[~inside].std()


def test_nuclei_are_bright_on_dark_and_touch_without_overlap(tmp_path):
    csv_path = write_nuclei(tmp_path, seed=3, count=1)
    (record,) = open_source(csv_path).images()
    coverage = record.load().runs.coverage()
    pixels = np.asarray(Image.open(tmp_path / "nuclei" / "nuclei-1.png"))
    assert coverage.max() == 1
    assert ndimage.label(coverage)[1] < 0.9 * len(record.load().runs.areas)
    assert np.percentile(pixels[coverage > 0], 5) > np.percentile(pixels[coverage == 0], 95)
    write_nuclei(tmp_path / "again", seed=3, count=1)
    assert tree(tmp_path / "again") == {name: tree(tmp_path)[name] for name in ("nuclei.csv", "nuclei/nuclei-1.png")}


def test_mixed_images_hold_cells_of_every_type(tmp_path):
    for record in open_source(write_mixed(tmp_path, seed=3)).images():
        assert set(record.load().cell_types) == set(CELL_TYPES)


def test_demo_builds_and_draws(cli, tmp_path):
    out = tmp_path / "demo"
    words = ("demo", "--out", out, "--seed", 7, "--jobs", 1)
    result = cli(*words)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "demo.json").read_text())["seed"] == 7
    assert result.stderr.endswith(f"open the picture: {out / 'targets.png'}\n")
    store = open_store(out / "data.zarr")
    assert len(store) == 12
    assert f"cellprep predict {out / 'nuclei'} --overlay" in result.stderr
    assert {"train", "mixed", "nuclei"} == {path.stem for path in out.glob("*.csv")}
    assert {image.attributes["cell_type"] for image in store.values()} == set(CELL_TYPES)
    picture = np.asarray(Image.open(out / "targets.png"))
    assert picture.shape[1] > 1500
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 1000
    assert "12 current" in cli(*words).stderr


def test_demo_leaves_other_folders_alone(cli, tmp_path):
    (tmp_path / "train.csv").write_text("mine")
    (tmp_path / "demo.json").write_text('{"made_by": "me"}')
    before = tree(tmp_path)
    result = cli("demo", "--out", tmp_path)
    assert result.exit_code == 1
    assert "contains files that cellprep demo did not write: choose another --out" in result.stderr
    assert tree(tmp_path) == before


def test_demo_says_when_it_cannot_write(cli, tmp_path):
    (tmp_path / "file").write_text("mine")
    result = cli("demo", "--out", tmp_path / "file" / "demo")
    assert result.exit_code == 1
    assert result.stderr == f"error: cannot write the data set to {tmp_path / 'file' / 'demo'}: Not a directory\n"


def test_a_seed_is_no_negative_number(cli):
    assert cli("demo", "--seed", -1).exit_code == 2


def test_draws_an_image_without_pixels_or_cells(cli, write_csv, tmp_path):
    csv_path = write_csv("a,,60,50,", "b,1 60 121 60,60,50,round")
    assert cli("build-targets", csv_path, "--out", tmp_path / "s.zarr", "--jobs", 1).exit_code == 0
    for image_id, image in open_store(tmp_path / "s.zarr").items():
        draw_targets(image, tmp_path / f"{image_id}.png")
        assert (tmp_path / f"{image_id}.png").stat().st_size > 10_000
