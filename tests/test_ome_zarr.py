"""OME-Zarr images with label images, of both versions, written by zarr-python."""

import json

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.errors import CellprepError, ImageFileError, SourceError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.images.stacks import luminance
from cellprep.formats.ome_zarr.multiscale import OMEZarrPixels
from cellprep.learn.prediction.inputs import find_images

GREY = np.arange(20, dtype=np.uint16).reshape(4, 5)
LABELS = np.array([[0, 7, 7, 0, 0], [0, 7, 3, 3, 0], [100, 0, 0, 3, 0], [0, 0, 0, 0, 0]])
TYPES = {"y": "space", "x": "space", "z": "space", "c": "channel", "t": "time"}


def write_multiscale(path, pixels, version, axes="yx", scale=None, unit=None, levels=2, **more):
    """Write an image or label image: its full resolution, and coarser ones."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3, overwrite=True)
    datasets = []
    for level in range(levels):
        step = tuple(slice(None, None, 2**level if name in "yx" else None) for name in axes)
        names = {} if version == "0.4" else {"dimension_names": axes}
        group.create_array(f"s{level}", data=pixels[step], chunks=(2,) * pixels.ndim, **names)
        sides = [(scale or {}).get(name, 1.0) * (2**level if name in "yx" else 1) for name in axes]
        datasets.append({"path": f"s{level}", "coordinateTransformations": [{"type": "scale", "scale": sides}]})
    described = [
        {"name": name, "type": TYPES[name], **({"unit": unit} if unit and name in "yx" else {})} for name in axes
    ]
    multiscale = {"name": path.name, "axes": described, "datasets": datasets, **more}
    set_ome(group, version, {"multiscales": [multiscale]})


def set_ome(group, version, content):
    if version == "0.4":
        group.attrs.update(
            {key: [{**value[0], "version": "0.4"}] if key == "multiscales" else value for key, value in content.items()}
        )
    else:
        group.attrs["ome"] = {"version": version, **content}


def write_labels(image, version, names=("cells",), labels=LABELS, **options):
    group = zarr.create_group(image / "labels", zarr_format=2 if version == "0.4" else 3, overwrite=True)
    set_ome(group, version, {"labels": list(names)})
    for name in names:
        write_multiscale(image / "labels" / name, labels, version, **options)
        if version == "0.4":
            zarr.open_group(image / "labels" / name).attrs["image-label"] = {"version": "0.4"}


def write(path, version="0.5", pixels=GREY, axes="yx", **options):
    write_multiscale(path, pixels, version, axes, **options)
    write_labels(path, version, **options)
    return path


def read(path):
    return {image.image_id: image for image in open_source(path).images()}


def build(path, out):
    return build_targets(open_source(path), out, BuildOptions(jobs=1, quiet=True))


def check(store, image_id, pixels=GREY):
    stored = open_store(store)[image_id]
    if pixels is not None:
        assert stored.read("image").dtype == pixels.dtype
        np.testing.assert_array_equal(stored.read("image"), pixels)
    np.testing.assert_array_equal(stored.read("labels"), np.searchsorted([0, 3, 7, 100], LABELS))
    assert stored.read("cells").tolist() == [[3, 3, -1], [7, 3, -1], [100, 1, -1]]
    return stored


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("name", ["a", "a.zarr", "a.ome.zarr"])
def test_reads_an_image(tmp_path, version, name):
    path = write(tmp_path / name, version)
    source = open_source(path)
    assert (source.format, source.image_ids, source.unannotated) == ("ome-zarr", ["a"], [])
    report = build(path, tmp_path / "s.zarr")
    assert report.failures == {}
    stored = check(tmp_path / "s.zarr", "a")
    assert stored.attributes["pixel_size"] is None
    assert build(path, tmp_path / "s.zarr").current == 1


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_the_tests_write_is_valid(tmp_path, version):
    from ome_zarr_models.v04 import Image as Image04
    from ome_zarr_models.v05 import Image as Image05

    path = write(tmp_path / "a.zarr", version, scale={"y": 0.5, "x": 0.5}, unit="micrometer")
    model = (Image04 if version == "0.4" else Image05).from_zarr(zarr.open_group(path, mode="r"))
    assert model.labels is not None


def test_what_is_built_is_valid_and_is_read_again(tmp_path):
    from ome_zarr_models.v05 import Image

    build(write(tmp_path / "a.zarr", scale={"y": 0.5, "x": 0.5}, unit="micrometer"), tmp_path / "s.zarr")
    Image.from_zarr(zarr.open_group(tmp_path / "s.zarr/a", mode="r"))
    source = open_source(tmp_path / "s.zarr/a")
    assert source.format == "ome-zarr"
    (image,) = source.images()
    assert image.load().pixel_size == 0.5
    np.testing.assert_array_equal(image.load().runs.paint(np.array([1, 2, 3])), np.searchsorted([0, 3, 7, 100], LABELS))


def test_reads_a_folder_of_images(tmp_path):
    folder = tmp_path / "images"
    write(folder / "b.zarr", "0.4")
    write(folder / "a.ome.zarr")
    write_multiscale(folder / "free.zarr", GREY, "0.5")
    (folder / "notes").mkdir()
    (folder / "notes.txt").write_text("")
    report = build(folder, tmp_path / "s.zarr")
    assert (report.new, report.failures, report.unannotated) == (2, {}, ["free"])
    check(tmp_path / "s.zarr", "a")
    check(tmp_path / "s.zarr", "b")


def test_reads_one_label_image_of_several(tmp_path):
    image = tmp_path / "a.zarr"
    write_multiscale(image, GREY, "0.5")
    write_labels(image, "0.5", ["nuclei", "cells"])
    (found,) = open_source(image).images()
    assert found == FaultyImage(
        "a",
        f"{image} has the label images 'nuclei', 'cells': it must have one, or one called instances; "
        "or give a.zarr/labels/<name> as the source",
    )
    assert build(image / "labels/cells", tmp_path / "s.zarr").failures == {}
    check(tmp_path / "s.zarr", "a")
    write_labels(image, "0.5", ["nuclei", "instances"])
    assert read(image)["a"].labels.path == image / "labels/instances"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_reads_labels_without_an_image(tmp_path, version):
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2 if version == "0.4" else 3)
    write_labels(tmp_path / "a.zarr", version)
    for path in (tmp_path / "a.zarr", tmp_path / "a.zarr/labels/cells", tmp_path):
        assert read(path)["a"].pixels is None
    build(tmp_path, tmp_path / "s.zarr")
    check(tmp_path / "s.zarr", "a", None)


def test_a_folder_that_is_called_labels_is_no_group_of_labels(tmp_path):
    write(tmp_path / "labels/a.zarr")
    for path in (tmp_path / "labels", tmp_path / "labels/a.zarr"):
        assert read(path)["a"].labels.path.name == "cells"
    write(tmp_path / "b.zarr")
    with pytest.raises(SourceError, match="has an unknown format"):
        open_source(tmp_path / "b.zarr/labels")


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("zyx", (1, 4, 5), (4, 5)),
        ("tczyx", (1, 1, 1, 4, 5), (4, 5)),
        ("cyx", (3, 4, 5), (3, 4, 5)),
        ("tczyx", (1, 3, 1, 4, 5), (3, 4, 5)),
    ],
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_axes_of_length_one_are_left_out(tmp_path, version, axes, shape, expected):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path / "a.zarr"
    write_multiscale(path, pixels, version, axes)
    write_labels(path, version, labels=LABELS.reshape((1,) * (len(axes) - 2) + (4, 5)), axes=axes)
    assert build(path, tmp_path / "s.zarr").failures == {}
    check(tmp_path / "s.zarr", "a", pixels.reshape(expected))


@pytest.mark.parametrize(
    ("scale", "unit", "more", "expected"),
    [
        ({"y": 0.5, "x": 0.5}, "micrometer", {}, 0.5),
        ({"y": 650.0, "x": 650.0}, "nanometer", {}, 0.65),
        ({"y": 0.5, "x": 0.5}, None, {}, None),
        ({"y": 0.5, "x": 0.5}, "second", {}, None),
        ({"y": 0.5, "x": 0.25}, "micrometer", {}, None),
        ({"y": 0.0, "x": 0.0}, "micrometer", {}, None),
        ({"y": -1.0, "x": -1.0}, "micrometer", {}, None),
        (
            {"y": 1.0, "x": 1.0},
            "micrometer",
            {"coordinateTransformations": [{"type": "scale", "scale": [0.2, 0.2]}]},
            0.2,
        ),
    ],
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_pixel_size_is_carried_over(tmp_path, version, scale, unit, more, expected):
    path = write(tmp_path / "a.zarr", version, scale=scale, unit=unit, **more)
    build(path, tmp_path / "s.zarr")
    assert open_store(tmp_path / "s.zarr")["a"].attributes["pixel_size"] == (expected and pytest.approx(expected))
    multiscale = json.loads((tmp_path / "s.zarr/a/zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == pytest.approx([expected or 1.0] * 2)


def test_the_image_tells_the_pixel_size_if_its_labels_do_not(tmp_path):
    write_multiscale(tmp_path / "a.zarr", GREY, "0.5", scale={"y": 0.5, "x": 0.5}, unit="micrometer")
    write_labels(tmp_path / "a.zarr", "0.5")
    assert read(tmp_path / "a.zarr")["a"].load().pixel_size == 0.5
    options = BuildOptions(jobs=1, quiet=True, pixel_size=0.7)
    build_targets(open_source(tmp_path / "a.zarr"), tmp_path / "s.zarr", options)
    assert open_store(tmp_path / "s.zarr")["a"].attributes["pixel_size"] == 0.7  # the user knows better


def test_another_scale_or_other_pixels_make_it_stale(tmp_path):
    path = write(tmp_path / "a.zarr")
    build(path, tmp_path / "s.zarr")
    write(path, scale={"y": 0.5, "x": 0.5}, unit="micrometer")
    assert build(path, tmp_path / "s.zarr").rewritten == 1
    write(path, pixels=GREY + 1, scale={"y": 0.5, "x": 0.5}, unit="micrometer")
    assert build(path, tmp_path / "s.zarr").rewritten == 1
    write_labels(path, "0.5", labels=LABELS * 2)
    assert build(path, tmp_path / "s.zarr").rewritten == 1
    write(path, pixels=GREY.reshape(5, 4))
    assert "is 5 x 4 (height x width): its annotations are 4 x 5" in build(path, tmp_path / "s.zarr").failures["a"]


def test_the_same_bytes_in_another_shape_make_it_stale(tmp_path):
    path = write(tmp_path / "a.zarr")
    build(path, tmp_path / "s.zarr")
    write_multiscale(path, GREY.reshape(5, 4), "0.5")
    write_labels(path, "0.5", labels=LABELS.reshape(5, 4))
    assert build(path, tmp_path / "s.zarr").rewritten == 1
    assert open_store(tmp_path / "s.zarr")["a"].shape == (5, 4)


def test_big_endian_labels(tmp_path):
    write_multiscale(tmp_path / "a.zarr", GREY.astype(">u2"), "0.4")
    write_labels(tmp_path / "a.zarr", "0.4", labels=LABELS.astype(">i4"))
    build(tmp_path / "a.zarr", tmp_path / "s.zarr")
    check(tmp_path / "s.zarr", "a", GREY)


def test_images_of_one_name_fail(tmp_path):
    write(tmp_path / "d/a.zarr")
    write(tmp_path / "d/a.ome.zarr")
    write(tmp_path / "d/b.zarr")
    images = read(tmp_path / "d")
    both = f"{tmp_path}/d/a.ome.zarr, {tmp_path}/d/a.zarr"
    assert images["a"] == FaultyImage("a", f"several images have this id: {both}; keep one")
    assert isinstance(images["b"], ImageRecord)


def test_refused_ids_fail_alone(tmp_path):
    write(tmp_path / "d/__a.zarr")
    write(tmp_path / "d/b.zarr")
    assert build(tmp_path / "d", tmp_path / "s.zarr").failures == {
        "__a": f"{tmp_path}/d/__a.zarr: image id '__a' is refused: it begins with two underscores"
    }


# What makes an image fail: how it is spoilt, and what is said.


def spoil_metadata(change):
    def spoil(path):
        document = json.loads((path / "zarr.json").read_text())
        change(document["attributes"]["ome"]["multiscales"][0])
        (path / "zarr.json").write_text(json.dumps(document))

    return spoil


def damage_chunk(path):
    chunk = next(file for file in (path / "s0/c").rglob("*") if file.is_file())
    chunk.write_bytes(b"damaged")


NO_MULTISCALES = "is not an OME-Zarr image of version 0.4 or 0.5: it has no multiscales with axes and datasets"
SPOILT = {
    "axes as texts": (spoil_metadata(lambda m: m.update(axes=["y", "x"])), NO_MULTISCALES),
    "no axes": (spoil_metadata(lambda m: m.pop("axes")), NO_MULTISCALES),
    "an axis without a name": (spoil_metadata(lambda m: m["axes"][1].pop("name")), NO_MULTISCALES),
    "no datasets": (spoil_metadata(lambda m: m.update(datasets=[])), NO_MULTISCALES),
    "no path": (spoil_metadata(lambda m: m["datasets"][0].pop("path")), NO_MULTISCALES),
    "scale of words": (
        spoil_metadata(lambda m: m["datasets"][0]["coordinateTransformations"][0].update(scale=["a", "b"])),
        NO_MULTISCALES,
    ),
    "axes that are too many": (
        spoil_metadata(lambda m: m["axes"].append({"name": "z"})),
        "is damaged: it names 3 axes, but has 2",
    ),
    "axes turned": (
        spoil_metadata(lambda m: m["axes"].reverse()),
        "is a stack (x 4 x y 5): images must have y, x, and at most c before or after them",
    ),
    "no such dataset": (
        spoil_metadata(lambda m: m["datasets"][0].update(path="nowhere")),
        "is damaged: 'nowhere' is not in it",
    ),
    "path out of it": (spoil_metadata(lambda m: m["datasets"][0].update(path="../..")), "is damaged: "),
    "chunk": (damage_chunk, "is damaged: "),
}


@pytest.mark.parametrize("part", ["", "labels/cells"])
@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=SPOILT.keys())
def test_a_damaged_image_fails_alone(tmp_path, part, spoil, message):
    path = write(tmp_path / "d/a.zarr")
    write(tmp_path / "d/b.zarr")
    spoil(path / part)
    problem = build(tmp_path / "d", tmp_path / "s.zarr").failures["a"]
    assert problem.startswith(f"{path / part} {message}")
    assert "\n" not in problem
    assert list(open_store(tmp_path / "s.zarr")) == ["b"]


@pytest.mark.parametrize(
    ("pixels", "axes", "message"),
    [
        (np.zeros((2, 4, 5), np.uint8), "zyx", "is a stack (z 2 x y 4 x x 5): it has 2 z planes: give --z"),
        (np.zeros((4, 3, 5), np.uint8), "ycx", "is a stack (y 4 x c 3 x x 5)"),
        (np.zeros((4, 5), complex), "yx", ": it has complex128 values"),
    ],
)
def test_images_that_are_none(tmp_path, pixels, axes, message):
    write_multiscale(tmp_path / "a.zarr", pixels, "0.5", axes)
    write_labels(tmp_path / "a.zarr", "0.5")
    with pytest.raises(ImageFileError) as caught:
        read(tmp_path / "a.zarr")["a"].pixels.decode()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS / 2, "has the float64 value 3.5: label images have integers, or floats that are whole numbers"),
        (-LABELS, "has the label -100"),
        (np.stack([LABELS] * 2), "has the shape (2, 4, 5): a label image must have one number per pixel"),
    ],
)
def test_labels_that_are_none(tmp_path, labels, message):
    write_multiscale(tmp_path / "a.zarr", GREY, "0.5")
    write_labels(tmp_path / "a.zarr", "0.5", labels=labels, axes="cyx"[-labels.ndim :])
    assert message in build(tmp_path / "a.zarr", tmp_path / "s.zarr").failures["a"]


def test_sources_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="is not an OME-Zarr image, and contains none"):
        open_source(tmp_path / "empty", "ome-zarr")
    write_multiscale(tmp_path / "d/a.zarr", GREY, "0.5")
    for path in (tmp_path / "d", tmp_path / "d/a.zarr"):
        with pytest.raises(
            SourceError, match="contains no OME-Zarr image with label images, which must be in <image>/labels"
        ):
            open_source(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.sampled_from(["", "y", "x", "s0", ".."]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "path", "axes", "datasets", "multiscales", "scale"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(JSON, st.sampled_from(["multiscales", "axes", "datasets", "labels", "ome", "coordinateTransformations"]))
def test_random_metadata(tmp_path_factory, content, key):
    path = tmp_path_factory.getbasetemp() / "random.zarr"
    if not path.exists():
        write(path)
    place = path / "labels" / ("" if key == "labels" else "cells") / "zarr.json"
    before = place.read_text()
    document = json.loads(before)
    ome = document["attributes"]["ome"]
    if key == "ome":
        document["attributes"]["ome"] = content
    elif key in ("multiscales", "labels"):
        ome[key] = content
    else:
        ome["multiscales"][0][key] = content
    place.write_text(json.dumps(document))
    try:
        for image in open_source(path).images():
            if isinstance(image, ImageRecord):
                image.fingerprint()
                image.load()
    except CellprepError as error:
        assert "\n" not in str(error)
    finally:
        place.write_text(before)


def write_converted(path, version, series, listed=True):
    """Write what bioformats2raw makes of a file: an image for each series."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    set_ome(group, version, {"bioformats2raw.layout": 3})
    for name in series:
        write(path / name, version, pixels=GREY + np.uint16(name))
    if listed:
        inside = zarr.create_group(path / "OME", zarr_format=2 if version == "0.4" else 3)
        set_ome(inside, version, {"series": list(series)})


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_reads_what_bioformats2raw_wrote(tmp_path, version, listed):
    write_converted(tmp_path / "in/a.zarr", version, ["0", "1", "10"], listed)
    write_converted(tmp_path / "in/b.ome.zarr", version, ["0"], listed)
    for source, ids in (("in", ["a_0", "a_1", "a_10", "b"]), ("in/a.zarr", ["a_0", "a_1", "a_10"])):
        assert open_source(tmp_path / source).image_ids == ids
        assert [image.id for image in find_images([tmp_path / source]).images] == ids
    build(tmp_path / "in", tmp_path / "s.zarr")
    check(tmp_path / "s.zarr", "a_10", GREY + np.uint16(10))
    check(tmp_path / "s.zarr", "b")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_may_have_the_images_of_other_annotations(tmp_path, version, write_csv):
    plate = tmp_path / "p.zarr"
    for path, content in (
        ("", {"plate": {"wells": [{"path": "A/1"}]}}),
        ("A/1", {"well": {"images": [{"path": "0"}, {"path": "1"}]}}),
    ):
        set_ome(zarr.create_group(plate / path, zarr_format=2 if version == "0.4" else 3), version, content)
    for field in "01":
        write_multiscale(
            plate / "A/1" / field, GREY + np.uint16(field), version, scale={"y": 0.5, "x": 0.5}, unit="micrometer"
        )
    csv = write_csv("A_1_0,1 3,5,4,round", "A_1_1,1 3,5,4,round", "A_1_2,1 3,5,4,round")
    report = build_targets(csv, tmp_path / "s.zarr", images=plate, jobs=1, quiet=True)
    assert list(report.failures) == ["A_1_2"]
    for field in "01":
        image = open_store(tmp_path / "s.zarr")[f"A_1_{field}"]
        np.testing.assert_array_equal(image.read("image"), GREY + np.uint16(field))
        assert image.metadata.pixel_size == 0.5


@pytest.mark.parametrize(
    ("omero", "dtype", "is_rgb"),
    [
        (None, "u1", True),
        (None, "u2", False),
        ([{"color": "FF0000"}, {"color": "00FF00"}, {"color": "0000FF"}], "u2", True),
        ([{"label": "Red"}, {"label": "Green"}, {"label": "Blue"}], "u1", True),
        ([{"label": "DAPI"}, {"label": "GFP"}, {"label": "Cy5"}], "u1", False),
    ],
    ids=["8 bits", "16 bits", "colours", "names", "other names"],
)
def test_grey_is_the_luminance_of_colours(tmp_path, omero, dtype, is_rgb):
    colours = np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype(dtype)
    write_multiscale(tmp_path / "a.zarr", colours, "0.5", "cyx")
    if omero:
        group = zarr.open_group(tmp_path / "a.zarr")
        group.attrs["ome"] = {**group.attrs["ome"], "omero": {"channels": omero}}
    read = OMEZarrPixels(tmp_path / "a.zarr", StackOptions(grey=True)).decode()
    np.testing.assert_array_equal(read, luminance(colours) if is_rgb else colours)
    assert OMEZarrPixels(tmp_path / "a.zarr", StackOptions(scene=0, grey=True)).decode().shape == read.shape
    with pytest.raises(ImageFileError, match=r"a\.zarr: it has no scene 'b': it has one, 0"):
        OMEZarrPixels(tmp_path / "a.zarr", StackOptions(scene="b")).decode()
