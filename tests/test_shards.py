"""Huge arrays, in files of many chunks: the same bytes and values as zarr-python's, and windows of them."""

import io
import shutil
import sys
from itertools import product

import numpy as np
import pytest
import tensorstore
import zarr
from conftest import tree
from hypothesis import given
from hypothesis import strategies as st
from stores import write_store
from test_train import write_discs
from zarr.codecs import Crc32cCodec, ZstdCodec

from cellprep import BuildOptions, Recipe, build_targets, cells_from_labels, open_source, open_store, resolve_overlaps
from cellprep.commands.build_targets.content import make_content
from cellprep.commands.demo import write_dataset
from cellprep.commands.preview.view import Crop, View
from cellprep.commands.verify import verify_store
from cellprep.core.colours import grey_levels, grey_limits
from cellprep.core.rle import runs_from_labels
from cellprep.errors import StoreError, StoreWriteError
from cellprep.formats.annotations.record import Annotations
from cellprep.learn import Bundle, Normalisation, Weights, build_network, predict, train
from cellprep.learn.data.fitting import fit_normalisation
from cellprep.learn.data.loading import train_loader, validation_loader
from cellprep.learn.data.samples import CropSettings
from cellprep.learn.data.windows import Span, cut
from cellprep.learn.networks import NetworkSettings
from cellprep.learn.normalisation import NORMALISATIONS
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.processes import Processes
from cellprep.learn.training.trainer import _mean_loss, _Measured
from cellprep.learn.windowed import WindowedArray
from cellprep.store import ImageContent, documents
from cellprep.store.arrays import array_files, checked_form, read_array, write_array
from cellprep.store.blocks import ArrayForm, Blocks, write_blocks
from cellprep.store.writer import write_image


def make_shards_small(patch):
    patch.setattr(documents, "_CHUNK", 4)
    patch.setattr(documents, "_SHARD", 16)
    documents.array_document.cache_clear()


@pytest.fixture
def small_shards(monkeypatch):
    """Files of 16 x 16 pixels, in chunks of 4 x 4, for images of more than 256."""
    make_shards_small(monkeypatch)
    yield
    documents.array_document.cache_clear()


CASES = [
    ("image", (33, 20), ("y", "x")),
    ("image", (2, 40, 9), ("c", "y", "x")),
    ("energy", (16, 17), ("y", "x")),
    ("energy", (50, 31), ("y", "x")),
    ("uvec", (20, 33, 2), ("y", "x", "c")),
]


def drawn(shape, dtype):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    array[..., :8] = 0  # chunks of nothing but zeros are written, too
    return array


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("name", "shape", "dimensions"), CASES)
def test_zarr_python_and_tensorstore_read_and_write_the_same(small_shards, tmp_path, name, shape, dimensions, dtype):
    array = drawn(shape, dtype)
    (tmp_path / "ours").mkdir()
    size = write_array(tmp_path / "ours" / name, name, array)
    files = [tmp_path / "ours" / file for file in array_files(name, shape)]
    assert size == sum(file.stat().st_size for file in files[1:])
    assert {file.relative_to(tmp_path / "ours").as_posix() for file in files} == {
        f"{name}/{path}" for path in tree(tmp_path / "ours" / name)
    }
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "ours" / name)[...], array)
    opened = tensorstore.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "ours" / name)}}
    ).result()
    np.testing.assert_array_equal(opened.read().result(), array)
    shards, chunks = documents.chunk_shapes(name, shape)
    theirs = zarr.create_array(
        tmp_path / "theirs",
        name=name,
        shape=shape,
        chunks=chunks,
        shards=shards,
        dtype=dtype,
        compressors=[ZstdCodec(level=0), Crc32cCodec()],
        dimension_names=dimensions,
        chunk_key_encoding={"name": "default", "separator": "/" if name == "image" else "."},
        config={"write_empty_chunks": True},
    )
    theirs[...] = array
    document = tmp_path / "theirs" / name / "zarr.json"
    assert (tmp_path / "ours" / name / "zarr.json").read_bytes() == document.read_bytes()
    np.testing.assert_array_equal(read_array(tmp_path / "theirs" / name, name), array)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A store of images in many chunks."""
    folder = tmp_path_factory.mktemp("huge")
    csv = write_dataset(folder / "source", images_per_type=1, shape=(60, 80))
    options = BuildOptions(images=csv.parent / "train", jobs=1, quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        make_shards_small(patch)
        assert not build_targets(open_source(csv), folder / "many.zarr", options).errors()
    documents.array_document.cache_clear()
    return csv, options, folder / "many.zarr"


@pytest.fixture
def stored(built, tmp_path, small_shards):
    """A copy of it, which may be damaged."""
    csv, options, store = built
    return csv, options, shutil.copytree(store, tmp_path / "many.zarr")


def whole(csv, options, tmp_path, monkeypatch):
    """Build the same images in one chunk each."""
    with monkeypatch.context() as patch:
        patch.setattr(documents, "_SHARD", 4096)
        documents.array_document.cache_clear()
        build_targets(open_source(csv), tmp_path / "one.zarr", options)
        images = {
            image.id: {name: image.read(name) for name in image.arrays}
            for image in open_store(tmp_path / "one.zarr").values()
        }
    documents.array_document.cache_clear()
    return images


def test_a_store_of_huge_images(stored, tmp_path, monkeypatch):
    csv, options, store = stored
    expected = whole(csv, options, tmp_path, monkeypatch)
    for image in open_store(store).values():
        assert image.is_huge
        for name in image.arrays:
            np.testing.assert_array_equal(image.read(name), expected[image.id][name])
    assert (store / "spindle-1/energy/c.3.4").is_file()
    for record in open_source(store).images():
        cells = cells_from_labels(expected[record.image_id]["labels"])
        np.testing.assert_array_equal(resolve_overlaps(record.load().runs).labels, cells.labels)
    assert (store / "spindle-1/labels/instances/0/c/3/4").is_file()
    report = verify_store(store, jobs=1, quiet=True)
    assert report.sound, report.errors()
    assert build_targets(open_source(csv), store, options).current == 2
    zarr_image = open_store(store).zarr()["spindle-1"]
    np.testing.assert_array_equal(zarr_image["uvec"][...], expected["spindle-1"]["uvec"])


RECIPES = [
    Recipe(overlap="background", wall_width=5, distance="scipy"),
    Recipe(overlap="later-on-top", wall_width=1, distance="cv2-exact", bins=(1.0, 7.5)),
    Recipe(background_cell=True),
    Recipe(per_instance=True),
    Recipe(overlap="later-on-top", shrink=2),
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_blocks_are_parts_of_the_whole_whatever_the_recipe(small_shards, tmp_path, monkeypatch, recipe):
    csv = write_dataset(tmp_path / "source", images_per_type=1, shape=(60, 80))
    options = BuildOptions(recipe=recipe, jobs=1, quiet=True, only=("spindle-1",))
    build_targets(open_source(csv), tmp_path / "many.zarr", options)
    image = open_store(tmp_path / "many.zarr")["spindle-1"]
    assert image.is_huge
    expected = whole(csv, options, tmp_path, monkeypatch)["spindle-1"]
    assert image.arrays == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(image.read(name), array, err_msg=name)


def test_regions_to_ignore_and_channels_come_by_blocks(small_shards, tmp_path):
    """A label image with pixels to ignore, and an image with three channels."""
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 9, (6, 7)), np.ones((8, 8), int))
    ignore = rng.random(labels.shape) < 0.2
    pixels = rng.integers(0, 255, (3, *labels.shape)).astype(np.uint8)
    runs, _ = runs_from_labels(labels)
    rows = tuple(range(len(runs)))
    annotations = Annotations(runs, rows, ("",) * len(runs), "", ignore=ignore)
    content = make_content(annotations, pixels, Recipe(), threads=2)
    assert content.blocks
    window = (slice(8, 24), slice(3, 40))
    part = content.blocks.compute(*window)
    np.testing.assert_array_equal(part["image"], pixels[(slice(None), *window)])
    np.testing.assert_array_equal(part["ignore"], (ignore & (labels == 0))[window])
    forms = {name: form for name, form in content.arrays.items() if isinstance(form, ArrayForm)}
    assert list(forms) == list(part) == ["image", "labels", "semseg", "distance", "uvec", "energy", "area", "ignore"]
    folder = tmp_path / "image"
    (folder / "labels/instances").mkdir(parents=True)
    write_blocks(folder, forms, content.blocks)
    np.testing.assert_array_equal(read_array(folder / "image", "image"), pixels)
    np.testing.assert_array_equal(read_array(folder / "ignore", "ignore"), ignore & (labels == 0))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_shows_how_far_a_huge_image_is(small_shards, tmp_path, monkeypatch):
    """But not those of several, which would be written on top of each other."""
    csv = write_dataset(tmp_path / "source", images_per_type=1, shape=(60, 80))
    for only, expected in ((("spindle-1",), True), ((), False)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        options = BuildOptions(jobs=1, only=only, rebuild=True)
        assert not build_targets(open_source(csv), tmp_path / "s.zarr", options).errors()
        assert ("spindle-1: " in terminal.getvalue()) == expected
        assert f"{len(only) or 2}/{len(only) or 2}" in terminal.getvalue()


def test_a_run_that_is_over_gets_no_huge_image(small_shards, tmp_path):
    """Of a worker that outlives it: the workspace is gone, and is not made again."""
    runs, _ = runs_from_labels(np.ones((48, 48), int))
    content = make_content(Annotations(runs, (0,), ("",), ""), None, Recipe(), threads=1)
    workspace = tmp_path / "run" / "new"
    workspace.mkdir(parents=True)

    def compute(rows, columns):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return content.blocks.compute(rows, columns)

    with pytest.raises(StoreWriteError, match="No such file"):
        write_image(workspace / "a", ImageContent(content.arrays, {}, None, Blocks(compute, 1)))
    assert not (tmp_path / "run").exists()


def test_a_training_on_huge_images(tmp_path, monkeypatch):
    """Each image is validated in two parts, which are drawn, and are one image in the loss."""
    monkeypatch.setattr(documents, "_CHUNK", 8)
    monkeypatch.setattr(documents, "_SHARD", 32)
    monkeypatch.setattr("cellprep.learn.data.drawing._PART", 40)
    documents.array_document.cache_clear()
    build_targets(open_source(write_discs(tmp_path / "source")), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    settings = {"base_channels": 2, "crop": 32, "epochs": 1, "val_fraction": 0.2, "workers": 0, "quiet": True}
    report = train(tmp_path / "s.zarr", "dn", out=tmp_path / "run", **settings)
    documents.array_document.cache_clear()
    assert (report.train_images, report.val_images) == (4, 1)
    pictures = sorted(path.stem for path in (tmp_path / "run/validation").iterdir())
    assert [name.split(maxsplit=1)[1] for name in pictures] == ["y0 x0", "y0 x40"]
    assert 0 < report.rows[0]["val_loss"] < np.pi**2


def test_the_loss_of_an_image_is_that_of_its_parts_by_their_pixels():
    whole = [_Measured(0, "a", 0.5, {"angle": (9.0, 3.0)}, None), _Measured(1, "b", 0.0, {"angle": (0.0, 0.0)}, None)]
    assert _mean_loss(whole) == 0.25
    parts = [(0.0, 0.0), (2.0, 30.0), (4.0, 10.0)]  # nothing was measured in the first
    huge = [_Measured(2, "c", loss, {"angle": (1.0, pixels)}, None) for loss, pixels in parts]
    assert _mean_loss([*whole, *huge]) == pytest.approx((0.5 + 0.0 + 2.5) / 3)


@given(window=st.tuples(*[st.tuples(st.integers(0, 90), st.integers(0, 90))] * 2))
def test_windows_are_parts_of_the_whole(tmp_path_factory, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_CHUNK", 4)
        patch.setattr(documents, "_SHARD", 16)
        documents.array_document.cache_clear()
        folder = tmp_path_factory.mktemp("windows")
        array = drawn((37, 50, 2), "uint16")
        write_array(folder / "uvec", "uvec", array)
        rows, columns = (slice(min(ends), max(ends)) for ends in window)
        wanted = (slice(*rows.indices(37)[:2]), slice(*columns.indices(50)[:2]), slice(0, 2))
        np.testing.assert_array_equal(read_array(folder / "uvec", "uvec", wanted), array[rows, columns])
    documents.array_document.cache_clear()


def test_a_window_of_an_image(stored):
    image = open_store(stored[2])["spindle-1"]
    for name in image.arrays:
        if name != "cells":
            axis = -3 if image.read(name).ndim == 3 and name != "image" else -2
            part = np.take(np.take(image.read(name), range(5, 21), axis), range(70, 80), axis + 1)
            np.testing.assert_array_equal(image.read(name, (slice(5, 21), slice(70, 99))), part)
    assert image.read("energy", (slice(9, 3), slice(None))).shape == (0, 80)


@pytest.mark.parametrize("shape", [(3, 4), (1, 12), (12, 1)])
def test_windows_at_the_edges_of_a_small_image(tmp_path, shape):
    labels = np.arange(12).reshape(shape)
    image = write_store(tmp_path / "s.zarr", {"a": (labels, None)})["a"]
    for top, bottom, left, right in product((0, 1), (shape[0] - 1, shape[0]), (0, 1), (shape[1] - 1, shape[1])):
        window = np.s_[top:bottom, left:right]
        np.testing.assert_array_equal(image.read("labels", window), labels[window])


def test_only_the_chunks_of_a_window_are_read(stored):
    image = open_store(stored[2])["spindle-1"]
    (image.path / "energy/c.0.0").unlink()
    expected = image.read("labels", (slice(20, 30), slice(20, 30))) > 0
    energy = image.read("energy", (slice(20, 30), slice(20, 30)))
    assert not (energy[~expected] > 0).any()
    with pytest.raises(StoreError, match=r"energy/c\.0\.0 cannot be read"):
        image.read("energy", (slice(10, 30), slice(10, 30)))


def test_missing_files_are_counted_before_any_is_read(stored):
    energy = open_store(stored[2])["spindle-1"].path / "energy"
    shape, _ = checked_form(energy, "energy")
    files = len([*array_files("energy", shape)]) - 1
    (energy / "c.1.1").unlink()
    with pytest.raises(StoreError, match=f"energy is damaged: {files - 1} of {files} chunk files are present"):
        checked_form(energy, "energy")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:100], "it is too short|its checksum does not match"),
        (lambda content: content[:-1] + b"x", "its checksum does not match"),
        (lambda content: b"x" + content[1:], "its checksum does not match"),
        (lambda content: content[:50] + content[60:], "a chunk is missing|its checksum does not match"),
        (lambda content: b"", "it is too short"),
    ],
)
def test_damage_is_found(stored, damage, message):
    csv, options, store = stored
    image = open_store(store)["spindle-1"]
    place = image.path / "energy/c.1.1"
    place.write_bytes(damage(place.read_bytes()))
    with pytest.raises(StoreError, match=rf"energy/c\.1\.1 is damaged: ({message})"):
        image.read("energy")
    report = verify_store(store, jobs=1, quiet=True)
    assert [fault.subject for fault in report.broken["spindle-1"]] == ["energy"]
    build_targets(open_source(csv), store, BuildOptions(images=options.images, jobs=1, quiet=True, rebuild=True))
    assert verify_store(store, jobs=1, quiet=True).sound


@pytest.mark.parametrize("augment", [(), ("flips", "rotation", "zoom", "elastic")])
def test_crops_of_huge_images_are_the_same(tmp_path, monkeypatch, augment):
    csv = write_discs(tmp_path)
    build_targets(open_source(csv), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    expected = list(batches(tmp_path / "s.zarr", augment))
    monkeypatch.setattr(documents, "_CHUNK", 8)
    monkeypatch.setattr(documents, "_SHARD", 32)
    documents.array_document.cache_clear()
    build_targets(open_source(csv), tmp_path / "t.zarr", BuildOptions(jobs=1, quiet=True))
    assert all(image.is_huge for image in open_store(tmp_path / "t.zarr").values())
    found = list(batches(tmp_path / "t.zarr", augment))
    documents.array_document.cache_clear()
    for ours, theirs in zip(found, expected, strict=True):
        for name, value in theirs.items():
            np.testing.assert_allclose(np.asarray(ours[name]), np.asarray(value), rtol=1e-5, atol=1e-6) if (
                name == "image"
            ) else np.testing.assert_array_equal(np.asarray(ours[name]), np.asarray(value))


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("processes", [1, 3])
def test_huge_images_are_validated_part_by_part(stored, tmp_path, monkeypatch, normalisation, processes):
    """Each pixel counts in one part, and is there what it is in the whole image."""
    csv, options, path = stored
    store, ids = open_store(path), list(open_store(path))
    fitted = fit_normalisation(store, ids, normalisation)
    monkeypatch.setattr("cellprep.learn.data.drawing._PART", 32)
    monkeypatch.setattr("cellprep.learn.data.samples._AROUND", 3)
    found = []
    for rank in range(processes):
        monkeypatch.setattr("cellprep.learn.data.loading.processes", lambda rank=rank: Processes(rank, processes))
        loader = validation_loader(store, ids, CropSettings(), fitted, 4, 0)
        assert len(loader) == 12 // processes
        found += loader.epoch(0)
    parts = {f"{part['id'][0]} {part['part'][0]}": part for part in found}
    assert len(parts) == 12
    monkeypatch.undo()
    whole(csv, options, tmp_path, monkeypatch)
    store = open_store(tmp_path / "one.zarr")
    again = fit_normalisation(store, ids, normalisation)
    np.testing.assert_allclose([again.low, again.high], [fitted.low, fitted.high], rtol=1e-12)
    for image in validation_loader(store, ids, CropSettings(), fitted, 4, 0).epoch(0):
        for top, left in product((0, 32), (0, 32, 64)):
            part = parts[f"{image['id'][0]} y{top} x{left}"]
            first = max(top - 3, 0), max(left - 3, 0)
            counts = part["counts"][0].numpy()
            assert np.argwhere(counts)[0].tolist() == [top - first[0], left - first[1]]
            assert counts.sum() == (min(60, top + 32) - top) * (min(80, left + 32) - left)
            assert part["position"][0].tolist() == [*first]
            for name in set(part) - {"id", "part", "counts", "position"}:
                expected = np.moveaxis(image[name][0].numpy()[..., first[0] :, first[1] :], (-2, -1), (0, 1))
                ours = np.moveaxis(part[name][0].numpy(), (-2, -1), (0, 1))
                down, across = np.nonzero(counts)
                np.testing.assert_array_equal(ours[down, across], expected[down, across], err_msg=name)


@pytest.mark.parametrize("crop", [None, Crop(7, 12, 50, 61)])
@pytest.mark.parametrize("most", [15, 1500])
def test_pictures_of_huge_images_show_the_same(stored, tmp_path, monkeypatch, crop, most):
    csv, options, path = stored
    monkeypatch.setattr("cellprep.commands.preview.view._MOST_PIXELS", most)
    monkeypatch.setattr("cellprep.commands.preview.view._PART", 16)
    expected = whole(csv, options, tmp_path, monkeypatch)["spindle-1"]
    view = View(open_store(path)["spindle-1"], crop)
    assert view.image.is_huge
    assert (view.step > 1) == (most == 15)
    top, left, height, width = (crop.top, crop.left, crop.height, crop.width) if crop else (0, 0, 60, 80)
    part = slice(top, top + height, view.step), slice(left, left + width, view.step)
    for name in set(expected) - {"image", "cells"}:
        np.testing.assert_array_equal(view.target(name), expected[name][part], err_msg=name)
    parts = [expected["image"][y : y + 16, x : x + 16] for y in (0, 11, 22, 33, 44) for x in (0, 16, 32, 48, 64)]
    limits = grey_limits(np.vstack(parts))
    np.testing.assert_array_equal(view.grey, grey_levels(expected["image"][part], limits))


def batches(path, augment):
    store = open_store(path)
    ids = list(store)
    settings = CropSettings(crop=32, augment=augment, samples_per_epoch=24)
    return train_loader(store, ids, settings, fit_normalisation(store, ids), 4, 16, 0).epoch(0)


@given(
    rows=st.tuples(st.integers(-70, 70), st.integers(1, 40)), columns=st.tuples(st.integers(-70, 70), st.integers(1, 9))
)
def test_cutting_beyond_the_border(rows, columns):
    array = np.arange(20 * 13).reshape(20, 13)
    padded = np.pad(array, 140, mode="symmetric")
    down, across = (Span(start, start + length) for start, length in (rows, columns))
    expected = padded[down.start + 140 : down.stop + 140, across.start + 140 : across.stop + 140]
    np.testing.assert_array_equal(cut(array, down, across), expected)


def test_huge_images_are_predicted_tile_by_tile(stored, tmp_path, monkeypatch):
    """From pixels and masks of a store, of which no more is read at once than a tile."""
    csv, options, store = stored
    network = build_network(NetworkSettings("wn", base_channels=2, levels=5), seed=1)
    weights = Bundle(Weights(network, Normalisation("dataset", (60,), (190,))))
    settings = PredictionOptions(tile_size=48, device="cpu", quiet=True)
    monkeypatch.setattr("cellprep.learn.prediction.predictor.find_receptive_field", lambda _: 16)
    with monkeypatch.context() as patch:
        patch.setattr(WindowedArray, "__array__", None)  # it is never read whole
        predict([store], tmp_path / "many", weights, data=store, options=settings)
    whole(csv, options, tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(documents, "_SHARD", 4096)
        documents.array_document.cache_clear()
        predict([tmp_path / "one.zarr"], tmp_path / "one", weights, data=tmp_path / "one.zarr", options=settings)
    found = tree(tmp_path / "one")
    assert sum(name.endswith(".tif") for name in found) == 2
    assert tree(tmp_path / "many") == found
