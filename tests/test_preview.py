import numpy as np
import pytest
from PIL import Image

from cellprep import BuildOptions, build_targets, napari_layers, open_source, open_store
from cellprep.commands.preview import Crop, draw_targets
from cellprep.commands.preview.panels import draw_outlined, draw_target
from cellprep.commands.preview.sheet import MOST_TILES
from cellprep.commands.preview.view import View
from cellprep.core.colours import OUTLINE, grey_levels, label_colours, outlined, vector_colours
from cellprep.core.targets import TARGETS
from cellprep.errors import UsageError


@pytest.fixture
def store(tmp_path):
    """Two images of 40 x 60 with a square of 15 x 21 in one of them, and pictures of both."""
    square = " ".join(f"{60 * y + 11} 21" for y in range(10, 25))
    (tmp_path / "train.csv").write_text(f"id,annotation,width,height,cell_type\na,{square},60,40,round\nb,,60,40,\n")
    (tmp_path / "images").mkdir()
    for name in "ab":
        pixels = np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    options = BuildOptions(images=tmp_path / "images", pixel_size=0.5, jobs=1, quiet=True)
    assert not build_targets(open_source(tmp_path / "train.csv"), tmp_path / "data.zarr", options).errors()
    return open_store(tmp_path / "data.zarr")


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


def test_directions_have_colours_of_their_own():
    """Opposite ones differ in lightness too, for eyes that do not tell the hues apart; no vector is dark grey."""
    angles = np.arange(0, 2 * np.pi, np.pi / 4)
    colours = vector_colours(np.stack([np.sin(angles), np.cos(angles)], axis=-1)[None])[0].astype(int)
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(8, dtype=int)
    assert apart.min() > 60
    light = colours @ [0.299, 0.587, 0.114]
    assert (np.abs(light - np.roll(light, 4)) > 35).all()
    assert len(np.unique(vector_colours(np.zeros((1, 1, 2))))) == 1


def test_cells_are_outlined_at_their_outermost_pixels():
    labels = np.zeros((5, 6), int)
    labels[1:4, 1:5] = 1
    yellow = (outlined(np.zeros((5, 6)), labels) == OUTLINE).all(axis=-1)
    assert yellow.sum() == 10 and not yellow[2, 2:4].any()
    assert (outlined(None, labels)[2, 2] > outlined(None, labels)[0, 0]).all()


def test_labels_side_by_side_differ():
    colours = label_colours(np.arange(200)[None])[0].astype(int)
    assert np.abs(np.diff(colours[1:], axis=0)).sum(axis=1).min() > 100
    assert len(np.unique(colours, axis=0)) == 200


def test_grey_levels_of_channels_and_of_one_value():
    assert grey_levels(np.full((2, 3, 4), 7)).tolist() == np.zeros((3, 4)).tolist()
    assert grey_levels(np.arange(1000).reshape(2, 20, 25)).shape == (20, 25)


def test_a_crop_is_drawn_where_it_is_in_the_image(store, axes):
    draw_outlined(axes, View(store["a"], Crop(8, 6, 10, 12)))
    (picture,) = axes.images
    assert picture.get_extent() == [5.5, 17.5, 17.5, 7.5]
    seen = np.asarray(picture.get_array())
    assert (seen[2, 4] == OUTLINE).all() and (seen[2, 3] != OUTLINE).any()  # row 10, columns 10 and 9 of the image
    assert [text.get_text() for text in axes.texts] == ["1 µm\n"]  # a fifth of 12 pixels of 0.5 µm is 1.2 µm


def test_arrows_are_the_vectors(store, axes):
    from matplotlib.quiver import Quiver

    draw_target(axes, View(store["a"], Crop(8, 8, 20, 26)), TARGETS["uvec"])
    (arrows,) = [child for child in axes.get_children() if isinstance(child, Quiver)]
    uvec = store["a"].read("uvec")
    y, x = arrows.XY[:, 1].astype(int), arrows.XY[:, 0].astype(int)
    assert len(x) == (uvec[8:28, 8:34] != 0).any(-1).sum()
    np.testing.assert_array_equal(np.stack([arrows.V, arrows.U], axis=-1), uvec[y, x])


def test_without_a_crop_there_are_no_arrows(store, axes):
    from matplotlib.quiver import Quiver

    draw_target(axes, View(store["a"]), TARGETS["uvec"])
    assert not [child for child in axes.get_children() if isinstance(child, Quiver)]


def test_scales_tell_levels_and_areas(store, axes):
    draw_target(axes, View(store["a"]), TARGETS["energy"])
    labels = [label.get_text() for label in axes.child_axes[0].get_xticklabels()]
    assert labels[:3] == ["0\n0", "2\n1.37", "4\n2.32"]


def test_an_image_without_cells_has_all_panels(store, axes, tmp_path):
    draw_target(axes, View(store["b"]), TARGETS["area"])
    draw_targets(store["b"], tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.size[0] == 2400


def test_large_images_are_thinned_out_and_say_so(store, monkeypatch, tmp_path):
    monkeypatch.setattr("cellprep.commands.preview.view._MOST_PIXELS", 20)
    view = View(store["a"])
    assert view.step == 3
    np.testing.assert_array_equal(view.labels, store["a"].read("labels")[::3, ::3])
    draw_targets(store["a"], tmp_path / "a.svg")


def test_the_command_draws_one_image_or_several(store, tmp_path, cli):
    for words, told in (
        ([], "image a of 2"),
        (["--image", "b"], "image b"),
        (["--image", "b", "--image", "a"], "2 images"),
        (["--contact-sheet"], "2 images"),
        (["--crop", "0,0,40,60"], "image a of 2"),
    ):
        out = tmp_path / "p.png"
        result = cli("preview", store.path, "--out", out, "--overwrite", *words)
        assert (result.exit_code, result.stderr) == (0, f"{out}: {told}\n")
        with Image.open(out) as picture:
            assert np.asarray(picture).std() > 10


@pytest.mark.parametrize("kind", ["png", "svg", "pdf", "jpg"])
def test_the_same_picture_has_the_same_bytes(store, tmp_path, cli, kind):
    pictures = []
    for name in "xy":
        assert cli("preview", store.path, "--out", tmp_path / f"{name}.{kind}").exit_code == 0
        pictures.append((tmp_path / f"{name}.{kind}").read_bytes())
    assert pictures[0] == pictures[1]


def test_a_contact_sheet_shows_what_it_can_and_says_how_many(tmp_path, cli, monkeypatch):
    rows = "\n".join(f"i{number:03},1 3,9,8" for number in range(MOST_TILES + 3))
    (tmp_path / "train.csv").write_text(f"id,annotation,width,height\n{rows}\n")
    build_targets(open_source(tmp_path / "train.csv"), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    monkeypatch.setattr("cellprep.commands.preview.run.MOST_TILES", 5)
    result = cli("preview", tmp_path / "s.zarr", "--contact-sheet", "--out", tmp_path / "p.png")
    assert result.stderr == f"{tmp_path / 'p.png'}: 5 images of 103\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--crop", "1,2,3"], "crop '1,2,3' is invalid: give y,x,h,w, such as 100,200,64,96"),
        (["--crop", "0,0,0,5"], "is invalid: y and x are at least 0, h and w at least 1"),
        (["--crop", "30,0,11,5"], "crop 30,0,11,5 extends beyond image a, which is 40 x 60 (height x width)"),
        (["--image", "c"], "image 'c' is not in"),
        (["--contact-sheet", "--crop", "0,0,5,5"], "a contact sheet shows whole images"),
        (["--image", "a"] * 13, "13 images with all their targets are too many for a picture: give at most 12"),
    ],
)
def test_what_cannot_be_drawn(store, tmp_path, cli, words, told):
    result = cli("preview", store.path, "--out", tmp_path / "p.png", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "p.png").exists()


def test_a_file_that_is_no_picture(store, tmp_path, cli):
    result = cli("preview", store.path, "--out", tmp_path / "p.txt")
    assert result.exit_code == 2
    assert "p.txt is not a picture: use the extension .png, or ." in result.stderr


def test_an_empty_store(tmp_path, cli):
    (tmp_path / "train.csv").write_text("id,annotation,width,height\na,1 99,9,8\n")
    build_targets(open_source(tmp_path / "train.csv"), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    result = cli("preview", tmp_path / "s.zarr", "--out", tmp_path / "p.png")
    assert (result.exit_code, result.stderr) == (1, f"error: {tmp_path / 's.zarr'} has no images\n")


def test_layers_of_napari_hold_what_the_store_does(store):
    image = store["a"]
    layers = {settings["name"]: (data, settings, kind) for data, settings, kind in napari_layers(image, every=1)}
    assert list(layers) == ["image", "distance", "energy", "area", "semseg", "labels", "uvec"]
    for name in ("image", "distance", "energy", "area", "labels"):
        np.testing.assert_array_equal(layers[name][0], image.read(name))
    assert {tuple(settings["scale"]) for _, settings, _ in layers.values()} == {(0.5, 0.5)}
    np.testing.assert_array_equal(layers["semseg"][0] == 2, image.read("semseg")[..., 1] == 1)
    starts, ways = layers["uvec"][0][:, 0], layers["uvec"][0][:, 1]
    uvec = image.read("uvec")
    assert len(starts) == (uvec != 0).any(-1).sum()
    np.testing.assert_array_equal(ways, uvec[tuple(starts.astype(int).T)])
    assert len(napari_layers(image, every=4)[-1][0]) < len(starts) / 10
    with pytest.raises(UsageError, match="every is 0"):
        napari_layers(image, every=0)
