"""Input that chooses its reader, or claims more than it contains: each ends with one line."""

import ast
import gzip
import json
import os
import struct
import sys
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from stores import discs, write_store
from zarr.codecs import BytesCodec, GzipCodec, ShardingCodec, ZstdCodec

import cellprep
from cellprep import BuildOptions, build_targets, check_source, describe_store, open_source, open_store
from cellprep.commands.check import CheckOptions
from cellprep.commands.preview import preview_store
from cellprep.commands.report import report_training
from cellprep.commands.report.drawing import draw_file
from cellprep.errors import CellprepError, OutputError, SourceError, StoreError
from cellprep.formats.ome_zarr.array import read_zarr
from cellprep.formats.ome_zarr.codecs import COMPRESSORS
from cellprep.learn.data.training_set import TrainingSet

if sys.platform != "win32":
    from fuzz.flips import flips, make_store, unfound

PACKAGE = Path(cellprep.__file__).parent

# By the end of a call's name the argument that it must have.
GUARDED = {
    "np.load": "allow_pickle",
    "format.read_array": "allow_pickle",
    "torch.load": "weights_only",
    "Image.open": "formats",
}
NEVER = (
    *("pickle.load", "pickle.loads", "eval", "yaml.load", "joblib.load", "read_pickle", "imageio.imread", "io.imread"),
    *("cv2.imread", "cv2.VideoCapture", "np.fromfile", "fsspec.open", "os.system"),
)


def calls():
    """Each call in the package, by its name as it is written."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func), {keyword.arg for keyword in node.keywords}


def test_no_call_lets_input_choose_what_is_run():
    found = list(calls())
    assert {name for _, name, _ in found} >= {"torch.load", "Image.open"}
    for file, name, arguments in found:
        own = [never for never in NEVER if name == never or ("." in never and name.endswith(f".{never}"))]
        assert not own, f"{file} calls {name}"
        for guarded, argument in GUARDED.items():
            if name == guarded or name.endswith(f".{guarded}"):
                assert argument in arguments, f"{file} calls {name} without {argument}"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + rows + chunk(b"IEND", b"")


BOMB = zlib.compress(b"a" * 50_000_000)
PICTURES = {
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
    "ICNS": (b"icns" + struct.pack(">I", 100) + b"ic07" * 20, "not a PNG"),
    "pixels": (png(50_000, 50_000), "more than 178,956,970 pixels"),
    "text": (png(10, 90, chunk(b"zTXt", b"k\0\0" + BOMB)), "it is damaged"),
    "colours": (png(10, 90, chunk(b"iCCP", b"k\0\0" + BOMB)), "it is damaged"),
    "end": (png(10, 90)[:-20], "it is damaged"),
}


@pytest.fixture
def run(tmp_path):
    """Return the folder of a training, as far as its page needs it."""
    folder = tmp_path / "run"
    (folder / "validation").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"options": {"network": "dn"}}))
    (folder / "metrics.csv").write_text("epoch,rate,seconds,train_loss,val_loss\n1,1e-3,2,0.5,0.6\n")
    return folder


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("content", "problem"), PICTURES.values(), ids=PICTURES)
def test_a_page_takes_pictures_of_known_formats_and_sizes(run, tmp_path, content, problem):
    (run / "validation" / "a.png").write_bytes(content)
    with pytest.raises(OutputError, match=f"the picture .*a.png.*{problem}"):
        report_training(run, tmp_path / "page.html")


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("place", ["validation/a.png", "metrics.csv"])
def test_a_page_waits_for_no_pipe(run, tmp_path, place):
    (run / place).unlink(missing_ok=True)
    os.mkfifo(run / place)
    with pytest.raises(CellprepError, match="pipe or"):
        report_training(run, tmp_path / "page.html")


def test_endless_fields_of_metrics(run, tmp_path):
    (run / "metrics.csv").write_text(f"epoch,rate,seconds,train_loss,val_loss\n1,{'1' * 200_000},2,0.5,0.6\n")
    with pytest.raises(CellprepError, match="is damaged: "):
        report_training(run, tmp_path / "page.html")


def test_pictures_of_a_page_are_made_smaller(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((10, 3200, 3), (0, 0, 200), np.uint8))
    drawn = draw_file(tmp_path / "a.png")
    assert (drawn.width, drawn.height) == (1600, 5)


RANDOM = np.random.default_rng(0).bytes(3000)

BINS = {
    "a number": 5,
    "texts": ["1", "2"],
    "NaN": [float("nan")],
    "infinite": [1.0, float("inf")],
    "unordered": [2.0, 1.0],
    "none": [],
    "nested": [[1.0]],
}


@pytest.mark.parametrize("bins", BINS.values(), ids=BINS)
def test_bins_of_a_store_that_are_none(tmp_path, bins):
    """Each reader names the image, and what is wrong."""
    (tmp_path / "a.csv").write_text("id,annotation,width,height\na,1 5 10 5,9,9\n")
    build_targets(open_source(tmp_path / "a.csv"), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    store = open_store(tmp_path / "s.zarr")
    file = store.path / "a" / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["cellprep"]["options"]["bins"] = bins
    file.write_text(json.dumps(document, indent=2))
    if not all(map(np.isfinite, np.ravel(bins).astype(float))):  # is no JSON that cellprep writes: the image is damaged
        assert "a" not in store
        return
    readers = (
        lambda: store["a"].recipe,
        lambda: TrainingSet(store, ["a"], 0),
        lambda: preview_store(store, tmp_path / "p.png"),
        lambda: next(open_source(store.path).images()).load(),
    )
    for read in readers:
        with pytest.raises(StoreError, match=r"`options` are not a recipe|its recipe is damaged"):
            read()


def test_what_a_store_says_is_checked_when_it_is_asked_for(tmp_path):
    store = write_store(tmp_path / "s.zarr", {"a": (discs((20, 30), 4), None)})
    file = store.path / "a" / "zarr.json"
    document = json.loads(file.read_text())
    for key, value in {"cell_type": 5, "categories": 5, "cells": "x", "pixel_size": -1, "shape": [4]}.items():
        changed = json.loads(json.dumps(document))
        changed["attributes"]["cellprep"][key] = value
        file.write_text(json.dumps(changed))
        with pytest.raises(StoreError, match=f"a is damaged: `{key}` is"):
            store["a"].attributes[key]
        assert describe_store(store.path, quiet=True).damaged == 1
        report = check_source(open_source(store.path), CheckOptions(jobs=1, quiet=True))
        assert not any("unexpected" in finding.note for finding in report.findings)


def test_names_of_a_million_letters(tmp_path):
    (tmp_path / "a.csv").write_text(f"id,annotation,width,height,cell_type\na,1 5,9,9,{'y' * 10**6}\n")
    (record,) = open_source(tmp_path / "a.csv").images()
    with pytest.raises(CellprepError, match="has 1,000,000 characters: 200 at most"):
        record.load()
    (tmp_path / "a.csv").write_text("id,annotation,width,height\na,1 5,900000000,1\n")
    (record,) = open_source(tmp_path / "a.csv").images()
    with pytest.raises(CellprepError, match="longer than 1,000,000 pixels"):
        record.load()


FOUR = 20_000  # pixels on a side: 4 * 10^8 in the image


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("shape", "counts", "crowds", "message"),
    [
        ((1, 900_000_000), [[0, 900_000_000]], 1, "its image, 1 x 900000000 pixels, is longer than 1,000,000 pixels"),
        ((900, 1_000_000), [[9, 9, 899_999_982], [0, 900_000_000]], 0, "its annotation 1 has 900,000,000 pixels: 100,"),
        (
            (FOUR, FOUR),
            [[0, 1, FOUR**2 - 2, 1]] * 9,
            0,
            "9 annotations have bounding boxes of 3,600,000,000 pixels in total",
        ),
    ],
)
def test_annotations_of_a_few_numbers_that_claim_hundreds_of_millions_of_pixels(
    tmp_path, shape, counts, crowds, message
):
    height, width = shape
    annotations = [
        {"id": k, "image_id": 1, "category_id": 1, "iscrowd": crowds, "segmentation": {"size": shape, "counts": runs}}
        for k, runs in enumerate([[0, 1, height * width - 1]] * crowds + counts)
    ]
    annotations[0]["iscrowd"] = 0
    document = {"images": [{"id": 1, "file_name": "a.png", "height": height, "width": width}]}
    document |= {"categories": [{"id": 1, "name": "cell"}], "annotations": annotations}
    (tmp_path / "a.json").write_text(json.dumps(document))
    source = open_source(tmp_path / "a.json")
    (finding,) = check_source(source, CheckOptions(jobs=1, quiet=True)).findings
    assert (finding.image_id, finding.rule) == ("a", "image-fault")
    assert message in finding.note
    assert message in build_targets(source, tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True)).failures["a"]


def test_errors_are_one_line_whatever_names_are_in_them():
    assert str(CellprepError("a\nb\x1b[2J\u202e")) == "a\\nb\\x1b[2J\\u202e"


ZEROS = bytes(100_000_000)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", COMPRESSORS)
def test_chunks_that_are_cut_off_are_refused(name):
    codec = numcodecs.get_codec({"id": name})
    packed = bytes(codec.encode(RANDOM))
    assert COMPRESSORS[name](packed, len(RANDOM)) == RANDOM
    for lost in (1, 4, 12, len(packed) // 2):
        with pytest.raises(Exception):  # noqa: B017 - each library has errors of its own
            COMPRESSORS[name](packed[:-lost], len(RANDOM))


@pytest.mark.parametrize("name", COMPRESSORS)
def test_chunks_decode_to_no_more_than_their_array_holds(tmp_path, name):
    codec = numcodecs.get_codec({"id": name})
    assert COMPRESSORS[name](bytes(codec.encode(ZEROS[:500])), 1000) == ZEROS[:500]
    array = zarr.create_array(
        tmp_path / "0", data=np.eye(4, dtype="u1"), chunks=(4, 4), compressors=codec, zarr_format=2
    )
    assert np.array_equal(read_zarr(tmp_path / "0"), array[...])
    (tmp_path / "0" / "0.0").write_bytes(codec.encode(ZEROS))
    with pytest.raises(Exception, match=r"its array allows at most|too small"):
        read_zarr(tmp_path / "0")


@pytest.mark.parametrize("compressor", [GzipCodec(), ZstdCodec()])
def test_chunks_within_shards_decode_to_no_more(tmp_path, compressor):
    inner = ShardingCodec(chunk_shape=(2, 2), codecs=[BytesCodec(), compressor])
    values = np.arange(16, dtype="u1").reshape(4, 4)
    array = zarr.create_array(
        tmp_path / "0", shape=(4, 4), dtype="u1", chunks=(4, 4), serializer=inner, compressors=None
    )
    array[...] = values
    assert np.array_equal(read_zarr(tmp_path / "0"), values)
    packed = gzip.compress(ZEROS) if isinstance(compressor, GzipCodec) else bytes(numcodecs.Zstd().encode(ZEROS))
    index = struct.pack("<QQ", 0, len(packed)) + b"\xff" * 48
    import google_crc32c

    checksum = google_crc32c.value(index).to_bytes(4, "little")
    (tmp_path / "0" / "c" / "0" / "0").write_bytes(packed + index + checksum)
    with pytest.raises(Exception, match=r"its array allows at most|too small"):
        read_zarr(tmp_path / "0")


def test_a_chunk_of_blosc_that_claims_to_be_longer_than_it_is(tmp_path):
    """Blosc would read on behind its end."""
    packed = bytearray(numcodecs.Blosc().encode(np.arange(16, dtype="u1")))
    packed[12:16] = (10**9).to_bytes(4, "little")
    with pytest.raises(ValueError, match="is damaged: it has"):
        COMPRESSORS["blosc"](bytes(packed), 1000)


@pytest.mark.skipif(sys.platform == "win32", reason="no fuzzing there")
def test_every_changed_byte_is_found(tmp_path):
    """Of a sample; `python -m fuzz.flips` changes all."""
    store = make_store(tmp_path)
    sample = list(flips(store))[::997]
    assert len(sample) > 20
    assert not [change for change in sample if unfound(store, *change)]


@pytest.mark.parametrize("head", [b"", b"id,annotation,width,height\na,"], ids=["header", "row"])
def test_a_line_of_a_table_has_an_end(tmp_path, monkeypatch, head):
    """In gzip a few bytes may hold gigabytes."""
    monkeypatch.setattr("cellprep.formats.tables._LONGEST_LINE", 10**6)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(head + b"1" * 2_000_000))
    with pytest.raises(SourceError, match="a line has more than 1,000,000 characters"):
        open_source(tmp_path / "a.csv.gz")
