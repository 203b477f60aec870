import json
import sys
import threading

import numpy as np
import pytest
import tensorstore
import zarr
from conftest import tree
from ome_zarr_models.v05 import Image as OMEImage
from ome_zarr_models.v05 import ImageLabel, Labels
from zarr.codecs import Crc32cCodec, ZstdCodec

from cellprep import StoredImage, cells_from_labels, compute_targets, open_store
from cellprep.errors import StoreError
from cellprep.store import ImageContent, StoreWriter, write_image
from cellprep.store.arrays import read_array, write_array
from cellprep.store.chunks import checksum, decode_chunk, encode_chunk

LABELS = np.array([[1, 1, 0, 2], [1, 0, 0, 2], [0, 3, 3, 2]], np.uint16)
ATTRIBUTES = {
    "recipe": "abc",
    "options": {},
    "pixel_size": None,
    "shape": [3, 4],
    "cells": 3,
    "hidden": [],
    "excluded": [],
    "cell_type": "x",
    "categories": ["x"],
    "cells_of_category": [3],
}


def content(image=None, pixel_size=None):
    arrays = {} if image is None else {"image": image}
    arrays |= {"labels": LABELS, "cells": np.arange(9).reshape(3, 3)}
    arrays |= compute_targets(cells_from_labels(LABELS))
    return ImageContent(arrays, ATTRIBUTES, pixel_size)


def write_store(path, **images):
    with StoreWriter(path) as writer:
        writer.set_attributes({"version": "0", "recipe": {}, "source": {}})
        for image_id, image in images.items():
            write_image(writer.workspace / image_id, image)
            writer.commit(image_id)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "float32", "float64", ">u2"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (0, 3)])
@pytest.mark.parametrize("name", ["image", "distance"])
def test_arrays_are_what_zarr_python_writes(tmp_path, dtype, shape, name):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    (tmp_path / "ours").mkdir()
    write_array(tmp_path / "ours" / name, name, array)
    third = {"image": ("c", "y", "x"), "distance": ("y", "x", "c")}[name]
    theirs = zarr.create_array(
        tmp_path / "theirs",
        name=name,
        shape=shape,
        chunks=tuple(max(1, size) for size in shape),
        dtype=array.dtype.newbyteorder("="),
        compressors=[ZstdCodec(level=0), Crc32cCodec()],
        dimension_names=("y", "x") if len(shape) == 2 else third,
        chunk_key_encoding={"name": "default", "separator": "/" if name == "image" else "."},
        config={"write_empty_chunks": True},
    )
    theirs[...] = array
    assert tree(tmp_path / "ours" / name) == tree(tmp_path / "theirs" / name)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "ours" / name)[...], array)
    read = read_array(tmp_path / "theirs" / name, name)
    assert read.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("group", [".", "a", "a/labels", "a/labels/instances"])
def test_groups_are_what_zarr_python_writes(tmp_path, group):
    ours = write_store(tmp_path / "ours", a=content(IMAGES["grey"], 0.5)) / group
    theirs = tmp_path / "theirs"
    zarr.create_group(theirs, attributes=zarr.open_group(ours, mode="r").attrs.asdict())
    assert (ours / "zarr.json").read_bytes() == (theirs / "zarr.json").read_bytes()


@pytest.mark.parametrize("transposed", [False, True])
def test_any_memory_layout_is_written_alike(tmp_path, transposed):
    array = np.arange(12.0).reshape(3, 4)
    write_array(tmp_path / "a", "distance", np.asfortranarray(array) if transposed else array)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[...], array)


IMAGES = {
    "none": None,
    "grey": np.arange(12, dtype=np.uint16).reshape(3, 4),
    "rgb": np.arange(36, dtype=np.uint8).reshape(3, 3, 4),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("pixel_size", [None, 0.65])
def test_zarr_python_reads_a_store(tmp_path, kind, pixel_size):
    image = content(IMAGES[kind], pixel_size)
    group = zarr.open_group(write_store(tmp_path / "s.zarr", a=image), mode="r")
    for name, array in image.arrays.items():
        stored = group["a"]["labels/instances/0" if name == "labels" else name]
        assert stored.dtype == array.dtype
        assert stored.chunks == array.shape
        np.testing.assert_array_equal(stored[...], array)
    assert group["a"]["uvec"].metadata.dimension_names == ("y", "x", "c")
    assert group["a"]["cells"].metadata.dimension_names == ("cell", "field")
    chunks = [path for path in (tmp_path / "s.zarr/a").rglob("*") if path.is_file() and path.name != "zarr.json"]
    size = sum(path.stat().st_size for path in chunks)
    assert group["a"].attrs["cellprep"] == {
        "complete": True,
        "arrays": list(image.arrays),
        "bytes": size,
        **ATTRIBUTES,
        "crc32c": group["a"].attrs["cellprep"]["crc32c"],
    }


def test_tensorstore_reads_a_store(tmp_path):
    image = content(IMAGES["rgb"])
    path = write_store(tmp_path / "s.zarr", a=image) / "a"
    for name, array in image.arrays.items():
        folder = path / ("labels/instances/0" if name == "labels" else name)
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
        read = tensorstore.open(spec).result().read().result()
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("pixel_size", [None, 0.65])
def test_a_store_is_valid_ome_zarr(tmp_path, kind, pixel_size):
    group = zarr.open_group(write_store(tmp_path / "s.zarr", a=content(IMAGES[kind], pixel_size)), mode="r")["a"]
    assert Labels.from_zarr(group["labels"]).attributes.ome.labels == ["instances"]
    label = ImageLabel.from_zarr(group["labels/instances"])
    assert label.attributes.ome.image_label is not None
    multiscales = [label.attributes.ome.multiscales[0]]
    if kind == "none":
        assert "ome" not in group.attrs
        assert label.attributes.ome.image_label.source is None
    else:
        multiscales.append(OMEImage.from_zarr(group).attributes.ome.multiscales[0])
        assert label.attributes.ome.image_label.source.image == "../../"
    for multiscale in multiscales:
        scale = multiscale.datasets[0].coordinateTransformations[0].scale
        assert scale[-2:] == [pixel_size or 1] * 2
        assert [axis.unit for axis in multiscale.axes][-2:] == ["micrometer" if pixel_size else None] * 2


def test_reads_back(tmp_path):
    image = content(IMAGES["rgb"])
    store = open_store(write_store(tmp_path / "s.zarr", b=image, a=content()))
    assert list(store) == ["a", "b"]
    assert len(store) == 2
    assert "a" in store
    for name in ("c", "", ".", "..", "../s.zarr/a", "zarr.json", 5):
        assert name not in store
    assert store["b"].arrays == list(image.arrays)
    assert store["b"].shape == (3, 4)
    for name, array in image.arrays.items():
        np.testing.assert_array_equal(store["b"].read(name), array)
    with pytest.raises(KeyError):
        store["c"]
    with pytest.raises(StoreError, match="has no array 'image': it has labels, cells, semseg"):
        store["a"].read("image")
    np.testing.assert_array_equal(store.zarr()["a/energy"][...], image.arrays["energy"])


def flip(path):
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda array: flip(array / "c.0.0"), "checksum does not match"),
        (lambda array: (array / "c.0.0").write_bytes((array / "c.0.0").read_bytes()[:-5]), "checksum does not match"),
        (lambda array: (array / "c.0.0").write_bytes(b""), "checksum does not match"),
        (lambda array: (array / "c.0.0").unlink(), "cannot be read: No such file"),
        (lambda array: (array / "zarr.json").write_text("{"), "is damaged"),
        (lambda array: (array / "zarr.json").write_text("[]"), "is damaged"),
        (lambda array: (array / "zarr.json").unlink(), "cannot be read"),
        (
            lambda array: (array / "zarr.json").write_text(
                (array / "zarr.json").read_text().replace("      4\n", "      5\n").replace("    4\n", "    5\n")
            ),
            "does not hold an array of shape",
        ),
        (
            lambda array: (array / "zarr.json").write_text(
                (array / "zarr.json").read_text().replace('"level": 0', '"level": 9')
            ),
            "was changed since cellprep wrote it",
        ),
    ],
)
def test_damage_is_an_error_never_a_wrong_target(tmp_path, damage, message):
    image = open_store(write_store(tmp_path / "s.zarr", a=content()))["a"]
    damage(image.path / "distance")
    with pytest.raises(StoreError, match=message):
        image.read("distance")
    image.read("energy")


def test_what_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        open_store(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="is not a cellprep store"):
        open_store(tmp_path)
    zarr.create_group(tmp_path / "foreign.zarr")
    with pytest.raises(StoreError, match="is not a cellprep store"):
        open_store(tmp_path / "foreign.zarr")
    future = write_store(tmp_path / "future.zarr")
    (future / "zarr.json").write_text((future / "zarr.json").read_text().replace('on": 1', 'on": 2'))
    with pytest.raises(StoreError, match="has schema 2: this version of cellprep knows schema 1"):
        open_store(future)


def test_an_incomplete_image_is_absent(tmp_path):
    store = open_store(write_store(tmp_path / "s.zarr", a=content()))
    document = json.loads((store.path / "a/zarr.json").read_text())
    document["attributes"]["cellprep"]["complete"] = False
    (store.path / "a/zarr.json").write_text(json.dumps(document))
    assert list(store) == []
    with pytest.raises(StoreError, match="is not a complete image"):
        StoredImage(store.path / "a")


def test_writing_leaves_nothing_but_the_store(tmp_path):
    path = write_store(tmp_path / "deep" / "s.zarr", a=content())
    assert sorted(entry.name for entry in path.iterdir()) == ["a", "zarr.json"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["deep"]


@pytest.mark.parametrize("image_id", ["..", ".", "", "../elsewhere", "zarr.json"])
def test_removing_stays_within_the_store(tmp_path, image_id):
    (tmp_path / "elsewhere").mkdir()
    path = write_store(tmp_path / "s.zarr", a=content())
    with StoreWriter(path) as writer:
        assert not writer.remove(image_id)
    assert (tmp_path / "elsewhere").is_dir()
    assert list(open_store(path)) == ["a"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges names")
def test_an_image_that_is_replaced_is_never_absent(tmp_path):
    store = open_store(write_store(tmp_path / "s.zarr", a=content()))
    missed, over = [], threading.Event()

    def look():
        while not over.is_set():
            if "a" not in store:
                missed.append("a")

    reader = threading.Thread(target=look)
    with StoreWriter(store.path) as writer:
        reader.start()
        for _ in range(50):
            write_image(writer.workspace / "a", content(IMAGES["grey"]))
            assert writer.commit("a")
        over.set()
        reader.join()
    assert not missed
    assert store["a"].arrays[0] == "image"


def test_a_chunk_that_ends_early_is_damaged_wherever_it_ends(tmp_path):
    """The checksum is right, as for a file that another program wrote."""
    frame = encode_chunk(LABELS)[:-4]
    for length in range(len(frame)):
        content = frame[:length] + checksum(frame[:length])
        with pytest.raises(StoreError, match="does not hold an array of shape"):
            decode_chunk(content, LABELS.shape, LABELS.dtype, tmp_path)
