"""Malicious input: files that claim any size, links that lead outside, names with terminal commands."""

import json
import os
import struct
import sys

import numpy as np
import pytest
import tifffile
import zarr
from conftest import tree
from PIL import Image
from stores import discs, noise, write_store

from cellprep import (
    BuildOptions,
    RoundtripOptions,
    build_targets,
    check_source,
    fit_bins,
    open_prediction,
    open_source,
    open_store,
    roundtrip,
)
from cellprep.commands.check import CheckOptions
from cellprep.commands.verify import verify_store
from cellprep.errors import CellprepError, ImageFileError, SourceError, StoreError
from cellprep.formats.images.file import ImageFile
from cellprep.store.chunks import checksum, encode_chunk
from cellprep.store.documents import array_document

HUGE = 1_000_000  # pixels on a side: a terabyte and more
SIZE = "GB of memory, of which there are"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell of its memory this way")


def build(source, out, **options):
    return build_targets(open_source(source), out, BuildOptions(jobs=1, quiet=True, **options))


def test_a_tiff_that_claims_a_terabyte(tmp_path):
    """All of it in one strip, so that the file stays small."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[name].overwrite(HUGE, dtype="I")
    with pytest.raises(ImageFileError, match=f"a.tif.*1000000 x 1000000 values needs 1,000.0 {SIZE}"):
        ImageFile(path).decode()


def test_an_npy_that_claims_a_terabyte(tmp_path):
    header = str({"descr": "<i4", "fortran_order": False, "shape": (HUGE, HUGE)}).encode().ljust(117) + b"\n"
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    report = build(tmp_path / "labels", tmp_path / "s.zarr")
    assert set(report.failures) == {"a"}


def test_an_ome_zarr_that_claims_a_terabyte(tmp_path):
    labels = tmp_path / "a.ome.zarr" / "labels" / "cells"
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    group = zarr.open_group(labels, mode="w")
    group.create_array("0", shape=(HUGE, HUGE), chunks=(1000, 1000), dtype="int32")
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    zarr.open_group(labels.parent, mode="a").attrs["ome"] = {"version": "0.5", "labels": ["cells"]}
    report = build(tmp_path / "a.ome.zarr", tmp_path / "s.zarr")
    assert SIZE in report.failures["a"]


def test_annotations_that_claim_a_terabyte(tmp_path):
    (tmp_path / "a.csv").write_text(f"id,annotation,width,height\na,1 5,{HUGE},{HUGE}\nb,1 5,9,9\n")
    report = build(tmp_path / "a.csv", tmp_path / "s.zarr")
    assert (set(report.failures), report.new) == ({"a"}, 1)
    assert SIZE in report.failures["a"]
    checked = check_source(open_source(tmp_path / "a.csv"), CheckOptions(jobs=1, quiet=True))
    assert any(SIZE in finding.note for finding in checked.findings if finding.image_id == "a")
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": HUGE, "height": HUGE}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9]]}],
        "categories": [{"id": 1, "name": "x"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert set(build(tmp_path / "a.json", tmp_path / "t.zarr").failures) == {"a"}


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "s.zarr", {"a": (discs((20, 30), 4), noise((20, 30)))})


def test_a_store_that_claims_a_terabyte(store):
    folder = store.path / "a" / "energy"
    (folder / "zarr.json").write_bytes(array_document("energy", (HUGE, HUGE), "uint8"))
    with pytest.raises(StoreError, match=f"energy, of shape.*{SIZE}"):
        store["a"].read("energy")


def test_a_chunk_that_holds_more_than_its_array(store):
    (store.path / "a" / "energy" / "c.0.0").write_bytes(encode_chunk(np.zeros((5000, 5000), np.uint8)))
    with pytest.raises(StoreError, match="does not hold an array of shape"):
        store["a"].read("energy")


def test_a_chunk_that_cannot_be_unpacked(store):
    place = store.path / "a" / "energy" / "c.0.0"
    data = bytearray(place.read_bytes()[:-4])
    data[9:] = b"\xff" * (len(data) - 9)  # behind what says how much it holds
    place.write_bytes(bytes(data) + checksum(bytes(data)))
    with pytest.raises(StoreError, match="does not hold an array of shape"):
        store["a"].read("energy")


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 65_791, 65_792, 70_000])
def test_chunks_say_how_much_they_hold(tmp_path, size):
    from cellprep.store.arrays import read_array, write_array

    write_array(tmp_path / "x", "semseg", np.arange(size).reshape(1, size).astype(np.uint8))
    assert read_array(tmp_path / "x", "semseg").shape == (1, size)


def test_a_link_in_the_place_of_a_store_s_own_folder_is_refused(store, tmp_path):
    victim = tmp_path / "mine"
    victim.mkdir()
    (victim / "thesis.txt").write_text("years of work")
    (store.path / ".cellprep").symlink_to(victim)
    with pytest.raises(StoreError, match="is a link"):
        build(store.path, store.path.with_name("x.zarr")) and build(tmp_path / "x.zarr", store.path)
    assert (victim / "thesis.txt").read_text() == "years of work"


def test_a_link_in_the_place_of_an_image_is_left_alone(store, tmp_path):
    (tmp_path / "a.csv").write_text("id,annotation,width,height\na,1 5,9,9\nb,1 5,9,9\n")
    elsewhere = store.path / "a"
    out = tmp_path / "t.zarr"
    build(tmp_path / "a.csv", out)
    before = tree(elsewhere)
    for name in ("a", "b"):
        (out / name).rename(tmp_path / name)
    (out / "a").symlink_to(elsewhere)
    (out / "b").symlink_to(tmp_path / "b")
    report = build(tmp_path / "a.csv", out, rebuild=True)
    moved = {name: problem.endswith("is in the way: move it") for name, problem in report.failures.items()}
    assert moved == {"a": True, "b": True}
    assert tree(elsewhere) == before
    assert (out / "a").is_symlink()


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "..", ".x", "a\x1b[2J", "a\nb", "a\x00", "\u202eb"])
def test_names_that_are_no_names(tmp_path, monkeypatch, cli, name):
    """In whatever format; nothing is written but in the store, and no terminal acts on the message."""
    document = {
        "images": [{"id": 1, "file_name": f"{name}.png", "width": 9, "height": 9}],
        "annotations": [],
        "categories": [],
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text(json.dumps(document))
    (tmp_path / "in" / "a.csv").write_bytes(f'id,annotation,width,height\n"{name}",1 5,9,9\n'.encode())
    monkeypatch.chdir(tmp_path)
    for source in ("a.json", "a.csv"):
        result = cli("build-targets", f"in/{source}", "--out", "out/s.zarr", "--jobs", 1)
        assert isinstance(result.exception, SystemExit | None)
        assert result.output.replace("\n", "").isprintable()
        written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} - {"in", "out"}
        assert all(path.startswith(("in/", "out/s.zarr")) for path in written)


def test_label_images_of_an_ome_zarr_lie_within_it(tmp_path):
    image = tmp_path / "a.ome.zarr"
    zarr.open_group(image / "labels", mode="w").attrs["ome"] = {"version": "0.5", "labels": ["../../secret"]}
    with pytest.raises(CellprepError, match="contains none"):
        open_source(image, "ome-zarr")


def test_predictions_that_claim_a_terabyte(tmp_path):
    (tmp_path / "a.csv").write_text(f"id,annotation,width,height\na,1 5,{HUGE},{HUGE}\n")
    (tmp_path / "p.csv").write_text("id,predicted\na,1 5\n")
    truth = open_source(tmp_path / "a.csv")
    (record,) = open_prediction(tmp_path / "p.csv", truth).images()
    with pytest.raises(CellprepError, match=SIZE):
        record.load((HUGE, HUGE))


def ome_zarr(path, metadata, version=2):
    """Write labels whose array says this of itself, over what zarr-python would write."""
    labels = path / "labels" / "cells"
    group = zarr.open_group(labels, mode="w", zarr_format=3)
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    zarr.open_group(labels.parent, mode="a").attrs["ome"] = {"version": "0.5", "labels": ["cells"]}
    group.create_array("0", data=np.eye(4, dtype=np.int32), chunks=(4, 4))
    file = labels / "0" / "zarr.json"
    if version == 2:
        file.unlink()
        array = zarr.create_array(labels / "0", data=np.eye(4, dtype=np.int32), chunks=(4, 4), zarr_format=2)
        assert array.shape == (4, 4)
        file = labels / "0" / ".zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **metadata}))
    return path


def codec(name, **configuration):
    return {"name": name, "configuration": configuration}


BYTES = codec("bytes", endian="little")
NOT_READ = {
    "a filter of format 2": (2, {"filters": [{"id": "pickle"}]}, "'pickle'"),
    "a compressor of format 2": (2, {"compressor": {"id": "pickle", "protocol": 5}}, "'pickle'"),
    "objects of format 2": (2, {"dtype": "|O", "filters": [{"id": "vlen-array", "dtype": "i4"}]}, "'|O'"),
    "a codec of format 3": (3, {"codecs": [BYTES, codec("numcodecs.pickle")]}, "'numcodecs.pickle'"),
    "a codec by its name alone": (3, {"codecs": ["mine"]}, "'mine'"),
    "within shards": (
        3,
        {"codecs": [codec("sharding_indexed", chunk_shape=[2, 2], codecs=[BYTES, codec("mine")], index_codecs=[])]},
        "'mine'",
    ),
    "of the index of shards": (
        3,
        {
            "codecs": [
                codec("sharding_indexed", chunk_shape=[2, 2], codecs=[BYTES], index_codecs=[BYTES, codec("gzip")])
            ]
        },
        "'gzip'",
    ),
    "texts": (3, {"data_type": "string"}, "'string'"),
    "a type of an extension": (3, {"data_type": {"name": "mine"}}, "'mine'"),
}


@pytest.mark.parametrize(("version", "metadata", "name"), NOT_READ.values(), ids=NOT_READ)
def test_codecs_and_types_are_looked_up_before_they_are_loaded(tmp_path, monkeypatch, version, metadata, name):
    source = open_source(ome_zarr(tmp_path / "a.zarr", metadata, version))

    def loaded(*_, **__):
        raise AssertionError("zarr-python saw it")

    monkeypatch.setattr(zarr, "open_array", loaded)
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert name in report.failures["a"]
    assert "zarr-python saw it" not in report.failures["a"]


GRID = {"name": "regular", "configuration": {"chunk_shape": [1, 1]}}
CLAIMS = {
    "chunks of a pixel": (
        {"shape": [3000, 3000], "chunk_grid": GRID},
        "claims 9,000,000 chunks: at most 1,000,000 are supported",
    ),
    "chunks without files": (
        {"shape": [900, 900], "chunk_grid": GRID},
        "claims 810,000 chunks, but has 2 files",
    ),
    "a chunk of a terabyte": (
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [HUGE, HUGE]}}},
        SIZE,
    ),
    "shapes of no numbers": ({"shape": [4, -4]}, "invalid metadata"),
}


@pytest.mark.parametrize(("metadata", "message"), CLAIMS.values(), ids=CLAIMS)
def test_an_array_of_chunks_that_are_not_there(tmp_path, metadata, message):
    report = build(ome_zarr(tmp_path / "a.zarr", metadata, 3), tmp_path / "s.zarr")
    assert message in report.failures["a"]


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("place", ["energy/c.0.0", "energy/zarr.json", "zarr.json"])
def test_a_pipe_is_not_waited_for(store, tmp_path, place):
    (store.path / "a" / place).unlink()
    os.mkfifo(store.path / "a" / place)
    report = verify_store(store.path, jobs=1, quiet=True)
    assert [*report.broken, *report.unchecked] == ["a"]
    labels = ome_zarr(tmp_path / "b.zarr", {}) / "labels" / "cells" / "0"
    (labels / "0.0").unlink()
    os.mkfifo(labels / "0.0")
    assert "pipe" in build(tmp_path / "b.zarr", tmp_path / "s.zarr").failures["b"]


@pytest.mark.timeout(30)
def test_a_store_that_claims_more_than_its_files(tmp_path):
    """Of an image, in its own metadata, in those of its arrays, and of cells: every command says so at once."""
    (tmp_path / "a.csv").write_text("id,annotation,width,height\na,1 5,9,9\n")
    build(tmp_path / "a.csv", tmp_path / "s.zarr")
    store = open_store(tmp_path / "s.zarr")
    place = store.path / "a" / "zarr.json"
    before = place.read_bytes()
    for change, named in (({"shape": [10**9, 10**9]}, "labels"), ({"cells": 2 * 10**9}, "cells")):
        document = json.loads(before)
        document["attributes"]["cellprep"].update(change)
        place.write_text(json.dumps(document, indent=2))
        report = verify_store(store.path, jobs=1, quiet=True)
        assert named in {fault.subject for fault in report.broken["a"]}
        if named == "labels":
            assert "its metadata say 1000000000 x 1000000000" in build(store.path, tmp_path / "t.zarr").failures["a"]
            checked = check_source(open_source(store.path), CheckOptions(jobs=1, quiet=True))
            assert any("claims" in finding.note for finding in checked.findings)
    for size in ([10**9, 10**9], [9, 10]):
        document = json.loads(before)
        document["attributes"]["cellprep"]["shape"] = size
        place.write_text(json.dumps(document, indent=2))
        options = RoundtripOptions(decoders=("walls",), jobs=1, quiet=True)
        assert (
            "is damaged: its metadata say" in roundtrip(open_store(store.path), options).decoders["walls"].failures["a"]
        )
        with pytest.raises(CellprepError, match=r"'a': .* is damaged: its metadata say"):
            fit_bins(open_store(store.path), levels=2, jobs=1, quiet=True)
    place.write_bytes(before)
    for name in ("labels/instances/0", "energy"):
        array = "labels" if "labels" in name else name
        (store.path / "a" / name / "zarr.json").write_bytes(array_document(array, (10**9, 10**9), "uint8"))
    assert {"labels", "energy"} <= {f.subject for f in verify_store(store.path, jobs=1, quiet=True).broken["a"]}


# Commands that are given a pipe, p or p with an ending, and what they say of it.
PIPES = {
    **{
        f"build-targets p{end} --out o.zarr": "the annotation source p" for end in ("", ".csv", ".json", ".zip", ".tif")
    },
    "build-targets p.gz --format coco --out o.zarr": "the annotation source p.gz",
    "build-targets a.csv --exclude p.csv --out o.zarr": "cannot read p.csv",
    "build-targets a.csv --bins p.json --out o.zarr": "cannot read the bins file p.json",
    "check p.csv": "the annotation source p.csv",
    "evaluate p.csv a.csv": "the annotation source p.csv",
    "evaluate a.csv p.json": "the annotation source p.json",
    "split p": "the annotation source p",
    "report p.json": "the annotation source p.json",
    "predict p.tif": "cannot read p.tif",
    "predict a.png --weights p": "weights p",
}


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("words", PIPES)
def test_a_pipe_given_as_a_file_is_one_line(tmp_path, monkeypatch, cli, write_csv, words):
    monkeypatch.chdir(tmp_path)
    write_csv("a,1 2,6,5,x", name="a.csv")
    Image.fromarray(np.zeros((5, 6), np.uint8)).save("a.png")
    for word in words.split():
        if word.partition(".")[0] == "p":
            os.mkfifo(word)
    result = cli(*words.split())
    assert result.exit_code == 1
    *_, line = result.stderr.splitlines()
    assert PIPES[words] in line
    assert "not a regular file but a pipe or a device" in line


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["zarr.json", ".zattrs"])
def test_a_pipe_in_place_of_the_metadata_of_zarr_is_named(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceError, match=rf"it is Zarr with unreadable {name} \(not a regular file but a pipe"):
        open_source(tmp_path)
