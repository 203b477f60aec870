"""The targets: good inputs, written by the project itself, and functions that read damaged ones."""

import base64
import io
import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from cellprep import (
    BuildOptions,
    build_targets,
    convert,
    encode_rle,
    export_labels,
    open_prediction,
    open_source,
    open_store,
    parse_rle,
    read_bins,
)
from cellprep.commands.report.training import report_training
from cellprep.commands.verify import verify_store
from cellprep.errors import CellprepError
from cellprep.formats.annotations.exclusions import read_exclusions
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.imagej.regions import read_regions
from cellprep.formats.images.file import ImageFile, images_of_scenes
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.label_images.file import LabelFileImage
from fuzz.metadata import damaged_file, files_of, foreign_arrays, guard_anew, read_all_of_store, read_foreign
from fuzz.microscopes import write_czi, write_lif, write_nd2
from fuzz.mutation import mutate, mutate_json

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """Something that reads input.

    Attributes
    ----------
    seeds
        Makes good inputs in a folder.
    feed
        Reads damaged input, given a folder to write to: it returns, or raises CellprepError.
    damage
        Damages good input.
    """

    seeds: Callable[[Path], list[bytes]]
    feed: Callable[[bytes, Path], object]
    damage: Callable[[bytes, random.Random], bytes] = mutate


def _masks() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([np.kron(rng.random((4, 5)) < 0.4, np.ones((4, 5), int)) for _ in range(4)], bool)


def _csv(_: Path) -> list[bytes]:
    rows = [f"i{k % 2},{text},25,16,round" for k, text in enumerate(encode_rle(_masks()))]
    dsb = [f"i0,{text}" for text in encode_rle(_masks(), "column")]
    return [
        "\n".join(["id,annotation,width,height,cell_type", *rows]).encode(),
        "\n".join(["ImageId,EncodedPixels", *dsb]).encode(),
    ]


def _read_source(name: str, format: str = "auto") -> Callable[[bytes, Path], object]:  # noqa: A002
    def feed(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        with suppress(CellprepError):
            open_source(path)  # recognises the format
        records = [found for found in open_source(path, format).images() if not isinstance(found, FaultyImage)]
        return [(record.faults((16, 25)), record.load((16, 25))) for record in records]

    return feed


def _coco(folder: Path) -> list[bytes]:
    store = _store(folder)
    export_labels(open_store(store), "coco", folder / "c.json", jobs=1, quiet=True)
    document = json.loads((folder / "c.json").read_bytes())
    polygons = json.loads(json.dumps(document))
    for annotation in polygons["annotations"]:
        annotation["segmentation"] = [[1, 1, 9, 1, 9, 9.5, 1, 9]]
    return [json.dumps(document).encode(), json.dumps(polygons).encode()]


def _converted(to: str) -> Callable[[Path], list[bytes]]:
    def make(folder: Path) -> list[bytes]:
        (folder / "seed.csv").write_bytes(_csv(folder)[0])
        convert(open_source(folder / "seed.csv"), to, folder / "made", jobs=1, quiet=True)
        return [file.read_bytes() for file in sorted((folder / "made").iterdir())]

    return make


def _regions(folder: Path) -> list[bytes]:
    _converted("imagej-roi")(folder)
    return [region for file in sorted((folder / "made").iterdir()) for region in read_regions(file)]


def _geojson(_: Path) -> list[bytes]:
    ring = [[1, 1], [9, 1], [9, 9.5], [1, 9], [1, 1]]
    hole = [[2, 2], [2, 3], [3, 3], [2, 2]]
    kinds = {"Polygon": [ring, hole], "MultiPolygon": [[ring], [hole]]}
    features = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": coordinates},
            "properties": {"objectType": "annotation", "name": str(k), "classification": {"name": "round"}},
        }
        for k, (kind, coordinates) in enumerate(kinds.items(), start=1)
    ]
    return [json.dumps(made).encode() for made in ({"type": "FeatureCollection", "features": features}, features)]


def _labelme(_: Path) -> list[bytes]:
    mask = io.BytesIO()
    Image.fromarray(_masks()[0]).save(mask, "PNG")
    shapes = [
        {"shape_type": "polygon", "points": [[1, 1], [9, 1], [9, 9.5]], "label": "round", "group_id": 1},
        {"shape_type": "rectangle", "points": [[1, 1], [9, 9]], "label": "round", "group_id": 1},
        {"shape_type": "circle", "points": [[5, 5], [9, 5]], "label": "long", "group_id": None},
        {"shape_type": "mask", "points": [[0, 0], [24, 15]], "mask": base64.b64encode(mask.getvalue()).decode()},
    ]
    document = {"version": "5.4.1", "shapes": shapes, "imagePath": "a.png", "imageHeight": 16, "imageWidth": 25}
    return [json.dumps(document).encode()]


def _yolo(_: Path) -> list[bytes]:
    return [b"0 0.1 0.1 0.5 0.1 0.5 0.6\n1 0 0 1 0 1 1 0 1\n"]


def _cvat(_: Path) -> list[bytes]:
    shapes = (
        '<polygon label="a" points="1.00,1.00;9.00,1.00;9.00,9.50" z_order="0" group_id="1"/>'
        '<box label="a" xtl="1" ytl="1" xbr="5" ybr="5" rotation="30" z_order="1" group_id="1"/>'
        '<mask label="b" rle="1, 3, 2" left="3" top="4" width="3" height="2"/><ellipse cx="5" cy="5" rx="2" ry="3"/>'
    )
    image = f'<image id="0" name="a.png" width="25" height="16">{shapes}</image>'
    return [f'<?xml version="1.0"?><annotations><version>1.1</version>{image}</annotations>'.encode()]


def _label_studio(_: Path) -> list[bytes]:
    size = {"original_width": 25, "original_height": 16, "image_rotation": 0}
    values = {
        "polygon": {"points": [[4, 4], [40, 4], [40, 60]]},
        "rectangle": {"x": 4, "y": 4, "width": 40, "height": 50, "rotation": 20},
        "ellipse": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 20},
        "brush": {"format": "rle", "rle": [0, 0, 6, 64, 57, 27, 255, 1, 143, 255, 224, 149, 224, 0]},
    }
    results = [
        {**size, "type": f"{kind}labels", "id": str(k), "value": {**value, f"{kind}labels": ["round"]}}
        for k, (kind, value) in enumerate(values.items())
    ]
    made = []
    for found in (results, results[3:]):
        annotation = {"id": 1, "result": found, "was_cancelled": False, "ground_truth": False}
        made.append(json.dumps([{"id": 1, "data": {"image": "/data/a.png"}, "annotations": [annotation]}]).encode())
    return made


def _via(_: Path) -> list[bytes]:
    shapes = [
        {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]},
        {"name": "rect", "x": 1, "y": 1, "width": 5, "height": 5},
        {"name": "circle", "cx": 5, "cy": 5, "r": 3},
        {"name": "ellipse", "cx": 5, "cy": 5, "rx": 3, "ry": 2, "theta": 0.5},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {"type": "round"}} for shape in shapes]
    images = {"a.png9": {"filename": "a.png", "size": 9, "regions": regions}}
    attributes = {"region": {"type": {"type": "dropdown", "options": {}}}}
    return [
        json.dumps({"_via_img_metadata": images, "_via_attributes": attributes}).encode(),
        json.dumps(images).encode(),
    ]


def _via_csv(_: Path) -> list[bytes]:
    head = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    shape = '"{""name"":""rect"",""x"":1,""y"":1,""width"":5,""height"":5}"'
    return [f'{head}\na.png,9,"{{}}",1,0,{shape},"{{""type"":""round""}}"\n'.encode()]


#: For the readers of drawings: good files, and their names.
_DRAWINGS: dict[str, tuple[Callable[[Path], list[bytes]], str]] = {
    "geojson": (_geojson, "fed.geojson"),
    "labelme": (_labelme, "fed.json"),
    "yolo": (_yolo, "fed.txt"),
    "cvat": (_cvat, "fed.xml"),
    "label-studio": (_label_studio, "fed.json"),
    "via": (_via, "fed.json"),
    "via-csv": (_via_csv, "fed.csv"),
}


def _mutate_document(content: bytes, rng: random.Random) -> bytes:
    """Damage a document: its values if it is JSON, otherwise its bytes."""
    return mutate_json(b"\0" + content, rng)[1:]


def _store(folder: Path) -> Path:
    (folder / "seed.csv").write_bytes(_csv(folder)[0])
    build_targets(open_source(folder / "seed.csv"), folder / "seed.zarr", BuildOptions(jobs=1, quiet=True))
    return folder / "seed.zarr"


def _read_store(store: Path) -> object:
    for image in open_store(store).values():
        for array in image.arrays:
            with suppress(CellprepError):
                image.read(array)
    return verify_store(store, jobs=1, quiet=True).errors()


def _ome_zarr(folder: Path) -> list[bytes]:
    """Return the files of an image in a store, which is OME-Zarr."""
    (_store(folder) / "i0").rename(folder / "ome.zarr")
    return files_of(folder / "ome.zarr")


def _read_folder(path: Path) -> object:
    source = open_source(path, "ome-zarr")
    records = [record for record in source.images() if not isinstance(record, FaultyImage)]
    return [(record.load((16, 25)), record.pixels and record.pixels.decode()) for record in records]


def _label_files(folder: Path) -> list[bytes]:
    labels = np.kron(np.arange(6).reshape(2, 3), np.ones((8, 8), int)).astype(np.uint16)
    buffer = io.BytesIO()
    np.save(buffer, labels)
    png, palette = io.BytesIO(), io.BytesIO()
    Image.fromarray(labels).save(png, "PNG")
    Image.fromarray(labels.astype(np.uint8)).convert("P").save(palette, "PNG")
    return [made.getvalue() for made in (buffer, png, palette)]


def _read_labels(content: bytes, folder: Path) -> object:
    path = folder / ("i.png" if content[:1] == b"\x89" else "i.npy")
    path.write_bytes(content)
    return LabelFileImage(source="labels", image_id="i", path=path).load()


def _run(folder: Path) -> list[bytes]:
    """Write the output of a training, as far as its page needs it."""
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text(json.dumps({"options": {"network": "dn", "epochs": 2, "seed": 0}}))
    (folder / "run" / "metrics.csv").write_text("epoch,rate,seconds,train_loss,val_loss\n1,1e-3,2,0.5,0.6\n")
    return files_of(folder / "run")


def _read_run(run: Path) -> object:
    return report_training(run, run.with_suffix(".html"))


def _pictures(_: Path) -> list[bytes]:
    pixels = (np.arange(16 * 25).reshape(16, 25) % 251).astype(np.uint8)
    made = []
    made.append(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True))
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        made.append(buffer.getvalue())
    for options in ({}, {"compression": "zlib"}, {"tile": (16, 16)}):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels.astype(np.uint16), **options)
        made.append(buffer.getvalue())
    return made


def _read_picture(content: bytes, folder: Path) -> object:
    suffix = {b"\x89": ".png", b"\xff": ".jpg", b"\0": ".jp2"}.get(content[:1], ".tif")
    path = folder / f"i{suffix}"
    path.write_bytes(content)
    return ImageFile(path).decode()


def _microscope(write: Callable[[Path], None], name: str) -> Callable[[Path], list[bytes]]:
    def make(folder: Path) -> list[bytes]:
        write(folder / name)
        return [(folder / name).read_bytes()]

    return make


_STACK = (np.arange(2 * 1 * 2 * 2 * 5 * 6) % 251).astype(np.uint16).reshape(2, 1, 2, 2, 5, 6)  # scene, T, Z, C, Y, X

#: For the formats of microscopes: good files, and their names.
_MICROSCOPES: dict[str, tuple[Callable[[Path], None], str]] = {
    "nd2": (lambda path: write_nd2(path, _STACK, ["a", "b"], ["one", "two"], 0.5), "fed.nd2"),
    "lif": (lambda path: write_lif(path, {"one": _STACK[0], "two": _STACK[1]}, 0.5), "fed.lif"),
    "czi": (lambda path: write_czi(path, _STACK, ["a", "b"], 0.5), "fed.czi"),
    "czi in zstd": (lambda path: write_czi(path, _STACK, ["a", "b"], compression="zstd1:ExplicitLevel=2"), "fed.czi"),
}


def _read_scenes(path: Path) -> object:
    with suppress(CellprepError):
        images_of_scenes(ImageFile(path))
    with suppress(CellprepError):
        ImageFile(path).sides()
    return [ImageFile(path, planes=StackOptions(scene=scene, z="max", time=0)).decode() for scene in (0, 1)]


def _weights(folder: Path) -> list[bytes]:
    from cellprep.core.targets import Recipe
    from cellprep.learn import NetworkSettings, Weights, build_network, save_weights

    network = build_network(NetworkSettings("wtn", base_channels=1, levels=3), seed=0)
    save_weights(folder / "w.safetensors", Weights(network, None, Recipe(bins=(1.0, 2.0)), "cells-and-walls", {}))
    return [(folder / "w.safetensors").read_bytes()]


def _read_weights(content: bytes, folder: Path) -> object:
    from cellprep.learn import load_bundle, load_weights

    path = folder / "fed.safetensors"
    path.write_bytes(content)
    with suppress(CellprepError):
        load_bundle([path])
    return load_weights(path)


def _state(folder: Path) -> list[bytes]:
    import torch

    from cellprep.learn.training.checkpoint import save_state

    save_state(folder / "s.pt", {"epoch": 1, "rows": [{"epoch": 1.0}], "network": {"w": torch.zeros(3)}})
    return [(folder / "s.pt").read_bytes()]


def _read_state(content: bytes, folder: Path) -> object:
    from cellprep.learn.training.checkpoint import load_state

    (folder / "fed.pt").write_bytes(content)
    return load_state(folder / "fed.pt")


def _read_prediction(content: bytes, folder: Path) -> object:
    truth, found = folder / "truth.csv", folder / "found.csv"
    truth.write_bytes(_csv(folder)[0])
    found.write_bytes(content)
    known = open_source(truth)
    return [r.load((16, 25)) for r in open_prediction(found, known).images() if not isinstance(r, FaultyImage)]


def _submission(_: Path) -> list[bytes]:
    rows = [f"i{k % 2},{text}" for k, text in enumerate(encode_rle(_masks()))]
    return ["\n".join(["id,predicted", *rows]).encode()]


def _on_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def feed(content: bytes, folder: Path) -> object:
        (folder / name).write_bytes(content)
        return read(folder / name)

    return feed


#: The targets by name.
TARGETS: dict[str, Target] = {
    "rle": Target(
        lambda _: [text.encode() for text in encode_rle(_masks())],
        lambda content, _: parse_rle([content.decode(errors="replace")], (16, 25)),
    ),
    "csv": Target(_csv, _read_source("fed.csv")),
    "coco": Target(_coco, _read_source("fed.json")),
    "regions": Target(_regions, _read_source("fed.roi")),
    "archive of regions": Target(_converted("imagej-roi"), _read_source("fed.zip")),
    "cellpose": Target(_converted("cellpose-seg"), _read_source("fed_seg.npy")),
    **{
        name: Target(seeds, _read_source(file, name.removesuffix("-csv")), _mutate_document)
        for name, (seeds, file) in _DRAWINGS.items()
    },
    "submission": Target(_submission, _read_prediction),
    "labels": Target(_label_files, _read_labels),
    "ome-zarr": Target(_ome_zarr, damaged_file("ome.zarr", _read_folder)),
    "run": Target(_run, damaged_file("run", _read_run)),
    "exclusions": Target(lambda _: [b"image,row\ni0,2\ni1,\n"], _on_file("x.csv", read_exclusions)),
    "bins": Target(lambda _: [b"[0.955, 1.369, 10, 20]"], _on_file("b.json", read_bins)),
    "picture": Target(_pictures, _read_picture),
    **{
        name: Target(_microscope(write, file), _on_file(file, _read_scenes))
        for name, (write, file) in _MICROSCOPES.items()
    },
    "store": Target(lambda folder: files_of(_store(folder)), damaged_file("seed.zarr", _read_store)),
    "foreign": Target(foreign_arrays, damaged_file("arrays", read_foreign, depth=1), mutate_json),
    "metadata": Target(
        lambda folder: [file for file in files_of(_store(folder)) if b"zarr.json\0" in file],
        damaged_file("seed.zarr", read_all_of_store),
        lambda content, rng: guard_anew(mutate_json(content, rng), rng),
    ),
    "weights": Target(_weights, _read_weights),
    "state": Target(_state, _read_state),
}
