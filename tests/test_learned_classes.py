"""The classes of cells: in samples, in training, as inputs and outputs of networks, and of predicted instances."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from stores import write_store
from test_predict import NORMALISATION, QUIET, Oracle

from cellprep import Recipe, cells_from_labels, compute_targets
from cellprep.core.colours import type_colours
from cellprep.errors import StoreError, UsageError, WeightsError
from cellprep.learn import (
    Bundle,
    NetworkSettings,
    StoreDataset,
    TrainOptions,
    Weights,
    build_network,
    load_bundle,
    load_weights,
    predict,
    save_bundle,
    save_weights,
    segment,
    segment_types,
    train,
    train_all,
)
from cellprep.learn.losses import class_loss
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.tiles import cut_tiles, see
from cellprep.learn.prediction.turns import TURNS, turn, turn_back
from cellprep.learn.training.first import find_origins, first_network
from cellprep.learn.training.options import having

NAMES = ["dark", "light"]
LIGHT = np.array([-70, 70, 30])  # of dark, light, and cells without a type


def draw(types):
    """Nine discs on grey, lighter or darker by their types, and their labels."""
    labels = np.zeros((64, 64), np.int64)
    y, x = np.indices(labels.shape)
    for label, centre in enumerate(product((12, 32, 52), repeat=2), start=1):
        labels[np.hypot(y - centre[0], x - centre[1]) < 8] = label
    image = 120 + np.array([0, *LIGHT[types]])[labels] + np.random.default_rng(0).normal(0, 6, labels.shape)
    return labels, image.astype(np.uint8)


def typed(types, names=NAMES):
    """An image as `write_store` takes it, whose cells have types by their places among the names, -1 for none."""
    labels, image = draw(types)
    areas = np.bincount(labels.ravel())[1:]
    told = [name for place, name in enumerate(names) if place in types]
    places = [told.index(names[one]) if one >= 0 else -1 for one in types]
    attributes = {
        "categories": told,
        "cells_of_category": [places.count(place) for place in range(len(told))],
        "cell_type": told[0] if told else None,
    }
    return labels, image, {"arrays": {"cells": np.stack([np.arange(9), areas, places], 1)}, "attributes": attributes}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(1)
    images = {f"mixed-{number}": typed(rng.permutation([0, 1] * 4 + [-1]).tolist()) for number in range(5)}
    images["one-type"] = typed([1] * 9)
    return write_store(tmp_path_factory.mktemp("typed") / "data.zarr", images)


# --- samples


@pytest.mark.parametrize("augment", [None, ["flips"], ["rotation", "zoom"], ["paste", "contacts"], ["empty"]], ids=str)
def test_each_pixel_has_the_class_of_its_cell(store, augment):
    how = {"crop": None} if augment is None else {"crop": 48, "augment": augment, "samples_per_epoch": 18}
    samples = StoreDataset(store, ["classes", "labels"], **how, classes=["light", "dark", "absent"])
    assert samples.classes == ["light", "dark", "absent"]
    copied = 0
    for sample in samples:
        image = store[sample["id"]]
        of_cells = [
            ["light", "dark"].index(image.metadata.categories[one]) if one >= 0 else -1 for one in image["cells"][:, 2]
        ]
        labels, classes = sample["labels"].numpy(), sample["classes"].numpy()
        own = labels <= 9
        np.testing.assert_array_equal(classes[own], np.array([-1, *of_cells])[labels[own]])
        if image.id == "one-type":  # of whose cells all copies are of this type
            assert (classes[~own] == 0).all()
            copied += np.count_nonzero(~own)
    assert (copied > 0) == (augment is not None and "paste" in augment)


def test_classes_are_all_types_unless_named(store):
    assert StoreDataset(store, ["classes"]).classes == NAMES
    assert StoreDataset(store, ["semseg"]).classes == []


def test_a_table_that_names_no_category_of_its_image_is_damage(tmp_path):
    image = typed([0, 1] * 4 + [0])
    image[2]["arrays"]["cells"][3, 2] = 5
    damaged = StoreDataset(write_store(tmp_path / "s.zarr", {"a": image}), ["classes"], 32, ["flips"])
    with pytest.raises(StoreError, match="a cell has a category that the image lacks"):
        damaged._make(damaged.draw(0))


# --- training


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """Draw no pictures of trainings: drawing takes longer than training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.learn.training.run.has_matplotlib", lambda: False)
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    def make(network="semseg", **others):
        settings = {"base_channels": 4, "crop": 64, "batch_size": 4, "workers": 0, "device": "cpu", "max_lr": 1e-2}
        out = tmp_path_factory.mktemp("runs") / "run"
        return TrainOptions(network, out=out, **settings, precision="float32", **others)

    return make


@pytest.fixture(scope="module")
def trained(store, options):
    return train(store, options(classes=True, epochs=8, samples_per_epoch=16, val_fraction=0.3, quiet=True))


def test_a_network_learns_classes_and_keeps_their_names(trained, store, tmp_path):
    assert min(trained.best[f"val_right_class{name}"] for name in ("", "_dark", "_light")) > 0.9
    weights = load_weights(trained.out)
    assert weights.settings.classes == tuple(NAMES)
    other = Weights(build_network(NetworkSettings("wn", arch="unet", base_channels=1), 0), NORMALISATION)
    save_bundle(tmp_path / "all.safetensors", Bundle(other, None, weights))
    bundle = load_bundle(tmp_path / "all.safetensors")
    assert bundle.types == tuple(NAMES)
    types = [0, 1, 0, 1, 1, 0, 1, 0, 0]
    labels, image = draw(types)
    targets = compute_targets(cells_from_labels(labels), Recipe())
    found = segment_types(image, Bundle(Weights(Oracle("wn", targets), NORMALISATION), None, bundle.semseg), labels)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.type_names == [NAMES[one] for one in types]
    assert found.type_scores.min() > 0.5
    report = predict(store, tmp_path / "found", bundle, to=["coco"], device="cpu", quiet=True)
    assert (report.images, report.failures) == (6, {})


def test_a_training_tells_what_there_is_of_each_class(store, options, capsys):
    few = {"epochs": 1, "samples_per_epoch": 4, "val_fraction": 0}
    train(store, options(classes=True, **few))
    told = capsys.readouterr().err
    assert "classes to train on: dark 20 cells in 5 images; light 29 cells in 6 images" in told
    assert "5 cells without a type: used for training the mask, but not the classes" in told
    assert "warning: fewer than 30 training cells of dark (20), light (29)" in told


def test_pictures_show_the_classes_of_true_and_of_predicted_cells():
    figure = pytest.importorskip("matplotlib.figure")
    settings = NetworkSettings("semseg", classes=("a_$x$", "b"))
    found = {"semseg": np.eye(3)[[0, 1, 2]].T[:, None], "classes": np.array([[[0, 9, 9]], [[1, 0, 0]]])}
    true = {"semseg": np.array([[0, 2, 0]]), "classes": np.array([[0, -1, 1]])}
    dark, first, second = (25, 25, 25), *map(tuple, type_colours(2).tolist())
    expected = {"true": [first, dark, second], "predicted": [second, first, dark]}
    for name, colours in expected.items():
        axes = figure.Figure().subplots()
        settings.kind.panels(settings, found, true)[f"{name} classes of cells"](axes)
        assert [*map(tuple, axes.get_images()[0].get_array()[0].tolist())] == colours
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [r"a_\$x\$", "b"]


def test_without_classes_a_file_of_weights_says_nothing_of_them(tmp_path):
    save_weights(tmp_path / "plain.safetensors", Weights(build_network(NetworkSettings("semseg", base_channels=1), 0)))
    assert b"classes" not in (tmp_path / "plain.safetensors").read_bytes()
    assert "classes" not in TrainOptions("dn").to_dict()


@pytest.mark.parametrize(
    ("types", "names", "problem"),
    [
        (
            [-1] * 9,
            NAMES,
            "the cells of .* have no types, which --classes needs: build the store from",
        ),
        (
            [1] * 9,
            NAMES,
            "all cells with a type in .* have the type light, but --classes needs two or more: omit it",
        ),
    ],
    ids=["none", "one"],
)
def test_without_two_types_there_is_nothing_to_learn(tmp_path, options, types, names, problem):
    store = write_store(tmp_path / "s.zarr", {name: typed(types, names) for name in "ab"})
    with pytest.raises(UsageError, match=problem):
        train(store, options(classes=True))


@pytest.mark.parametrize(
    ("network", "settings", "problem"),
    [
        ("wtn", {"classes": True}, "only semseg and dn and wn take --classes"),
        ("dn", {"classes": True, "background_cell": True, "mask": "none"}, "without a mask, dn and wn take no classes"),
        ("semseg", {"encoder": "vgg16.pth"}, "only dn and wn take a mask, .* and weights of an encoder"),
    ],
    ids=["wtn", "no mask", "encoder"],
)
def test_options_that_need_what_a_network_lacks(network, settings, problem):
    assert having("classes") == "semseg and dn and wn"
    with pytest.raises(UsageError, match=problem):
        TrainOptions(network, **settings)


@pytest.mark.parametrize("network", ["semseg", "dn"])
def test_weights_without_classes_may_begin_one_with(network, tmp_path, options):
    """Its other outputs equal those of the initial weights, for any classes."""
    plain = build_network(NetworkSettings(network, arch="unet", base_channels=4), seed=0)
    save_weights(tmp_path / "plain.safetensors", Weights(plain, NORMALISATION))
    begun = options(network, classes=True, init=(str(tmp_path / "plain.safetensors"),))
    network = first_network(begun, find_origins(begun), 1, 17, NAMES).eval()
    image, mask = torch.rand(1, 1, 32, 32), (torch.rand(1, 3, 32, 32) > 0.5).float()
    inputs = [image] if network.settings.name == "semseg" else [image, mask]
    answer = network(*inputs)
    found, *classes = answer if isinstance(answer, tuple) else (answer,)
    torch.testing.assert_close(found, plain.eval()(*(given[:, :1] for given in inputs)))
    assert [one.shape[1] for one in classes] == ([2] if network.settings.name == "semseg" else [])


@pytest.mark.parametrize(
    ("known", "asked", "problem"),
    [
        (
            ("dark", "red"),
            True,
            "has the classes dark, red, but .* has cells of type light: rename these types, or train without",
        ),
        (("dark", "light"), False, "has the classes dark, light: give --classes, too"),
    ],
    ids=["others", "not asked for"],
)
def test_weights_that_tell_other_classes_begin_no_training(store, options, tmp_path, known, asked, problem):
    network = build_network(NetworkSettings("semseg", base_channels=4, classes=known), seed=0)
    save_weights(tmp_path / "w.safetensors", Weights(network, NORMALISATION))
    with pytest.raises(UsageError, match=problem):
        train(store, options(init=(str(tmp_path / "w.safetensors"),), classes=asked))


def test_the_loss_of_classes_is_the_weighted_cross_entropy_where_they_are_known():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 7, 5, generator=generator)
    target = torch.randint(-1, 3, (2, 7, 5), generator=generator)
    counts, weights = torch.rand(2, 7, 5, generator=generator) < 0.7, torch.tensor([0.5, 1.0, 4.0])
    expected = torch.nn.functional.cross_entropy(logits, torch.where(counts, target, -1), weights, ignore_index=-1)
    torch.testing.assert_close(class_loss(logits, target, weights, counts), expected)
    assert class_loss(logits, target, weights, counts & False) == 0


# --- prediction


class Typing(Oracle):
    """A network that knows the classes of the cells of one image as well."""

    def __init__(self, targets, classes):
        super().__init__("semseg", targets)
        self.settings = replace(self.settings, classes=tuple(NAMES))
        window = cut_tiles(classes.shape, 16, 16, 1024)[0].window
        self.classes = torch.from_numpy(np.stack([see(classes == place, window) for place in (0, 1)]))[None].float()

    def forward(self, image):
        return super().forward(image), 9 * self.classes


@pytest.fixture
def typing():
    """Networks that know all of an image, and of which the second sees classes; the image, its labels, and types."""
    types = [0, 1, 1, 0, 0, 1, 0, 1, 1]
    labels, image = draw(types)
    targets = compute_targets(cells_from_labels(labels), Recipe())
    sees = Oracle("wn", targets)
    sees.settings = replace(sees.settings, classes=tuple(NAMES))
    semseg = Typing(targets, np.array([-1, *types])[labels])
    bundle = Bundle(Weights(sees, NORMALISATION), None, Weights(semseg, NORMALISATION))
    return bundle, image, labels, np.array([-1, *types])[labels]


@pytest.mark.parametrize("masked", [False, True], ids=["predicted mask", "mask from elsewhere"])
def test_the_networks_that_tell_vectors_see_the_mask_of_each_class(typing, masked):
    bundle, image, labels, classes = typing
    segment(image, bundle, labels if masked else None, QUIET)
    seen = bundle.vectors.network.seen[1][0].numpy()
    window = cut_tiles(labels.shape, 16, 16, 1024)[0].window
    expected = np.stack([labels > 0, classes == 0, classes == 1])
    np.testing.assert_array_equal(seen, see(expected, window))


def test_somebody_must_tell_the_classes_that_a_network_sees(typing, store, tmp_path):
    """A store may provide them instead of a semantic network."""
    bundle, image, labels, _ = typing
    with pytest.raises(UsageError, match=r"wn needs the classes of the cells \(dark, light\): give weights"):
        segment(image, Bundle(bundle.vectors), labels, QUIET)
    dn = build_network(NetworkSettings("dn", arch="unet", base_channels=1, classes=("light", "dark")), seed=0)
    seen = []
    dn.register_forward_pre_hook(lambda _, given: seen.append(given[1][0].numpy()))
    how = {"data": store.path, "only": ("mixed-0",), "device": "cpu", "quiet": True}
    assert predict(None, tmp_path / "out", Bundle(Weights(dn, NORMALISATION)), **how).images == 1
    stored = store["mixed-0"]
    of_cells = np.array([-1, *stored["cells"][:, 2]])[stored["labels"]]
    window = cut_tiles((64, 64), 16, 16, 1024)[0].window
    np.testing.assert_array_equal(
        seen[-1], see(np.stack([of_cells >= -1, of_cells == 1, of_cells == 0]) * (stored["labels"] > 0), window)
    )


def test_probabilities_of_classes_are_the_mean_over_tiles_turns_and_networks():
    """As of the whole image at once, whatever it is cut into."""
    settings = NetworkSettings("semseg", base_channels=2, classes=("a", "b", "c"))
    parts = [Weights(build_network(settings, seed), NORMALISATION) for seed in (0, 1)]
    wn = Weights(build_network(NetworkSettings("wn", arch="unet", base_channels=1), 0), NORMALISATION)
    image = np.random.default_rng(0).integers(0, 255, (1, 30, 340), dtype=np.uint8)
    options = PredictionOptions(device="cpu", tile_size=288, tta=True, quiet=True)
    found = Predictor(Bundle(wn, None, parts[0], (parts[1],)), options).predict(image)
    assert found.types == ("a", "b", "c")
    (whole,) = cut_tiles((30, 340), 16, 112, 1024)
    seen = torch.from_numpy(see(NORMALISATION.apply(image), whole.window)[None])
    views = []
    with torch.no_grad():
        for part, number in product(parts, TURNS):
            views.append(turn_back(part.network(turn(seen, number))[1].softmax(1), number))
    expected = 255 * torch.stack(views).mean(0)[0].numpy()[(..., *whole.inner)]
    assert np.abs(found.type_probabilities - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("sees", "tells", "problem"),
    [
        (("a", "b"), (), "wn has the classes a, b, but semseg has no classes"),
        (("a", "b"), ("b", "a"), "wn has the classes a, b, but semseg has the classes b, a"),
    ],
    ids=["none", "another order"],
)
def test_what_a_network_sees_must_be_told(sees, tells, problem):
    vectors, semseg = (
        Weights(build_network(NetworkSettings(name, arch="unet", base_channels=1, classes=names), 0), NORMALISATION)
        for name, names in (("wn", sees), ("semseg", tells))
    )
    with pytest.raises(UsageError, match=problem):
        Bundle(vectors, None, semseg)


def test_networks_of_other_classes_have_no_mean():
    parts = [
        Weights(build_network(NetworkSettings("semseg", base_channels=1, classes=names), 0), NORMALISATION)
        for names in (("a", "b"), ("a", "c"))
    ]
    wn = Weights(build_network(NetworkSettings("wn", arch="unet", base_channels=1), 0), NORMALISATION)
    with pytest.raises(UsageError, match="two semseg of the weights do not match: their channels, classes"):
        Bundle(wn, None, parts[0], (parts[1],))


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", ""), ("a", "b" * 201)], ids=["one", "twice", "no", "long"])
def test_classes_that_cannot_be_told_apart_are_refused(names):
    with pytest.raises(UsageError, match="give 2 to 254 different names"):
        NetworkSettings("semseg", classes=names)


def test_of_all_networks_the_semantic_one_learns_classes(store, tmp_path, monkeypatch):
    """Vectors that were learned with true classes would suffer from predicted ones."""
    asked = {}
    monkeypatch.setattr(
        "cellprep.workflows.train_all.train", lambda _, options: asked.update({options.network: options})
    )
    with pytest.raises(WeightsError):  # as nothing was trained
        train_all(store, tmp_path / "all", classes=True, quiet=True)
    assert [name for name, options in asked.items() if options.classes] == ["semseg"]
    untyped = write_store(tmp_path / "s.zarr", {name: typed([-1] * 9) for name in "ab"})
    with pytest.raises(UsageError, match="have no types"):
        train_all(untyped, tmp_path / "none", classes=True, quiet=True)
    assert not (tmp_path / "none").exists()
