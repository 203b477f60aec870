"""Files of microscopes: ND2 and LIF made by hand, CZI written by its vendor's library."""

import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from cellprep import build_targets, convert, open_store
from cellprep.errors import ImageFileError
from cellprep.formats.images.file import ImageFile, hash_of_pixels, images_of_scenes
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.images.planes import StackOptions
from cellprep.learn.prediction.inputs import find_images
from fuzz.microscopes import write_czi, write_lif, write_nd2

pytest.importorskip("nd2")
pytest.importorskip("liffile")
pytest.importorskip("pylibCZIrw")

RNG = np.random.default_rng(0)
SCENES = RNG.integers(0, 2**16, (2, 2, 3, 2, 5, 6), dtype=np.uint16)  # scene, T, Z, C, Y, X
CHANNELS = ["DAPI", "GFP"]
PLANE = StackOptions(channel=0, z=1, time=1)


def write_nd2s(path):
    write_nd2(path, SCENES, CHANNELS, ["well A1", "A/2"], side=0.325)


def write_lifs(path):
    write_lif(path, {"well A1": SCENES[0], "A/2": SCENES[1]}, side=0.325)


def write_czis(path):
    write_czi(path, SCENES, CHANNELS, side=0.325, tile=4)


#: The writer of each kind, the ids of its images, and whether it names channels.
KINDS = {
    "a.nd2": (write_nd2s, ["a_well A1", "a_A_2"], True),
    "a.lif": (write_lifs, ["a_well A1", "a_A_2"], False),
    "a.czi": (write_czis, ["a_0", "a_1"], True),  # its maker's library writes no names of scenes
}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    write, ids, is_named = KINDS[request.param]
    write(tmp_path / request.param)
    return tmp_path / request.param, ids, is_named


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scene": 1, "channel": 1, "z": 2, "time": 1}, SCENES[1, 1, 2, 1]),
        ({"scene": "0", "z": "max", "time": 0}, SCENES[0, 0].max(axis=0)),
        ({"scene": 1, "channel": [1, 0], "z": 0, "time": 1}, SCENES[1, 1, 0, ::-1]),
    ],
    ids=["one plane", "the maximum of z", "channels in another order"],
)
def test_reads_what_is_chosen(kind, options, expected):
    file = ImageFile(kind[0], planes=StackOptions(**options))
    np.testing.assert_array_equal(file.decode(), expected)
    sha256, again = file.hashed()
    np.testing.assert_array_equal(again.decode(), expected)
    assert sha256 == hash_of_pixels(expected)  # a part of a file that may hold a thousand images
    in_memory = ImageFile(file.path, planes=file.planes, content=file.path.read_bytes())
    np.testing.assert_array_equal(in_memory.decode(), expected)
    assert file.sides() == pytest.approx((0.325, 0.325))
    assert file.decode().dtype == np.uint16


def test_says_what_there_is_to_choose(kind):
    path, _, is_named = kind
    with pytest.raises(ImageFileError, match=r"it contains 2 scenes \(0.*, 1.*\): select one with --scene"):
        ImageFile(path).decode()
    with pytest.raises(ImageFileError, match=r"it has no scene 'x': it has 0.*, 1"):
        ImageFile(path, planes=StackOptions(scene="x")).decode()
    names = r" \(DAPI, GFP\)" if is_named else ""
    with pytest.raises(ImageFileError, match=f"it has 2 channels{names}, 3 z planes and 2 times: give --channel, --z"):
        ImageFile(path, planes=StackOptions(scene=0)).decode()
    chosen = StackOptions(scene=0, channel="GFP", z=1, time=0)
    if is_named:
        np.testing.assert_array_equal(ImageFile(path, planes=chosen).decode(), SCENES[0, 0, 1, 1])
    else:
        with pytest.raises(ImageFileError, match="it has no channel 'GFP': it has 2 channels without names"):
            ImageFile(path, planes=chosen).decode()


def test_each_scene_is_an_image(kind):
    path, ids, _ = kind
    planes = StackOptions(z="max", time=0)
    found = find_images([path.parent]).images
    assert [image.id for image in found] == ids
    for number, image in enumerate(found):
        np.testing.assert_array_equal(image.read_as(None, planes).load(), SCENES[number, 0].max(axis=0))
    (alone,) = find_images([path], of_one_scene=True).images
    assert alone.id == "a"
    folder = ImageFolder(path.parent)
    assert [folder.find(name).planes.scene for name in ids] == [scene.planes.scene for scene in _scenes(path)]
    assert folder.find("a") == ImageFile(path)
    assert folder.others(ids) == []
    assert len(folder.others(ids[:1])) == 1


def _scenes(path):
    return images_of_scenes(ImageFile(path)).values()


def test_targets_are_built_of_scenes(tmp_path, write_csv):
    (tmp_path / "images").mkdir()
    write_lifs(tmp_path / "images" / "a.lif")
    csv = write_csv("a_well A1,8 2 14 2,6,5,round", "a_A_2,1 3,6,5,round")
    how = {"images": tmp_path / "images", "channel": 1, "z": 0, "time": 1, "jobs": 1, "quiet": True}
    convert(csv, "imagej-roi", tmp_path / "rois", **how)  # which takes pictures along that other tools can read
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "rois" / "a_A_2.tif"), SCENES[1, 1, 0, 1])
    report = build_targets(csv, tmp_path / "s.zarr", **how)
    assert (report.failures, report.unannotated, report.sizes.sizes) == ({}, [], {0.325: 2})
    for name, scene in (("a_well A1", 0), ("a_A_2", 1)):
        image = open_store(tmp_path / "s.zarr")[name]
        np.testing.assert_array_equal(image.read("image"), SCENES[scene, 1, 0, 1])
        assert image.metadata.planes["scene"] in ("well A1", "A/2")


def test_scenes_without_a_name_of_their_own_are_numbered(tmp_path):
    write_nd2(tmp_path / "a.nd2", np.concatenate([SCENES, SCENES[:1]]), CHANNELS, ["A", "A", ""])
    assert list(images_of_scenes(ImageFile(tmp_path / "a.nd2"))) == ["a_0", "a_1", "a_2"]
    write_nd2(tmp_path / "b.nd2", SCENES[:1], CHANNELS, ["A"])
    assert images_of_scenes(ImageFile(tmp_path / "b.nd2")) == {}
    assert [image.id for image in find_images([tmp_path / "b.nd2"]).images] == ["b"]


@pytest.mark.parametrize("compression", ["zstd0:ExplicitLevel=2", "zstd1:ExplicitLevel=2"])
def test_reads_compressed_czi(tmp_path, compression):
    write_czi(tmp_path / "a.czi", SCENES[:1], CHANNELS, tile=4, compression=compression)
    np.testing.assert_array_equal(ImageFile(tmp_path / "a.czi", planes=PLANE).decode(), SCENES[0, 1, 1, 0])


@pytest.mark.parametrize("scenes", [SCENES, SCENES[:1]], ids=["two scenes", "one"])
def test_a_pyramid_that_reaches_beyond_the_image_adds_no_pixels(tmp_path, monkeypatch, scenes):
    """Slides have smaller copies of their tiles, whose pixels, as wide as several, may overhang."""
    from pylibCZIrw.czi import CziReader

    one, several = CziReader.total_bounding_rectangle.fget, CziReader.scenes_bounding_rectangle.fget

    def wider(box):
        return box._replace(w=box.w + 1, h=box.h + 2)

    monkeypatch.setattr(CziReader, "total_bounding_rectangle", property(lambda czi: wider(one(czi))))
    boxes = property(lambda czi: {scene: wider(box) for scene, box in several(czi).items()})
    monkeypatch.setattr(CziReader, "scenes_bounding_rectangle", boxes)
    write_czi(tmp_path / "a.czi", scenes, CHANNELS)
    for number, scene in enumerate(scenes):
        read = ImageFile(tmp_path / "a.czi", planes=StackOptions(scene=number, channel=0, z=1, time=1)).decode()
        np.testing.assert_array_equal(read, scene[1, 1, 0])


def test_claims_of_czi_that_end_the_process_are_refused(tmp_path):
    """Its library believes how many dimensions a block has."""
    write_czi(tmp_path / "a.czi", SCENES[:1], CHANNELS)
    content = bytearray((tmp_path / "a.czi").read_bytes())
    block = content.find(b"ZISRAWSUBBLOCK")
    content[block + 48 + 28 : block + 48 + 32] = b"\xff\xff\xff\xf0"
    (tmp_path / "a.czi").write_bytes(content)
    with pytest.raises(ImageFileError, match=r"a\.czi: it is damaged: the entry of a block is invalid"):
        ImageFile(tmp_path / "a.czi", planes=PLANE).decode()


def test_colours_of_czi_are_red_green_blue(tmp_path):
    colours = RNG.integers(0, 256, (1, 1, 1, 5, 6, 3), dtype=np.uint8)
    write_czi(tmp_path / "a.czi", [colours], [])
    np.testing.assert_array_equal(ImageFile(tmp_path / "a.czi").decode(), np.moveaxis(colours[0, 0, 0], 2, 0))
    assert ImageFile(tmp_path / "a.czi").sides() is None


def test_planes_that_are_missing_are_an_error_and_not_black(tmp_path):
    write_nd2s(tmp_path / "a.nd2")
    content = (tmp_path / "a.nd2").read_bytes()
    (tmp_path / "b.nd2").write_bytes(content.replace(b"ImageDataSeq|5!", b"ImageDataSeq|x!"))
    options = StackOptions(scene=0, channel=0, z=2, time=1)
    with pytest.raises(ImageFileError, match=r"b\.nd2: it is damaged"):
        ImageFile(tmp_path / "b.nd2", planes=options).decode()
    write_lifs(tmp_path / "a.lif")
    (tmp_path / "b.lif").write_bytes((tmp_path / "a.lif").read_bytes()[:-9])
    with pytest.raises(ImageFileError, match=r"b\.lif: it is damaged"):
        ImageFile(tmp_path / "b.lif", planes=StackOptions(scene=1, channel=0, z=0, time=0)).decode()


@pytest.mark.parametrize(("name", "library"), [("a.nd2", "nd2"), ("a.lif", "liffile"), ("a.czi", "pylibCZIrw")])
def test_what_to_install_is_said(tmp_path, monkeypatch, name, library):
    KINDS[name][0](tmp_path / name)
    for module in [*sys.modules]:
        if module.partition(".")[0] == library:
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    told = rf"{name}: reading .* needs {library}: pip install 'cellprep\[images\]'"
    (image,) = find_images([tmp_path / name]).images
    with pytest.raises(ImageFileError, match=told):
        image.load()


def test_a_file_of_one_image_takes_scene_0(tmp_path):
    Image.fromarray(SCENES[0, 0, 0, 0].astype(np.uint8)).save(tmp_path / "a.png")
    assert ImageFile(tmp_path / "a.png", planes=StackOptions(scene=0)).decode().shape == (5, 6)
    with pytest.raises(ImageFileError, match="it has no scene 'A1': it has one, 0"):
        ImageFile(tmp_path / "a.png", planes=StackOptions(scene="A1")).decode()
