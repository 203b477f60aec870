"""Pixel sizes: in files, stores, exports and predictions."""

from functools import partial

import numpy as np
import pytest
import tifffile
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cellprep import build_targets, convert, measure, measure_to_file, open_store
from cellprep.errors import UsageError, WeightsError
from cellprep.formats.images.file import ImageFile
from cellprep.formats.images.pixel_size import side_of
from cellprep.formats.images.planes import StackOptions
from cellprep.learn import Bundle, NetworkSettings, Normalisation, Weights, build_network, load_weights, save_weights
from cellprep.learn.pixel_size import learned_size
from cellprep.learn.prediction.inputs import find_images
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.prediction.scaling import Scale

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)


def ome(path, **sizes):
    tifffile.imwrite(path, GREY, ome=True, metadata={"axes": "YX", **sizes})


def imagej(path, unit, x, y=None, **more):
    metadata = {"unit": unit, **more} if unit else more
    tifffile.imwrite(path, GREY, imagej=True, resolution=(1 / x, 1 / (y or x)), metadata=metadata)


def plain(path, **resolution):
    tifffile.imwrite(path, GREY, **resolution)


#: Function that writes a file, and the sides of a pixel, (y, x), in it.
FILES = {
    "OME": (lambda path: ome(path, PhysicalSizeX=0.325, PhysicalSizeY=0.325), (0.325, 0.325)),
    "OME in nm": (
        lambda path: ome(path, PhysicalSizeX=65, PhysicalSizeXUnit="nm", PhysicalSizeY=0.065),
        (0.065, 0.065),
    ),
    "OME in mm": (
        lambda path: ome(
            path, PhysicalSizeX=0.001, PhysicalSizeXUnit="mm", PhysicalSizeY=0.0005, PhysicalSizeYUnit="mm"
        ),
        (0.5, 1.0),
    ),
    "OME of pixels": (lambda path: ome(path, PhysicalSizeX=1, PhysicalSizeXUnit="pixel", PhysicalSizeY=1), None),
    "OME of one side": (lambda path: ome(path, PhysicalSizeX=1), None),
    "OME of a photograph": (lambda path: ome(path, PhysicalSizeX=4000, PhysicalSizeY=4000), None),
    "OME of nothing": (lambda path: ome(path, PhysicalSizeX=0, PhysicalSizeY=0), None),
    "ImageJ um": (lambda path: imagej(path, "um", 0.325), (0.325, 0.325)),
    "ImageJ micron": (lambda path: imagej(path, "micron", 0.5, 0.25), (0.25, 0.5)),
    "ImageJ escaped": (lambda path: imagej(path, r"\u00B5m", 0.16), (0.16, 0.16)),
    "ImageJ Greek": (lambda path: imagej(path, r"\u03BCm", 0.16), (0.16, 0.16)),
    "ImageJ nm": (lambda path: imagej(path, "nm", 160), (0.16, 0.16)),
    "ImageJ two units": (lambda path: imagej(path, "um", 0.5, 500, yunit="nm"), (0.5, 0.5)),
    "ImageJ inch": (lambda path: imagej(path, "inch", 1 / 72), None),
    "ImageJ cm": (lambda path: imagej(path, "cm", 0.0001), None),
    "ImageJ pixel": (lambda path: imagej(path, "pixel", 1), None),
    "ImageJ without a unit": (lambda path: imagej(path, "", 0.5), None),
    "72 dpi": (lambda path: plain(path, resolution=(72, 72), resolutionunit="INCH"), None),
    "centimetres": (lambda path: plain(path, resolution=(20000, 20000), resolutionunit="CENTIMETER"), None),
    "no resolution": (plain, None),
}


@pytest.mark.parametrize(("write", "sides"), FILES.values(), ids=FILES)
def test_only_tools_of_microscopy_tell_the_size_of_a_pixel(tmp_path, write, sides):
    write(tmp_path / "a.tif")
    found = ImageFile(tmp_path / "a.tif").sides()
    assert found == (sides and pytest.approx(sides, rel=1e-5))
    assert ImageFile(tmp_path / "a.tif").hashed()[1].sides() == found


def test_sides_turn_with_the_image(tmp_path):
    ome_xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYCZT" Type="uint8" SizeX="6" SizeY="5" SizeC="1" SizeT="1" SizeZ="1" PhysicalSizeX="0.5" '
        'PhysicalSizeY="0.25"><TiffData/></Pixels></Image></OME>'
    )
    options = {"description": ome_xml, "metadata": None, "extratags": [(274, "H", 1, 6, True)]}
    tifffile.imwrite(tmp_path / "a.tif", GREY, **options)
    assert ImageFile(tmp_path / "a.tif").decode().shape == (6, 5)
    assert ImageFile(tmp_path / "a.tif").sides() == (0.5, 0.25)
    assert ImageFile(tmp_path / "a.tif", "ignore").sides() == (0.25, 0.5)


def test_scenes_of_an_ome_tiff_have_their_own(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for name, size in (("P1", 0.3), ("P2", 0.5)):
            file.write(GREY, metadata={"axes": "YX", "Name": name, "PhysicalSizeX": size, "PhysicalSizeY": size})
    for scene, size in (("P1", 0.3), (1, 0.5)):
        file = ImageFile(tmp_path / "a.ome.tif", planes=StackOptions(scene=scene))
        assert side_of(file.sides()) == size
        np.testing.assert_array_equal(file.decode(), GREY)


def test_each_file_of_several_has_its_own_image(tmp_path):
    """As Micro-Manager writes positions: each file has the metadata of all of them."""
    images = "".join(
        f'<Image ID="Image:{k}" Name="P{k}"><Pixels ID="Pixels:{k}" DimensionOrder="XYCZT" Type="uint8" SizeX="6" '
        f'SizeY="5" SizeC="1" SizeT="1" SizeZ="1" PhysicalSizeX="0.{k + 1}" PhysicalSizeY="0.{k + 1}">'
        f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{k}.ome.tif">urn:uuid:{k}</UUID></TiffData></Pixels></Image>'
        for k in range(2)
    )
    for k in range(2):
        space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
        xml = f'<OME xmlns="{space}" UUID="urn:uuid:{k}">{images}</OME>'
        tifffile.imwrite(tmp_path / f"{k}.ome.tif", GREY + k, description=xml, metadata=None)
    found = find_images([tmp_path]).images
    assert [image.id for image in found] == ["0.ome", "1.ome"]
    for k, image in enumerate(found):
        np.testing.assert_array_equal(image.load()[0], GREY + k)
        assert image.pixels.sides() == (0.1 * (k + 1),) * 2


# --- stores and what is written from them


@pytest.fixture
def folder(tmp_path, write_csv):
    """Write five images with pixel sizes, one of them anisotropic, one unknown; and their annotations."""
    write_csv(*(f"{name},8 2 14 2,6,5,round" for name in "abcde"))
    (tmp_path / "images").mkdir()
    for name, size in (("a", (0.5, 0.5)), ("b", (0.5, 0.501)), ("c", (0.25, 0.25)), ("d", (0.5, 0.25))):
        ome(tmp_path / "images" / f"{name}.tif", PhysicalSizeY=size[0], PhysicalSizeX=size[1])
    Image.fromarray(GREY).save(tmp_path / "images" / "e.png")
    return tmp_path


def build(folder, **options):
    out = folder / "s.zarr"
    return build_targets(
        folder / "train.csv", out, images=folder / "images", jobs=1, quiet=True, **options
    ), open_store(out)


def sizes(store):
    return [store[name].metadata.pixel_size for name in "abcde"]


def test_a_store_has_each_images_own_size(folder):
    report, store = build(folder)
    assert (report.failures, sizes(store)) == ({}, [0.5, 0.5005, 0.25, None, None])
    assert report.notes()[:3] == [
        "1 image with pixels that are not square, so their size is unknown; set it with --pixel-size:",
        "  d: 0.5 x 0.25 µm (height x width)",
        "pixel size: 0.25 µm (1 image), 0.5 µm (1 image), 0.5005 µm (1 image), unknown (2 images)",
    ]
    again, _ = build(folder)
    assert (again.current, again.notes()[:3]) == (5, report.notes()[:3])
    ome(folder / "images" / "a.tif", PhysicalSizeY=0.4, PhysicalSizeX=0.4)
    assert build(folder)[0].rewritten == 1


def test_the_option_counts_and_is_held_against_the_files(folder):
    report, store = build(folder, pixel_size=0.5)
    assert sizes(store) == [0.5] * 5
    assert report.notes()[2] == "warning: --pixel-size 0.5 is used, but image files have 0.25 µm (1 image)"
    assert report.notes()[0] == "1 image with pixels that are not square:"


def test_a_size_that_a_file_tells_is_part_of_the_recipe_only_where_it_counts(folder, monkeypatch):
    def recipes(**options):
        store = build(folder, rebuild=True, **options)[1]
        return {name: store[name].metadata.recipe for name in "abcde"}

    told, given = recipes(), recipes(pixel_size=0.5)
    monkeypatch.setattr(ImageFile, "sides", lambda self: None)
    before = recipes()  # as if no file were asked
    assert {name for name in "abcde" if told[name] != before[name]} == {"a", "b", "c"}
    assert recipes(pixel_size=0.5) == given


def test_sizes_are_exported_converted_and_measured(folder):
    options = {"images": folder / "images", "jobs": 1, "quiet": True}
    convert(folder / "train.csv", "label-tiff", folder / "labels", **options)
    with tifffile.TiffFile(folder / "labels" / "a.tif") as tiff:
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
    with tifffile.TiffFile(folder / "labels" / "e.tif") as tiff:
        assert "PhysicalSize" not in tiff.ome_metadata
    table = measure(folder / "train.csv", properties=["area"], **options).set_index("image")
    assert table.loc["a", "area_um2"] == table.loc["a", "area"] * 0.25
    assert np.isnan(table.loc["e", "area_um2"])
    told = partial(measure_to_file, folder / "train.csv", folder / "cells.csv", properties=["area"], **options)
    assert told().notes()[:2] == build(folder)[0].notes()[:2]  # pixels that are not square
    assert told(pixel_size=0.5).notes()[:3] == build(folder, pixel_size=0.5)[0].notes()[:3]
    again = measure(folder / "labels", properties=["area"], jobs=1, quiet=True).set_index("image")
    assert again.loc["a", "area_um2"] == table.loc["a", "area_um2"]  # label images may tell it, too


# --- prediction


def test_weights_remember_one_size(folder, tmp_path):
    store = build(folder)[1]
    assert [learned_size(store[name] for name in names) for names in ("ab", "ac", "ae")] == [0.50025, None, None]
    network = build_network(NetworkSettings("wn", base_channels=1), seed=0)
    for size in (None, 0.5):
        save_weights(
            tmp_path / "w.safetensors", Weights(network, Normalisation("dataset", (0,), (1,)), pixel_size=size)
        )
        assert load_weights(tmp_path / "w.safetensors").pixel_size == size
        assert (b"pixel_size" in (tmp_path / "w.safetensors").read_bytes()) == (size is not None)
    save_weights(tmp_path / "w.safetensors", Weights(network, Normalisation("dataset", (0,), (1,)), pixel_size=-1))
    with pytest.raises(WeightsError, match="have an invalid description"):
        load_weights(tmp_path / "w.safetensors")
    normalisation = Normalisation("dataset", (0,), (1,))
    parts = [
        Weights(build_network(NetworkSettings(name, base_channels=1), seed=0), normalisation, pixel_size=size)
        for name, size in (("wn", 0.5), ("semseg", 0.25))
    ]
    assert Bundle(parts[0], semseg=parts[1]).pixel_size is None


def test_a_size_that_is_none_is_refused():
    for size in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="is not a length above 0"):
            PredictionOptions(pixel_size=size)


@given(masks(max_side=9), st.integers(1, 4), st.integers(1, 4))
def test_what_is_seen_larger_comes_back_as_it_was(cells, y, x):
    labels = draw_labels(cells)
    scale = Scale(labels.shape, (y * labels.shape[0], x * labels.shape[1]))
    seen = np.kron(labels, np.ones((y, x), labels.dtype))
    np.testing.assert_array_equal(scale.classes_of(labels), seen)
    found, kept = scale.labels(seen)
    np.testing.assert_array_equal(kept[found[found > 0] - 1], labels[found > 0])
    assert (found > 0).tolist() == (labels > 0).tolist()
    firsts = [np.flatnonzero(found == number)[0] for number in range(1, len(kept) + 1)]
    assert firsts == sorted(firsts)


@given(masks(max_side=9), st.integers(1, 30), st.integers(1, 30))
def test_enlarged_outlines_are_interpolated(cells, height, width):
    labels = draw_labels(cells)
    scale = Scale((max(height, labels.shape[0] + 1), max(width, labels.shape[1])), labels.shape)
    found, kept = scale.labels(labels)
    expected, share = interpolated(labels, scale.shape)
    is_clear = share[-1] - share[-2] > 1e-5  # rounding decides the others
    numbers = np.append(0, kept)[found]
    np.testing.assert_array_equal(numbers[is_clear], expected[is_clear])


def draw_labels(cells):
    """Number the masks, with later ones on top."""
    labels = np.zeros(cells.shape[1:], np.uint16)
    for number, cell in enumerate(cells, start=1):
        labels[cell] = number
    return labels


def interpolated(labels, shape):
    """Interpolate the mask of each label, and return the label of the largest share, and all shares, sorted."""
    numbers = np.unique(np.append(0, labels))
    shares = np.zeros((len(numbers) + 1, *shape))
    for y in range(shape[0]):
        for x in range(shape[1]):
            rows, columns = (
                np.clip((place + 0.5) * there / wanted - 0.5, 0, there - 1)
                for place, there, wanted in zip((y, x), labels.shape, shape, strict=True)
            )
            top, left = int(rows), int(columns)
            for row, of_row in ((top, 1 - rows + top), (min(top + 1, labels.shape[0] - 1), rows - top)):
                for column, of_column in (
                    (left, 1 - columns + left),
                    (min(left + 1, labels.shape[1] - 1), columns - left),
                ):
                    shares[np.searchsorted(numbers, labels[row, column]), y, x] += of_row * of_column
    return numbers[shares[:-1].argmax(axis=0)], np.sort(shares, axis=0)
