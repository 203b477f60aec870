"""Selections from images with several channels, z planes and times, against NumPy on the whole array."""

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2gray

from cellprep import build_targets, measure, open_store
from cellprep.errors import ImageFileError, UsageError
from cellprep.formats.images.file import ImageFile
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.ome_zarr.multiscale import OMEZarrPixels
from cellprep.learn import Bundle, Normalisation, Weights, build_network, predict, segment
from cellprep.learn.networks import NetworkSettings
from cellprep.learn.prediction.inputs import find_images

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 2**16, (2, 3, 2, 5, 6), dtype=np.uint16)  # TZCYX
RGB = RNG.integers(0, 256, (3, 5, 6, 3), dtype=np.uint8)


def write_ome(path, **how):
    metadata = {"axes": "TZCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, STACK, ome=True, photometric="minisblack", metadata=metadata, **how)


def write_compressed(path):
    write_ome(path, compression="zlib")


def write_imagej(path):
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "TZCYX", "Labels": ["DAPI", "GFP"] * 6})


def write_zarr(path):
    group = zarr.create_group(path, zarr_format=3)
    group.create_array("0", data=STACK, chunks=(1, 1, 1, 5, 6))
    axes = [{"name": name} for name in "tzcyx"]
    channels = [{"label": "DAPI"}, {"label": "GFP"}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0"}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales, "omero": {"channels": channels}}


KINDS = {"a.ome.tif": write_ome, "b.ome.tif": write_compressed, "c.tif": write_imagej, "d.zarr": write_zarr}


@pytest.fixture(params=KINDS)
def stack(request, tmp_path):
    path = tmp_path / request.param
    KINDS[request.param](path)
    make = OMEZarrPixels if request.param.endswith("zarr") else ImageFile
    return lambda **options: make(path, planes=StackOptions(**options))


def sharpest(planes):
    return planes[np.argmax([ndimage.laplace(plane.astype(float), mode="mirror").var() for plane in planes])]


def sharpest_of_colours():
    return np.argmax([
        sum(ndimage.laplace(sample.astype(float), mode="mirror").var() for sample in np.moveaxis(plane, 2, 0))
        for plane in RGB
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"channel": "GFP", "z": 2, "time": 1}, STACK[1, 2, 1]),
        ({"channel": 0, "z": "1", "time": 0}, STACK[0, 1, 0]),
        ({"channel": ["GFP", "0"], "z": 0, "time": 0}, STACK[0, 0, ::-1]),
        ({"z": "max", "time": 1}, STACK[1].max(axis=0)),
        ({"z": "mean", "time": 0}, np.rint(STACK[0].mean(axis=0)).astype(np.uint16)),
        ({"channel": "DAPI", "z": "focus", "time": 0}, sharpest(STACK[0, :, 0])),
        ({"channel": "GFP", "z": "focus", "time": 1, "grey": True}, sharpest(STACK[1, :, 1])),
    ],
    ids=str,
)
def test_what_is_chosen_is_that_of_the_array(stack, options, expected):
    options = options | ({"z": int(options["z"])} if options["z"] == "1" else {})
    found = stack(**options).decode()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


HAS = r"it has 2 channels \(DAPI, GFP\), 3 z planes and 2 times: give "


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, HAS + "--channel, --z and --time$"),
        ({"grey": True}, HAS + "--channel, --z and --time$"),
        ({"channel": 0}, HAS + "--z and --time$"),
        ({"z": "max"}, HAS + "--time$"),
        ({"channel": "dapi", "z": 0, "time": 0}, "it has no channel 'dapi': it has 0 DAPI, 1 GFP$"),
        ({"channel": 2, "z": 0, "time": 0}, "it has no channel 2: it has 0 DAPI, 1 GFP$"),
        ({"channel": ("GFP", 1), "z": 0, "time": 0}, "a channel is selected twice: GFP, 1$"),
        ({"z": 3, "time": 0}, "it has no z plane 3: it has 3 z planes, 0 to 2$"),
        ({"z": 0, "time": 2}, "it has no time 2: it has 2 times, 0 to 1$"),
    ],
    ids=str,
)
def test_what_is_not_there_is_named(stack, options, message):
    with pytest.raises(ImageFileError, match=message):
        stack(**options).decode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"z": -1}, "z is -1: give the number of a plane, from 0, or one of max, mean, focus"),
        ({"z": "min"}, "z is 'min'"),
        ({"channel": -1}, "channel is -1: give the name of a channel, or its number from 0"),
        ({"time": -1}, "time is -1: give the number of a time point, from 0"),
    ],
    ids=str,
)
def test_what_cannot_be_chosen_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        StackOptions(**options)


def test_an_option_says_what_pages_are(tmp_path):
    pages = STACK[0, :, 0]
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack", metadata=None)
    file = ImageFile(tmp_path / "a.tif")
    for options in ({}, {"z": 0, "channel": 1}):
        with pytest.raises(ImageFileError, match="3 unnamed pages: give one of --z, --channel and --time"):
            ImageFile(file.path, planes=StackOptions(**options)).decode()
    for options, expected in [({"z": "max"}, pages.max(axis=0)), ({"channel": (2, 0)}, pages[[2, 0]])]:
        found = ImageFile(file.path, planes=StackOptions(**options)).decode()
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ImageFileError, match="images have y, x, and at most one axis of channels"):
        file.decode_labels()  # of which nothing can be chosen


def test_one_plane_may_have_a_name(tmp_path):
    metadata = {"axes": "YX", "Channel": {"Name": "DAPI"}}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[0, 0, 0], photometric="minisblack", metadata=metadata)
    for options in ({"channel": "DAPI"}, {"channel": np.int64(0), "z": "max", "time": 0}):
        found = ImageFile(tmp_path / "a.ome.tif", planes=StackOptions(**options)).decode()
        np.testing.assert_array_equal(found, STACK[0, 0, 0])
    with pytest.raises(ImageFileError, match="it has no channel 'GFP': it has 0 DAPI"):
        ImageFile(tmp_path / "a.ome.tif", planes=StackOptions(channel="GFP")).decode()


def test_planes_of_one_page_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, truncate=True, photometric="minisblack", metadata={"axes": "TZCYX"})
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert len(tiff.pages) == 1
    found = ImageFile(tmp_path / "a.tif", planes=StackOptions(channel=(1, 0), z=2, time=1)).decode()
    np.testing.assert_array_equal(found, STACK[1, 2, ::-1])


@pytest.mark.parametrize("axes", ["ZYXS", "ZSYX"])
def test_colours_of_a_stack_stay(tmp_path, axes):
    stored = RGB if axes == "ZYXS" else np.moveaxis(RGB, 3, 1)
    how = {"ZYXS": "contig", "ZSYX": "separate"}[axes]
    tifffile.imwrite(tmp_path / "a.ome.tif", stored, photometric="rgb", planarconfig=how, metadata={"axes": axes})
    for options, expected in [
        ({"z": 1}, np.moveaxis(RGB[1], 2, 0)),
        ({"z": "max"}, np.moveaxis(RGB.max(axis=0), 2, 0)),
        ({"z": "focus"}, np.moveaxis(RGB[sharpest_of_colours()], 2, 0)),
        ({"z": 2, "channel": "green"}, RGB[2, ..., 1]),
    ]:
        found = ImageFile(tmp_path / "a.ome.tif", planes=StackOptions(**options)).decode()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_grey_is_the_luminance_of_scikit_image(tmp_path, name):
    path = tmp_path / name
    write = {".png": lambda: Image.fromarray(RGB[0]).save(path), ".npy": lambda: np.save(path, RGB[0])}
    write.get(path.suffix, lambda: tifffile.imwrite(path, RGB[0], photometric="rgb"))()
    found = ImageFile(path, planes=StackOptions(grey=True)).decode()
    np.testing.assert_array_equal(found, np.rint(255 * rgb2gray(RGB[0])).astype(np.uint8))


def test_a_store_records_the_choice_and_another_makes_it_stale(tmp_path):
    (tmp_path / "train.csv").write_text("id,annotation,width,height\na,8 2 14 2,6,5\n")
    (tmp_path / "images").mkdir()
    write_imagej(tmp_path / "images" / "a.tif")

    def build(**options):
        report = build_targets(
            tmp_path / "train.csv", tmp_path / "s.zarr", images=tmp_path / "images", quiet=True, jobs=1, **options
        )
        return report, open_store(tmp_path / "s.zarr")

    report, _ = build()
    assert "give --channel, --z and --time" in report.errors()[1]
    for options, expected in [
        ({"channel": "DAPI", "z": "max", "time": 1}, STACK[1, :, 0].max(axis=0)),
        ({"channel": "DAPI", "z": 0, "time": 1}, STACK[1, 0, 0]),
    ]:
        assert build(**options)[0].current == 0
        report, store = build(**options)
        assert report.current == 1
        assert store["a"].metadata.planes == {**options, "channel": ["DAPI"]}
        np.testing.assert_array_equal(store["a"].read("image"), expected)
    table = measure(
        tmp_path / "train.csv", images=tmp_path / "images", channel=1, z=2, time=0, properties=["intensity_max"]
    )
    assert table["intensity_max"].tolist() == [STACK[0, 2, 1].ravel()[[7, 8, 13, 14]].max()]
    with pytest.raises(UsageError, match="is not an image file: --scene, --channel, --z, --time and --grey apply to"):
        measure(tmp_path / "s.zarr", z=0)


def test_images_to_predict_are_read_as_chosen(tmp_path):
    write_ome(tmp_path / "a.ome.tif")
    write_zarr(tmp_path / "b.zarr")
    options = StackOptions(channel=("GFP",), z="max", time=0)
    for place in ("a.ome.tif", "b.zarr"):
        (image,) = find_images([tmp_path / place]).images
        np.testing.assert_array_equal(image.read_as(None, options).load(), STACK[0, :, 1].max(axis=0)[None])


def test_predictions_are_of_what_is_chosen(tmp_path):
    settings = NetworkSettings("wn", base_channels=1, levels=5)
    bundle = Bundle(Weights(build_network(settings, seed=0), Normalisation("percentile", (1,), (99.8,))))
    plane = STACK[0, :, 1].max(axis=0)
    for name in ("images", "plain", "colours", "masks"):
        (tmp_path / name).mkdir()
    write_imagej(tmp_path / "images" / "a.tif")
    tifffile.imwrite(tmp_path / "plain" / "a.tif", plane)
    Image.fromarray(RGB[0]).save(tmp_path / "colours" / "a.png")
    tifffile.imwrite(tmp_path / "masks" / "a.tif", np.ones((5, 6), np.uint8))

    def run(images, out, **options):
        maps = tmp_path / f"{out}.zarr"
        how = {"masks": tmp_path / "masks", "maps": maps, "device": "cpu", "quiet": True, **options}
        return predict(tmp_path / images, tmp_path / out, bundle, **how), maps

    report, maps = run("images", "chosen", channel="GFP", z="max", time=0)
    _, plain = run("plain", "whole")
    np.testing.assert_array_equal(zarr.open(maps)["a/energy"][:], zarr.open(plain)["a/energy"][:])
    assert "images: channel GFP; z max; time 0" in report.notes()
    assert zarr.open(maps).attrs["cellprep-maps"]["planes"] == {"channel": ["GFP"], "z": "max", "time": 0}
    assert "planes" not in zarr.open(plain).attrs["cellprep-maps"]
    assert (
        "; for files, --channel selects channels, and --grey converts RGB to one channel"
        in run("colours", "none")[0].errors()[1]
    )
    assert not run("colours", "grey", grey=True)[0].errors()
    np.testing.assert_array_equal(
        segment(tmp_path / "images" / "a.tif", bundle, np.ones((5, 6)), channel=1, z="max", time=0),
        segment(plane, bundle, np.ones((5, 6))),
    )
    with pytest.raises(UsageError, match="image is an array: scene, channel, z, time and grey are only for files"):
        segment(plane, bundle, np.ones((5, 6)), channel=1)
