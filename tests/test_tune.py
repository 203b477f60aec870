"""The command tune: the best of many decodings, found in rounds, and resumed after interruptions."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from stores import discs, noise, write_store

from cellprep import summarise
from cellprep.core.cells import cells_from_labels
from cellprep.core.scores import score_image
from cellprep.core.targets import compute_targets
from cellprep.errors import UsageError
from cellprep.learn import NetworkSettings, Normalisation, Weights, build_network, load_bundle
from cellprep.learn.prediction import predictor
from cellprep.learn.prediction.bundle import Bundle
from cellprep.learn.prediction.maps import PredictedMaps, find_instances
from cellprep.learn.prediction.scaling import Scale
from cellprep.learn.prediction.tuning import SCORES, candidates, choose, rounds, survivors
from cellprep.learn.settings import Decoding
from cellprep.learn.weights import BUNDLE
from cellprep.workflows import trial
from cellprep.workflows.tune import tune

SHAPE = (60, 80)
USUAL = Decoding("watershed", 20, {"min_seed": 20})


@pytest.fixture
def store(tmp_path):
    images = {f"image-{k}": (discs(SHAPE, 12, seed=k), noise(SHAPE, seed=k)) for k in range(9)}
    return write_store(tmp_path / "s.zarr", images)


@pytest.fixture
def bundle():
    """Return untrained networks, whose predictions are replaced below."""
    known = Normalisation("percentile", low=(1,), high=(99,))
    parts = [
        Weights(build_network(NetworkSettings(name, base_channels=1), seed=0), known, decoding=USUAL)
        for name in ("wn", "semseg")
    ]
    return Bundle(parts[0], semseg=parts[1])


@pytest.fixture
def maps(store, monkeypatch):
    """Make networks predict the true maps, with specks of 15 pixels, which are removed by a larger minimum area."""
    told = {}
    for image in store:
        found = store[image]
        classes = found.read("semseg").argmax(2).astype(np.uint8)
        energy = found.read("energy")
        classes[:3, :5], energy[:3, :5] = 0, 1
        told[found.read("image").tobytes()] = PredictedMaps(classes, True, energy, np.zeros(SHAPE, bool))
    asked = []

    def predict(self, image, *args, **keywords):
        asked.append(image)
        return told[image.tobytes()]

    monkeypatch.setattr(predictor.Predictor, "predict", predict)
    return told, asked


def brute(store, told, every, name, ids):
    """Score every way of decoding on all images."""
    values = []
    for decoding in every:
        scores = []
        for image_id in ids:
            labels, _ = find_instances(told[store[image_id].read("image").tobytes()], decoding)
            scores.append(score_image(labels, store[image_id].read("labels")))
        values.append(SCORES[name](summarise(scores)))
    return values


def ways(report):
    return [decoding for decoding, _ in report.tried]


@pytest.mark.parametrize("score", ["kaggle_map", "pq"])
def test_the_best_of_those_that_came_to_the_last_round_is_chosen(store, bundle, maps, tmp_path, score):
    report = tune(store, tmp_path / "out", bundle, decoders=["watershed"], score=score, jobs=1, quiet=True)
    assert (report.images, report.candidates, report.failures) == (9, 15, {})
    expected = brute(store, maps[0], ways(report), score, list(store))
    assert [values[score] for _, values in report.tried] == pytest.approx(expected)
    assert expected == sorted(expected, reverse=True)
    assert report.choice.score == pytest.approx(expected[0])
    assert report.choice.before == pytest.approx(brute(store, maps[0], [USUAL], score, list(store))[0])
    assert load_bundle(tmp_path / "out").decoding == report.decoding
    assert report.decoding == (ways(report)[0] if report.choice.is_gain else USUAL)
    assert len(maps[1]) == 9  # each image is predicted once
    with (tmp_path / "out" / "tuning.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), rows[0]["images"], rows[-1]["images"]) == (15, "9", "4")


def test_a_tuning_goes_on_where_it_was_interrupted(store, bundle, maps, tmp_path, monkeypatch):
    whole = tune(store, tmp_path / "whole", bundle, decoders=["watershed"], jobs=1, quiet=True)
    done, score_all = [], trial.score_all

    def interrupted(task):
        if len(done) == 6:
            raise KeyboardInterrupt
        done.append(task)
        return score_all(task)

    monkeypatch.setattr(trial, "score_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(store, tmp_path / "out", bundle, decoders=["watershed"], jobs=1, quiet=True)
    with (tmp_path / "out" / "tuning.jsonl").open("ab") as file:
        file.write(b'damaged\n{"image": "image-0", "pl')  # a line that was cut
    monkeypatch.setattr(trial, "score_all", lambda task: done.append(task) or score_all(task))
    again = tune(store, tmp_path / "out", bundle, decoders=["watershed"], jobs=1, quiet=True)
    assert again.to_dict() | {"weights": ""} == whole.to_dict() | {"weights": ""}
    assert len(done) == 9  # four images in the first round; of the last one those that are new
    for name in ("tuning.csv", BUNDLE):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    maps[1].clear()
    tune(store, tmp_path / "out", bundle, decoders=["watershed"], jobs=1, quiet=True)
    assert not maps[1]


def test_folders_of_something_else_are_refused(store, bundle, maps, tmp_path):
    tune(store, tmp_path / "out", bundle, decoders=["watershed"], only=["image-1"], jobs=1, quiet=True)
    with pytest.raises(UsageError, match="is a tuning with other weights, images or options"):
        tune(store, tmp_path / "out", bundle, decoders=["watershed"], only=["image-2"], jobs=1, quiet=True)
    with pytest.raises(UsageError, match=r"s\.zarr is not empty: choose another folder"):
        tune(store, store.path, bundle, jobs=1, quiet=True)
    with pytest.raises(UsageError, match="image 'x' is not one of the images for tuning"):
        tune(store, tmp_path / "new", bundle, only=["x"])
    with pytest.raises(UsageError, match="tuning needs weights that find cells without a given mask"):
        tune(store, tmp_path / "new", Bundle(bundle.vectors))
    with pytest.raises(UsageError, match="decoder 'x' is unknown"):
        tune(store, tmp_path / "new", bundle, decoders=["x"])


def test_maps_are_those_of_the_scale_at_which_predictions_are_made(bundle, tmp_path, monkeypatch):
    """Networks that know pixels of 1 µm see images of 0.5 µm at half their size; cells are scored at their own."""
    truth = {f"image-{k}": discs(SHAPE, 6, seed=k) for k in range(2)}
    images = {name: (labels, noise(SHAPE), {"attributes": {"pixel_size": 0.5}}) for name, labels in truth.items()}
    scale, told = Scale(SHAPE, (30, 40)), []
    seen = [compute_targets(cells_from_labels(scale.classes_of(labels), "smaller-on-top")) for labels in truth.values()]

    def predict(self, image, *args, **keywords):
        assert image.shape == (1, 30, 40)
        targets = seen[len(told)]
        classes = targets["semseg"].argmax(2).astype(np.uint8)
        told.append(PredictedMaps(classes, True, targets["energy"], np.zeros(scale.seen, bool)))
        return told[-1]

    monkeypatch.setattr(predictor.Predictor, "predict", predict)
    first, second = (replace(part, pixel_size=1.0) for part in bundle.parts)
    known = Bundle(first, semseg=second)
    store = write_store(tmp_path / "s.zarr", images)
    report = tune(store, tmp_path / "out", known, decoders=["watershed"], jobs=1, quiet=True)
    for decoding, values in report.tried:
        found = [scale.labels(find_instances(maps, decoding)[0])[0] for maps in told]
        scores = [score_image(labels, own) for labels, own in zip(found, truth.values(), strict=True)]
        assert values["kaggle_map"] == pytest.approx(summarise(scores)["kaggle_map"])
    assert report.choice.score > 0


def test_an_image_that_fails_stops_no_other(store, bundle, maps, tmp_path, cli, monkeypatch):
    from cellprep.learn.prediction.bundle import save_bundle

    del maps[0][store["image-3"].read("image").tobytes()]
    save_bundle(tmp_path / "b.safetensors", bundle)
    args = ("--data", store.path, "--weights", tmp_path / "b.safetensors", "--decoder", "watershed", "--jobs", 1)
    result = cli("tune", *args, "--out", tmp_path / "out", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["images"], list(told["failures"])) == (1, 8, ["image-3"])
    assert "15 decodings tried on 8 images\n" in result.stderr
    assert "1 of 9 images failed, and were not scored:" in result.stderr


def test_a_choice_that_gains_nothing_elsewhere_is_no_gain():
    one, none = np.ones((1, 1), int), np.zeros((1, 1), int)
    right, wrong = score_image(one, one), score_image(none, one)
    usual, lucky = [right, wrong, wrong, wrong] * 2, [wrong, right, wrong, right] * 2
    found = choose([usual, lucky], "ap50")
    assert (found.place, found.score, found.before, found.checked, found.is_gain) == (1, 0.5, 0.25, 0.0, False)
    found = choose([usual, [right] * 8], "ap50")
    assert (found.place, found.checked, found.is_gain) == (1, 1.0, True)
    assert choose([usual, usual], "ap50").place == 0
    assert choose([usual[:3], [right] * 3], "ap50").checked is None


def test_rounds_and_survivors():
    assert [len(ids) for ids in rounds([str(k) for k in range(3)])] == [3]
    ids = [f"{k:03}" for k in range(100)]
    assert [len(some) for some in rounds(ids)] == [12, 34, 100]
    assert all(set(some) <= set(ids) and some == sorted(some) for some in rounds(ids[::-1]))
    assert survivors([0.0, 0.3, 0.3, 0.2, 0.1, 0.3, 0.0]) == [0, 1, 2, 5]
    every = candidates(Decoding("tops", 30, {"depth": 2.0}), ["tops"])
    assert len(every) == 400  # that of the weights is one of the combinations
    assert len(candidates(Decoding())) == 180 + 400 + 15 + 135
