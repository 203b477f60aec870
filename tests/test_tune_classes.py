"""Tuning by class: small and large cells, with specks in the class of the large ones."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from stores import noise, write_store

from cellprep import summarise
from cellprep.core.scores import score_classes
from cellprep.errors import UsageError
from cellprep.learn import NetworkSettings, Normalisation, Weights, build_network, load_bundle
from cellprep.learn.prediction import predictor
from cellprep.learn.prediction.bundle import Bundle
from cellprep.learn.prediction.instances import find_typed_instances
from cellprep.learn.prediction.maps import PredictedMaps
from cellprep.learn.settings import Decoding
from cellprep.workflows import trial
from cellprep.workflows.tune import tune

SHAPE = (60, 80)
USUAL = Decoding("watershed", 20, {"min_seed": 20})
NAMES = ("large", "small", "unseen")


def drawn(seed):
    """Labels, their classes, and where specks are that no annotator has drawn."""
    rng = np.random.default_rng(seed)
    labels, types, specks = np.zeros(SHAPE, int), [], np.zeros(SHAPE, bool)
    for place in range(12):
        y, x = 20 * (place // 4), 20 * (place % 4)
        if place % 3 == 0:
            specks[y + 2 : y + 6, x + 2 : x + 6] = True
        else:
            side = int(rng.integers(14, 18)) if place % 3 == 1 else 4
            types.append(place % 3 - 1)
            labels[y + 1 : y + 1 + side, x + 1 : x + 1 + side] = len(types)
    return labels, types, specks


@pytest.fixture
def store(tmp_path):
    images = {}
    for k in range(8):
        labels, types, _ = drawn(k)
        cells = np.stack([np.arange(len(types)), np.bincount(labels.ravel())[1:], types], axis=1)
        about = {
            "categories": list(NAMES[:2]),
            "cells_of_category": np.bincount(types, minlength=2).tolist(),
            "cell_type": "large",
        }
        images[f"image-{k}"] = labels, noise(SHAPE, seed=k), {"arrays": {"cells": cells}, "attributes": about}
    return write_store(tmp_path / "s.zarr", images)


@pytest.fixture
def bundle():
    known = Normalisation("percentile", low=(1,), high=(99,))
    settings = [NetworkSettings("wn", base_channels=1), NetworkSettings("semseg", base_channels=1, classes=NAMES)]
    parts = [Weights(build_network(one, seed=0), known, decoding=USUAL) for one in settings]
    return Bundle(parts[0], semseg=parts[1])


@pytest.fixture
def maps(store, monkeypatch):
    """Make networks predict the true maps, with specks that look like the large class."""
    told = {}
    for k, image in enumerate(store):
        labels, types, specks = drawn(k)
        found = store[image]
        classes, energy = found.read("semseg").argmax(2).astype(np.uint8), found.read("energy")
        classes[specks], energy[specks] = 0, 1
        of_pixels = np.append(0, types)[labels]
        probabilities = np.stack([np.where(of_pixels == number, 200, 20) for number in range(3)]).astype(np.uint8)
        still = np.zeros(SHAPE, bool)
        told[found.read("image").tobytes()] = PredictedMaps(
            classes, True, energy, still, types=NAMES, type_probabilities=probabilities
        )
    monkeypatch.setattr(predictor.Predictor, "predict", lambda self, image, *_: told[image.tobytes()])
    return told


def mean_pq(store, maps, decoding):
    images = []
    for k, name in enumerate(store):
        labels, types, _ = drawn(k)
        found = find_typed_instances(maps[store[name].read("image").tobytes()], decoding)
        images.append(score_classes(found.labels, labels, found.type_names, [NAMES[kind] for kind in types]).of_class)
    return np.mean([summarise([image[name] for image in images if name in image])["pq"] for name in NAMES[:2]])


def test_each_class_gets_the_way_that_is_best_for_it(store, bundle, maps, tmp_path, monkeypatch):
    options = {"by_class": True, "decoders": ["watershed"], "score": "pq", "jobs": 1, "quiet": True}
    done, score = [], trial.score_each_class
    monkeypatch.setattr(trial, "score_each_class", lambda task: done.append(task) or score(task))
    report = tune(store, tmp_path / "out", bundle, **options)
    assert report.is_gain
    large, small, unseen = report.classes
    assert large.decoding.min_area > 16 >= small.decoding.min_area  # specks and small cells are of 16 pixels
    assert (unseen.choice, unseen.decoding, unseen.cells) == (None, USUAL, 0)
    assert (large.is_gain, small.is_gain) == (False, True)
    assert report.before == pytest.approx(mean_pq(store, maps, USUAL))
    assert report.after == pytest.approx(mean_pq(store, maps, report.decoding))
    assert report.after > 0.9 > report.before
    saved = load_bundle(tmp_path / "out").decoding
    assert saved == report.decoding == replace(USUAL, by_class={"small": small.decoding})
    assert not list((tmp_path / "out").glob(".maps*"))
    with (tmp_path / "out" / "tuning.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = max((row for row in rows if row["class"] == "small"), key=lambda row: float(row["pq"]))
    assert float(best["pq"]) == pytest.approx(small.choice.score, abs=1e-5)
    before = len(done)
    again = tune(store, tmp_path / "out", bundle, **options)  # everything is cached, except for all classes together
    assert len(done) == before
    assert again.to_dict() == report.to_dict()
    assert "not tuned, as fewer than 4 images have true cells of them: unseen" in again.notes()


def test_weights_without_classes_are_refused(store, bundle, tmp_path):
    plain = Bundle(bundle.vectors, semseg=Weights(build_network(NetworkSettings("semseg", base_channels=1), seed=0)))
    with pytest.raises(UsageError, match="these weights predict no classes"):
        tune(store, tmp_path / "out", plain, by_class=True)
