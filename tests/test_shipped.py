"""The bundled weights: present, small, and with the scores of their model card."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import cellprep
from cellprep import open_source
from cellprep.commands.demo import write_dataset, write_nuclei
from cellprep.core.cells import resolve_overlaps
from cellprep.core.scores import score_image, summarise
from cellprep.errors import WeightsError
from cellprep.learn import Decoding, load_bundle, predict, segment
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS, SHIPPED, PredictionOptions

MODELS = Path(cellprep.__file__).parent / "learn" / "models"
EXAMPLES = Path(__file__).parents[1] / "examples"
DOCS = Path(__file__).parents[1] / "docs" / "models"


@pytest.fixture(scope="module")
def nuclei():
    return load_bundle([DEFAULT_WEIGHTS])


def test_every_bundle_is_small_and_has_a_card():
    assert DEFAULT_WEIGHTS in SHIPPED
    for name, path in SHIPPED.items():
        assert path.stat().st_size <= 8_000_000
        assert (MODELS / f"{name}.md").read_text(encoding="utf-8").startswith("# ")
        assert (DOCS / f"{name}.md").is_file()  # which the site lists


def test_weights_know_how_they_are_used(nuclei):
    assert nuclei.decoding == Decoding("tops", 20, {"depth": 4})
    assert nuclei.semseg is not None
    assert nuclei.channels == 1


@pytest.mark.parametrize("blur", [0, 1])
def test_there_are_no_nuclei_in_noise(nuclei, blur):
    noise = np.random.default_rng(0).normal(0, 1, (160, 200))
    noise = cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise
    picture = 120 + 20 * noise / noise.std()
    for image in (picture.clip(0, 255).astype(np.uint8), (200 * picture).astype(np.uint16), picture.astype(np.float32)):
        assert segment(image, nuclei).max() == 0
    assert segment(np.full((64, 64), 7, np.uint8), nuclei).max() == 0


def test_names_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_bundle(DEFAULT_WEIGHTS).decoding.decoder == "tops"
    for path in (f"./{DEFAULT_WEIGHTS}", Path(DEFAULT_WEIGHTS)):
        with pytest.raises(WeightsError, match=r"weights .*nuclei cannot be read: No such file"):
            load_bundle([path])
    with pytest.raises(
        WeightsError, match="there are no weights nucleus: there is no such file, and the bundled weights are"
    ):
        load_bundle("nucleus")


def test_a_semantic_network_alone_is_not_mixed_with_them(cli):
    result = cli("predict", "x.png", "--semseg-weights", "semseg", "--out", "out")
    assert result.exit_code == 2
    assert "--semseg-weights requires --weights: give both, or neither to use nuclei" in result.stderr


def discs():
    """Bright discs on a noisy ground, two of them side by side."""
    y, x = np.indices((120, 150))
    labels = np.zeros(y.shape, int)
    for number, (row, column, radius) in enumerate(
        [(30, 30, 12), (30, 75, 10), (32, 97, 11), (85, 50, 15), (85, 115, 9)]
    ):
        labels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = number + 1
    grey = np.random.default_rng(0).normal(20, 3, y.shape) + 90 * (labels > 0)
    return grey.clip(0, 255).astype(np.uint8), labels


def test_plain_discs_are_found_whatever_their_grey_values(nuclei):
    image, labels = discs()
    for shown in (image, image.astype(np.uint16) * 200 + 1000):
        assert score_image(segment(shown, nuclei), labels).matched[2] == 5  # an IoU of .6


def test_the_nuclei_of_the_demo_are_found_and_dark_cells_are_said_to_be_unlike(nuclei, tmp_path):
    csv = write_nuclei(tmp_path, count=1)
    write_dataset(tmp_path, images_per_type=1, shape=(128, 160))
    (record,) = open_source(csv).images()
    image = np.asarray(Image.open(tmp_path / "nuclei" / "nuclei-1.png"))
    negative = tmp_path / "negative.png"
    Image.fromarray(image[:128, :160].max() - image[:128, :160]).save(negative)
    images = [tmp_path / "nuclei" / "nuclei-1.png", negative, tmp_path / "train" / "round-1.png"]
    report = predict(images, tmp_path / "out", nuclei, options=PredictionOptions(device="cpu", quiet=True))
    found = tifffile.imread(tmp_path / "out" / "nuclei-1.tif")
    truth = record.load().runs
    assert score_image(found, resolve_overlaps(truth).labels).matched[0] >= 0.95 * len(truth.areas)
    assert [name for images in report.unlike.found.values() for name, _ in images] == ["negative"]
    assert sum(line.startswith("warning: in 1 image") for line in report.notes()) == 1
    assert not tifffile.imread(tmp_path / "out" / "round-1.tif").any()  # phase contrast: nothing is taken for a nucleus


@pytest.mark.parametrize("bundle", ["nuclei", "phase"])
def test_card_and_script_have_the_decoding_of_the_bundle(bundle):
    decoding = load_bundle(bundle).decoding
    depth = f"{decoding.options['depth']:g}"
    card = (MODELS / f"{bundle}.md").read_text(encoding="utf-8")
    told = f"`{decoding.decoder}` with a depth of {depth} levels, instances of at least {decoding.min_area} pixels"
    assert f"| decoding | {told} " in card
    script = (EXAMPLES / f"train_{bundle}.sh").read_text(encoding="utf-8")
    assert f"--decoder {decoding.decoder} --decoder-option depth={depth} " in script
    assert decoding.min_area == int((re.findall(r"--min-area (\d+)", script) or [20])[0])


@pytest.mark.parametrize(("bundle", "name"), [("nuclei", "dsb2018"), ("phase", "usiigaci")])
def test_real_cells_are_found_as_the_card_says(bundle, name, tmp_path):
    if "CELLPREP_TEST_DATA" not in os.environ:
        pytest.skip("CELLPREP_TEST_DATA does not name a folder of real annotated images")
    data = Path(os.environ["CELLPREP_TEST_DATA"]) / name
    ids = (data / "validation_ids.txt").read_text().split()[::4]

    def read(folder, name):
        return tifffile.imread(data / folder / f"{name}.tif")

    images = [data / "images" / f"{name}.tif" for name in ids]
    report = predict(images, tmp_path / "out", bundle, options=PredictionOptions(device="cpu", quiet=True))
    assert not report.unlike.found
    scores = [score_image(tifffile.imread(tmp_path / "out" / f"{name}.tif"), read("masks", name)) for name in ids]
    found = summarise(scores)["ap"]
    card = (MODELS / f"{bundle}.md").read_text(encoding="utf-8")
    promised = re.search(r"\*\*(\.\d+) / (\.\d+) / (\.\d+)\*\*", card)
    for threshold, value in zip(("0.50", "0.70", "0.90"), promised.groups(), strict=True):
        assert found[threshold] > float(value) - 0.06  # a quarter of the images
