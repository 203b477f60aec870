"""Stores as torch datasets: samples, which do not depend on the way of loading."""

import pickle
import shutil

import numpy as np
import pytest
from stores import discs, noise, write_store

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402

from cellprep import Recipe, cells_from_labels, compute_targets  # noqa: E402
from cellprep.core.targets import TARGETS  # noqa: E402
from cellprep.core.targets.dwt import DeepWatershed  # noqa: E402
from cellprep.core.targets.target import Vectors  # noqa: E402
from cellprep.errors import CellprepError, SampleError  # noqa: E402
from cellprep.learn import Normalisation, StoreDataset  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of forks in processes with threads
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # of more workers than cores
]

SHAPES = {"a": (40, 50), "b": (64, 64), "c": (20, 70), "d": (100, 90)}
RAW = Normalisation("dataset", (0.0,), (1.0,))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    images = {name: (discs(shape, 9, most=14), noise(shape)) for name, shape in SHAPES.items()}
    return write_store(tmp_path_factory.mktemp("dataset") / "data.zarr", images)


def forms(sample):
    return {name: (tuple(value.shape), value.dtype) for name, value in sample.items() if name != "id"}


def samples(dataset, epoch=0, **options):
    dataset.set_epoch(epoch)
    return list(DataLoader(dataset, batch_size=None, **options))


def assert_same(first, second):
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert torch.equal(value, other[name]) if name != "id" else value == other[name], name


@pytest.mark.parametrize("augment", [None, ("flips",), ()], ids=["all", "flips", "none"])
def test_a_sample_has_the_documented_form(store, augment):
    dataset = StoreDataset(store.path, ["labels", *Recipe().made], crop=32, augment=augment)
    expected = {
        "image": ((1, 32, 32), torch.float32),
        "labels": ((32, 32), torch.int64),
        "semseg": ((32, 32), torch.int64),
        "distance": ((32, 32), torch.float32),
        "uvec": ((2, 32, 32), torch.float32),
        "energy": ((32, 32), torch.int64),
        "area": ((32, 32), torch.float32),
        "counts": ((32, 32), torch.bool),
        "position": ((2,), torch.int64),
    }
    assert forms(dataset[0]) == expected
    assert all(f"``{name}``" in StoreDataset.__doc__ for name in expected)
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert forms(batch) == {name: ((4, *shape), dtype) for name, (shape, dtype) in expected.items()}
    assert set(batch["id"]) <= SHAPES.keys()
    assert forms(StoreDataset(store, [], crop=32, normalisation=None)[0]).keys() == {"counts", "position"}


def test_samples_depend_on_seed_epoch_and_place_alone(store):
    dataset = StoreDataset(store, crop=32)
    first, second = samples(dataset), samples(dataset, epoch=1)
    assert any(not torch.equal(one["image"], other["image"]) for one, other in zip(first, second, strict=True))
    loader = DataLoader(dataset, batch_size=None, num_workers=2, persistent_workers=True)
    for epoch, expected in ((1, second), (0, first)):  # in workers that run already
        dataset.set_epoch(epoch)
        assert_same(list(loader), expected)
    shown = StoreDataset(store.path, crop=32)
    assert_same([shown[0]], first[:1])  # what was looked at here can be sent to workers still
    again = pickle.loads(pickle.dumps(shown))
    assert_same(samples(again, epoch=1, num_workers=1, multiprocessing_context="spawn"), second)
    again.set_epoch(0)
    assert_same([again[3], again[-1]], [first[3], first[-1]])
    other = samples(StoreDataset(store, crop=32, seed=1))
    assert any(not torch.equal(one["image"], two["image"]) for one, two in zip(first, other, strict=True))


def test_without_augmentation_a_crop_is_a_window_of_what_is_stored(store):
    for sample in StoreDataset(store, crop=32, augment=(), normalisation=RAW, ids=["d"], samples_per_epoch=6):
        y, x = sample["position"].tolist()
        window = slice(y, y + 32), slice(x, x + 32)
        for name in ("image", "labels", "energy"):
            stored = store["d"].read(name)[window]
            np.testing.assert_array_equal(sample[name].numpy().squeeze(), stored, err_msg=name)
        np.testing.assert_array_equal(sample["uvec"], np.moveaxis(store["d"].read("uvec")[window], -1, 0))
        assert sample["counts"].all()


@pytest.mark.parametrize("augment", [("flips",), ("rotation",), None], ids=["flips", "rotation", "all"])
def test_targets_are_those_of_the_labels_that_are_seen(tmp_path, augment):
    """Also vectors, of whatever turn: one whole image is seen, so that nothing beyond the crop matters."""
    labels = np.zeros((40, 40), int)
    labels[14:22, 12:30], labels[22:27, 14:20] = 1, 2
    store = write_store(tmp_path / "data.zarr", {"one": (labels, noise((40, 40)))})
    for sample in StoreDataset(store, ["labels", *Recipe().made], 96, augment, samples_per_epoch=8):
        seen = sample["labels"].numpy() * sample["counts"].numpy()
        assert set(np.unique(seen)) == {0, 1, 2}
        targets = compute_targets(cells_from_labels(seen), Recipe())
        near = seen > 0
        vectors = TARGETS["uvec"].sample(targets["uvec"])[:, near]
        for name in ("semseg", "energy"):
            expected = TARGETS[name].sample(targets[name])
            np.testing.assert_array_equal(sample[name].numpy()[near], expected[near], err_msg=name)
        np.testing.assert_allclose(sample["uvec"].numpy()[:, near], vectors, atol=1e-3)
        np.testing.assert_allclose(sample["distance"].numpy()[near], targets["distance"][near], atol=1e-3)


def test_whole_images_come_in_order_and_padded_to_a_multiple(store):
    dataset = StoreDataset(store, ["energy", "labels"], crop=None, ids=["d", "a"], normalisation=RAW)
    assert [sample["id"] for sample in dataset] == dataset.ids == ["d", "a"]
    for sample in dataset:
        for name in ("image", "labels", "energy"):
            np.testing.assert_array_equal(sample[name].numpy().squeeze(), store[sample["id"]].read(name))
    padded = StoreDataset(store, crop=None, multiple=32, normalisation=RAW)[0]
    assert padded["image"].shape == (1, 64, 64)
    np.testing.assert_array_equal(np.pad(store["a"].read("image"), ((0, 24), (0, 14)), "symmetric"), padded["image"][0])
    assert padded["counts"].sum() == 40 * 50


def test_a_registered_target_is_one_more_name(tmp_path, monkeypatch):
    """One that networks of this package are not shown, with vectors, which turn as the image does."""

    def right(cells, done, recipe):
        return np.stack([np.zeros(cells.labels.shape), cells.labels > 0], axis=-1).astype(np.float32)

    about = {"dtype": "float32", "about": "to the right", "title": "to the right", "rule": "rule"}
    target = Vectors(name="right", compute=right, channels=2, is_sampled=False, **about)
    monkeypatch.setattr(DeepWatershed, "targets", (*DeepWatershed.targets, target))
    images = {"one": (np.ones((40, 40), int), noise((40, 40)))}
    dataset = StoreDataset(write_store(tmp_path / "data.zarr", images), ["right"], 16, ["flips"], samples_per_epoch=40)
    seen = {tuple(np.unique(sample["right"].flatten(1), axis=1)[:, 0].astype(int).tolist()) for sample in dataset}
    assert seen == {(0, 1), (0, -1), (1, 0), (-1, 0)}


def test_a_transform_is_called_with_each_sample(store):
    dataset = StoreDataset(store, ["energy"], 32, transform=lambda sample: (sample["image"], sample["energy"] > 2))
    image, deep = next(iter(DataLoader(dataset, batch_size=2)))
    assert image.shape == (2, 1, 32, 32) and deep.dtype == torch.bool


def test_what_is_kept_in_memory_is_not_changed_through_samples(store):
    dataset = StoreDataset(store, crop=None, normalisation=RAW)
    expected = dataset[0]["labels"].clone()
    dataset.keep_in_memory()
    dataset[0]["labels"].zero_()
    assert torch.equal(dataset[0]["labels"], expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_one_line_also_from_a_worker(tmp_path, workers):
    store = write_store(tmp_path / "data.zarr", {"torn": (discs((40, 40), 3), noise((40, 40)))})
    dataset = StoreDataset(store, crop=32)
    chunk = tmp_path / "data.zarr" / "torn" / "labels" / "instances" / "0" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    with pytest.raises(SampleError, match=r"^image torn: .* is damaged: its checksum does not match$"):
        samples(dataset, num_workers=workers)


def test_an_image_is_named_once(tmp_path):
    store = write_store(tmp_path / "data.zarr", {"a": (discs((40, 40), 3), np.full((40, 40), np.nan, np.float32))})
    dataset = StoreDataset(store, crop=32, normalisation="percentile")
    with pytest.raises(SampleError, match=r"^image a: some intensities are NaN or infinite$"):
        dataset[0]


def test_a_store_that_is_removed_is_one_line(tmp_path):
    dataset = StoreDataset(write_store(tmp_path / "data.zarr", {"a": (discs((40, 40), 3), noise((40, 40)))}), crop=32)
    shutil.rmtree(tmp_path / "data.zarr")
    with pytest.raises(
        SampleError, match=r"^image a: \S*a was removed during the training: leave stores in use unchanged$"
    ):
        samples(dataset)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"store": 5}, "store is the int 5: give the path of a store"),
        ({"targets": "semseg"}, "targets='semseg' is not a sequence: give a list of names"),
        ({"targets": ["semsegs"]}, "target 'semsegs' is unknown: use one of labels, semseg, distance, uvec"),
        ({"crop": 0}, "crop is 0: give a whole number from 1"),
        ({"crop": 2.5}, "crop is 2.5: give a whole number from 1"),
        ({"crop": 40, "multiple": 16}, "crop 40 is not a multiple of 16, .* give 32"),
        ({"multiple": 0}, "multiple is 0: give a whole number from 1"),
        ({"augment": ["flip"]}, "augmentation 'flip' is unknown: use one of flips, rotation"),
        ({"augment": "flips"}, "augment='flips' is not a sequence"),
        ({"augment": ["flips"], "crop": None}, r"augment=\['flips'\] is for crops, but crop=None returns whole images"),
        ({"samples_per_epoch": 0}, "samples_per_epoch is 0: give a whole number from 1"),
        ({"seed": -1}, "seed is -1: give a whole number from 0"),
        ({"ids": "a"}, "ids='a' is not a sequence"),
        ({"ids": [3]}, "ids contains 3: give names as strings"),
        ({"ids": ["z"]}, "image z is not in .*data.zarr"),
        ({"ids": []}, "no image of .* is chosen"),
        ({"normalisation": 1}, "normalisation=1 is not valid: give 'dataset', 'percentile', 'noise-floor', a Norm"),
        ({"normalisation": "minmax"}, "normalisation 'minmax' is unknown: use one of dataset, percentile"),
        (
            {"normalisation": Normalisation("dataset", (0, 0), (1, 1))},
            "have 1 channels, .* is for 2",
        ),
        ({"transform": 1}, "transform=1 cannot be called: give a function"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_refuses_arguments_that_cannot_be(store, arguments, problem):
    with pytest.raises(CellprepError, match=problem):
        StoreDataset(**{"store": store, **arguments})


def test_refuses_an_epoch_and_a_sample_that_are_not_there(store):
    dataset = StoreDataset(store, crop=32)
    with pytest.raises(CellprepError, match="epoch is -1: give a whole number from 0"):
        dataset.set_epoch(-1)
    with pytest.raises(IndexError):
        dataset[len(dataset)]
