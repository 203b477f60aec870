"""Batches, which do not depend on the number of workers, and failures."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
from stores import discs, noise, write_store

torch = pytest.importorskip("torch")
from torch.utils.data import dataloader  # noqa: E402

from cellprep import Recipe  # noqa: E402
from cellprep.errors import CellprepError, UsageError  # noqa: E402
from cellprep.learn.data.fitting import fit_normalisation  # noqa: E402
from cellprep.learn.data.loading import train_loader, validation_loader  # noqa: E402
from cellprep.learn.data.samples import MASKS, CropSettings, SampleMaker  # noqa: E402
from cellprep.learn.normalisation import Normalisation  # noqa: E402

SHAPES = {"a": (40, 50), "b": (64, 64), "c": (20, 70), "d": (33, 31), "e": (100, 90)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    images = {name: (discs(shape, 5, most=9), noise(shape)) for name, shape in SHAPES.items()}
    return write_store(tmp_path_factory.mktemp("loaded") / "data.zarr", images)


def load(store, workers=0, ids=None, **settings):
    normalisation = fit_normalisation(store, list(store))
    settings = CropSettings(**{"crop": 32, **settings})
    return train_loader(store, ids or list(store), settings, normalisation, 16, 4, workers)


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert one["id"] == other["id"]
        assert all(torch.equal(one[name], other[name]) for name in one if name != "id")


def test_a_batch_has_the_form_that_networks_want(store):
    loader = load(store)
    batches = list(loader.epoch(0))
    crops = [max(1, height * width / 32**2) for height, width in SHAPES.values()]
    assert sum(len(batch["id"]) for batch in batches) == int(np.ceil(sum(crops)))
    assert len(batches) == len(loader)
    forms = {name: (tuple(value.shape), value.dtype) for name, value in batches[0].items() if name != "id"}
    assert forms == {
        "image": ((4, 1, 32, 32), torch.float32),
        "mask": ((4, 1, 32, 32), torch.float32),
        "domain": ((4, 1, 32, 32), torch.float32),
        "semseg": ((4, 32, 32), torch.int64),
        "uvec": ((4, 2, 32, 32), torch.float32),
        "energy": ((4, 32, 32), torch.int64),
        "area": ((4, 32, 32), torch.float32),
        "counts": ((4, 32, 32), torch.bool),
        "position": ((4, 2), torch.int64),
    }


@pytest.mark.parametrize("kind", MASKS)
def test_the_mask_is_what_was_asked_for(tmp_path, kind):
    images = {"crowded": (discs((60, 60), 30), noise((60, 60)))}
    batch = next(load(write_store(tmp_path / "data.zarr", images), mask=kind).epoch(0))
    expected = batch["semseg"] == 0 if kind == "cells" else batch["semseg"] < 2
    assert (batch["semseg"] == 1).any()
    assert torch.equal(batch["mask"][:, 0], expected.float())
    assert torch.equal(batch["domain"], batch["mask"])


def test_with_the_background_as_a_cell_vectors_are_asked_of_every_pixel(tmp_path):
    images = {"one": (discs((60, 60), 5), noise((60, 60)))}
    batch = next(load(write_store(tmp_path / "data.zarr", images, Recipe(background_cell=True))).epoch(0))
    assert batch["domain"].all()
    assert torch.equal(batch["mask"][:, 0], (batch["semseg"] < 2).float())


def test_batches_depend_on_seed_and_epoch_alone(store):
    alone = load(store)
    epochs = [list(alone.epoch(number)) for number in range(3)]
    for workers in (1, 2):
        loader = load(store, workers)
        next(iter(loader.epoch(0)))  # left halfway
        assert_same(list(loader.epoch(2)), epochs[2])
        assert_same(list(loader.epoch(1)), epochs[1])
    assert any((one["image"] != other["image"]).any() for one, other in zip(epochs[0], epochs[1], strict=True))
    other_seed = list(load(store, seed=1).epoch(0))
    assert any((one["image"] != other["image"]).any() for one, other in zip(epochs[0], other_seed, strict=True))


def test_loading_draws_nothing_from_the_random_numbers_of_torch(store):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    for batch in load(store, 1, samples_per_epoch=4).epoch(0):
        assert batch["id"]
    assert torch.equal(torch.rand(3), expected)


def test_workers_that_are_spawned_make_the_same(store, monkeypatch):
    expected = list(load(store, samples_per_epoch=6, in_memory=True).epoch(0))
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        assert_same(list(load(store, 1, samples_per_epoch=6, in_memory=True).epoch(0)), expected)
    finally:
        multiprocessing.set_start_method(before, force=True)


def test_images_in_memory_make_the_same(store):
    expected = list(load(store).epoch(0))
    assert_same(list(load(store, in_memory=True).epoch(0)), expected)
    assert_same(list(load(store, 2, in_memory=True).epoch(0)), expected)


def test_validation_shows_each_image_whole(store):
    loader = validation_loader(store, ["e", "c"], CropSettings(), fit_normalisation(store, ["e"]), 16, 0)
    batches = list(loader.epoch(0))
    assert [batch["id"] for batch in batches] == [["e"], ["c"]]
    assert [tuple(batch["image"].shape) for batch in batches] == [(1, 1, 112, 96), (1, 1, 32, 80)]
    assert [int(batch["counts"].sum()) for batch in batches] == [100 * 90, 20 * 70]
    assert_same(batches, list(loader.epoch(1)))
    energy = torch.from_numpy(store["e"].read("energy").astype(np.int64))
    assert torch.equal(batches[0]["energy"][0, :100, :90], energy)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(tmp_path, workers):
    images = {name: (discs((40, 40), 3, most=9), noise((40, 40))) for name in ("good", "torn")}
    store = write_store(tmp_path / "data.zarr", images)
    chunk = tmp_path / "data.zarr" / "torn" / "labels" / "instances" / "0" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    with pytest.raises(CellprepError, match=r"^image torn: .* is damaged: its checksum does not match$"):
        list(load(store, workers).epoch(0))


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (MemoryError(), "there is not enough memory for it"),
        (ValueError("odd"), "unexpected ValueError: odd; please"),
    ],
    ids=["memory", "unexpected"],
)
def test_whatever_fails_is_one_line_that_names_the_image(store, monkeypatch, error, problem):
    def fail(*_):
        raise error

    monkeypatch.setattr(SampleMaker, "crop", fail)
    with pytest.raises(CellprepError, match=f"^image c: {problem}"):
        list(load(store, 1, ids=["c"]).epoch(0))


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="the worker must have what the test changes")
def test_a_killed_worker_is_told_of_and_names_its_image(store, monkeypatch):
    crop = SampleMaker.crop

    def die(maker, index, rng):
        if maker.images.images[index].id == "d":
            os.kill(os.getpid(), signal.SIGKILL)
        return crop(maker, index, rng)

    monkeypatch.setattr(SampleMaker, "crop", die)
    wait = dataloader._MultiProcessingDataLoaderIter._try_get_data
    monkeypatch.setattr(wait, "__defaults__", (0.2,))  # seconds between looks at the workers
    before = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(
        CellprepError, match=r"^a worker .* was killed, probably because memory ran out; it was reading d$"
    ):
        list(load(store, 2).epoch(0))
    assert signal.getsignal(signal.SIGCHLD) == before  # no signal raises in the middle of a training step


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"multiple": 24}, "crop 32 is not a multiple of 24, as the network needs: give 24"),
        ({"batch_size": 0}, "the batch size is 0"),
        ({"workers": -1}, "the number of workers is -1"),
        (
            {"normalisation": Normalisation("dataset", (0, 0), (1, 1))},
            "have 1 channels, but the normalisation is for 2",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refuses_what_cannot_be_loaded(store, change, problem):
    options = {
        "normalisation": Normalisation("dataset", (0,), (1,)),
        "multiple": 16,
        "batch_size": 4,
        "workers": 0,
        **change,
    }
    with pytest.raises(UsageError, match=problem):
        train_loader(store, list(store), CropSettings(crop=32), **options)
