"""The plugin of napari: what it reads and predicts, which needs no display."""

import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from stores import write_store

import cellprep
from cellprep.errors import StoreError
from cellprep.workflows.napari import get_reader, predict_planes, sample_cells, sample_nuclei

ROOT = Path(__file__).parent.parent


@pytest.fixture
def store(tmp_path):
    """Two images of different sizes, the second with three channels."""
    rng = np.random.default_rng(0)
    labels = np.zeros((12, 10), int)
    labels[2:7, 1:6], labels[2:7, 6:9] = 1, 2
    grey = rng.integers(0, 255, (12, 10), dtype=np.uint8)
    colour = rng.integers(0, 999, (3, 8, 14), dtype=np.uint16)
    images = {"a": (labels, grey), "b": (np.pad(labels[:8], ((0, 0), (0, 4))), colour)}
    return write_store(tmp_path / "data.zarr", images)


def layers_of(path):
    return {settings["name"]: (data, settings, kind) for data, settings, kind in get_reader(str(path))(str(path))}


def test_a_store_is_a_stack_of_all_its_images(store):
    layers = layers_of(store.path)
    assert [*layers][:3] == ["image, channel 0", "image, channel 1", "image, channel 2"]
    assert [*layers][3:] == ["distance", "uvec", "energy", "area", "semseg", "labels", "id"]
    for place, image in enumerate(store.values()):
        height, width = image.shape
        for shown in ("labels", "distance", "energy", "area"):
            plane = np.asarray(layers[shown][0][place])
            np.testing.assert_array_equal(plane[:height, :width], image[shown])
            assert plane.shape == (12, 14)
            assert plane[height:].max(initial=0) == plane[:, width:].max(initial=0) == 0
        pixels = [np.asarray(layers[f"image, channel {number}"][0][place])[:height, :width] for number in range(3)]
        whole = image["image"]
        np.testing.assert_array_equal(pixels, whole if whole.ndim == 3 else [whole, 0 * whole, 0 * whole])
        np.testing.assert_array_equal(
            np.asarray(layers["semseg"][0][place])[:height, :width] == 2, image["semseg"][..., 1] == 1
        )
    assert layers["uvec"][0].shape == (2, 12, 14, 3)
    assert layers["id"][1]["features"] == {"id": ["a", "b"]}
    assert {settings["scale"] for _, settings, _ in layers.values()} == {(1.0, 1.0, 1.0)}


def test_an_image_of_a_store_is_opened_alone(store):
    layers = layers_of(store.path / "a")
    assert layers["uvec"][2] == "vectors"
    np.testing.assert_array_equal(layers["image"][0], store["a"]["image"])


def test_what_is_no_store_is_left_to_others(store, tmp_path):
    assert get_reader(str(tmp_path)) is None
    assert get_reader([str(store.path)]) is None
    (store.path / "zarr.json").write_text('{"attributes": {"cellprep": {"schema_version": 9}}}')
    with pytest.raises(StoreError, match="has schema 9"):
        layers_of(store.path)


def test_cells_of_each_plane_are_predicted_without_its_padding():
    pytest.importorskip("torch")
    from cellprep.learn import PredictionOptions, segment

    ((nuclei, _, kind),) = sample_nuclei()
    assert (kind, nuclei.shape) == ("image", (3, 260, 352))
    shape = (120, 150)
    padded = np.pad(nuclei[:1, : shape[0], : shape[1]], ((0, 0), (0, 9), (0, 30)))
    (labels,) = predict_planes(padded, "nuclei", PredictionOptions(quiet=True), shapes=[shape])
    np.testing.assert_array_equal(labels[:120, :150], segment(nuclei[0, :120, :150], "nuclei"))
    assert labels.shape == padded.shape[1:]
    assert labels.max() > 5


@pytest.mark.filterwarnings("default")  # what other libraries warn of is theirs
def test_the_manifest_is_valid_and_names_what_is_there():
    npe2 = pytest.importorskip("npe2", reason="npe2 is not installed, which comes with napari")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, name = project["entry-points"]["napari.manifest"]["cellprep"].split(":")
    file = Path(import_module(module).__file__).parent / name
    manifest = npe2.PluginManifest.from_file(file)
    manifest.validate_imports()
    assert manifest.name == project["name"] == cellprep.__name__


@pytest.mark.filterwarnings("default")
def test_napari_takes_the_layers(store):
    layer = pytest.importorskip("napari.layers", reason="napari is not installed").Layer
    for data in [*layers_of(store.path).values(), *layers_of(store.path / "a").values(), *sample_cells()]:
        assert layer.create(*data).name == data[1]["name"]
