"""Benchmarks measure what their names say."""

import json

import numpy as np
import pytest

from benchmarks import coco, decoding, families, loading, matching, original, stages, whole
from benchmarks.data import images_of
from cellprep import DECODERS, compute_targets, resolve_overlaps
from cellprep.commands.demo import write_dataset


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("measured"), images_per_type=1, shape=(120, 160))


def test_the_original_computes_the_same(csv):
    for image in images_of(csv):
        theirs = original.targets(image.masks, image.shape)
        for name, array in compute_targets(resolve_overlaps(image.load().runs)).items():
            # His OpenCV may round steps of the chamfer otherwise.
            rounding = 1e-3 if name in ("distance", "uvec") else 1e-6
            np.testing.assert_allclose(theirs[name], array, atol=rounding, err_msg=name)


def test_measures_every_stage(csv, tmp_path):
    text, figures = stages.measure(csv, tmp_path)
    assert all(timing.median >= 0 for timing in figures.values())
    assert all(name in text for name in figures)


def test_measures_the_whole_command(csv, tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "REPEATS", 1)
    text, _ = whole.measure(csv, tmp_path, floor=1.0)
    assert "12 images" in text


def test_measures_matching_and_finds_the_same():
    pytest.importorskip("stardist")
    assert "| 9 | 60 x 60 |" in matching.measure({9: 60}, repeats=1)


def test_measures_loading(csv, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.delenv("CELLPREP_TEST_DATA", raising=False)
    monkeypatch.setattr(loading, "sources", lambda folder: {"generated": csv})
    monkeypatch.setattr(loading, "CROP", 64)
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "train").symlink_to(csv.parent / "train")
    text = loading.measure(tmp_path, samples=2, base_channels=2)
    assert all(f"generated, {way}, disk" in text for way in loading.WAYS)
    assert "training step of the U-Net with 2 channels" in text


def test_measures_a_coco_file(tmp_path):
    annotations, size, *figures = coco.measure(700, tmp_path)
    assert (annotations, size) == ("700", "0")
    assert all(float(figure) >= 0 for figure in figures)
    assert not list(tmp_path.iterdir())


def test_measures_decoding_and_draws_its_curves(csv, tmp_path):
    images = images_of(csv)[:2]
    assert all(name in decoding.round_trip(images) for name in DECODERS)
    found = decoding.curves(images[:1])
    assert found.keys() == decoding.NOISES.keys()
    for kind, lines in found.items():
        assert all(len(values) == len(decoding.NOISES[kind][2]) for values in lines.values())
    decoding.draw(found, "title", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


@pytest.mark.parametrize("kind", decoding.NOISES)
def test_noise_starts_at_none(csv, kind):
    noise, _, amounts = decoding.NOISES[kind]
    true = decoding.maps_of(images_of(csv)[0])
    same = noise(true, amounts[0], np.random.default_rng(0))
    changed = noise(true, amounts[-1], np.random.default_rng(0))
    equal = [
        all(np.array_equal(value, vars(true)[name]) for name, value in vars(maps).items()) for maps in (same, changed)
    ]
    assert equal == [True, False]


LABELS = np.kron(np.array([[0, 1, 1], [2, 2, 0]], np.uint16), np.ones((9, 9), np.uint16))


def test_compares_families_with_their_packages(tmp_path, monkeypatch):
    results = tmp_path / "results.json"
    for name in ("boundary", "hover", "panoptic_deeplab"):
        module, version = families.load(name)
        sets = families.compare(module, [families.Image("dsb2018", LABELS)] * 2, repeats=1)
        assert (sets["dsb2018"]["images"], sets["dsb2018"]["equal"], sets["dsb2018"]["differing"]) == (2, 2, 0)
        found = families.load_results(results)  # of other runs, which are kept
        found[name] = {"package": module.PACKAGE, "version": version, "noise": "1", "sets": sets}
        families.save_results(results, found)
    text = families.tables(families.load_results(results))
    assert "| panoptic_deeplab | reimplemented | dsb2018 | 2 of 2 | 0 | 0 of 972 |" in text
    families.draw(families.load_results(results), tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 10_000
    monkeypatch.setattr(module, "ours", lambda labels: {name: array + 1 for name, array in module.peer(labels).items()})
    wrong = families.compare(module, [families.Image("dsb2018", LABELS)], repeats=1)["dsb2018"]
    assert (wrong["equal"], wrong["differing"], wrong["largest"]["centre_heat"]) == (0, LABELS.size, pytest.approx(1))
    monkeypatch.setattr(module, "PACKAGE", "no-such-package")
    with pytest.raises(ImportError, match="no-such-package is not installed"):
        families.load("panoptic_deeplab")


def test_the_points_of_fine_tuning_that_are_there_are_shown(tmp_path):
    pytest.importorskip("torch")
    from benchmarks import finetune

    for place, point in enumerate(finetune.POINTS[:8]):
        ap = {"0.50": 0.9, "0.70": 0.8, "0.90": 0.7}
        (tmp_path / f"{point.name}.json").write_text(json.dumps({"kaggle_map": place / 10, "ap": ap}))
    points = finetune.found(tmp_path)
    rows = finetune.rows(points)
    assert len({point.name for point in finetune.POINTS}) == len(finetune.POINTS) == 18
    assert rows[0] == ["BBBC039, nuclei, fluorescence", "0", "nuclei", "0.000", "0.900", "0.800", "0.700"]
    assert [row[1:3] for row in rows if row[0].startswith("BBBC039")] == [
        ["0", "nuclei"], ["3", "random weights"], ["3", "nuclei"], ["10", "random weights"], ["10", "nuclei"],
    ]  # fmt: skip
    finetune.draw(points, tmp_path / "curve.webp")
    assert (tmp_path / "curve.webp").stat().st_size > 5_000
