"""First guesses with arrays and stores: each works, or one line names the argument, its value and the right form."""

import re
from base64 import b64decode
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stores import discs, noise, write_store

from cellprep import (
    CellprepError,
    Recipe,
    cells_from_labels,
    compute_targets,
    decode_rle,
    encode_labels,
    encode_rle,
    energy_to_labels,
    format_rle,
    open_source,
    open_store,
    parse_rle,
    read_bins,
    resolve_overlaps,
    score_image,
    summarise,
)
from cellprep.system.report import Report

LABELS = np.kron([[1, 1, 2], [1, 3, 2]], np.ones((9, 9), int))
MASKS = np.stack([number == LABELS for number in (1, 2, 3)])
TARGETS = compute_targets(cells_from_labels(LABELS))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    images = {name: (discs((40, 60), 5, k), noise((40, 60), k)) for k, name in enumerate(["<b>a", "spindle-1", "z"])}
    return write_store(tmp_path_factory.mktemp("guesses") / "s.zarr", images, Recipe(wall_width=5))


def same(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
    else:
        np.testing.assert_array_equal(found, expected)


WORKING = {
    "targets of labels": (lambda: compute_targets(LABELS), lambda: TARGETS),
    "targets of a list": (lambda: compute_targets(LABELS.tolist()), lambda: TARGETS),
    "an option by name": (
        lambda: compute_targets(LABELS, wall_width=5, bins="paper"),
        lambda: compute_targets(cells_from_labels(LABELS), Recipe(wall_width=5, bins=(*Recipe(bins="paper").bins,))),
    ),
    "a recipe, and an option on top of it": (
        lambda: compute_targets(LABELS, Recipe(distance="scipy"), overlap="later-on-top"),
        lambda: compute_targets(cells_from_labels(LABELS, "later-on-top"), Recipe(distance="scipy")),
    ),
    "a text is one mask": (lambda: decode_rle("1 3", (4, 5)), lambda: decode_rle(["1 3"], (4, 5))[0]),
    "a mask is one text": (lambda: encode_rle(MASKS[0]), lambda: encode_rle(MASKS)[0]),
    "a mask of 0 and 255": (lambda: encode_rle(np.uint8(255) * MASKS[0]), lambda: encode_rle(MASKS)[0]),
    "texts of a table's column": (lambda: decode_rle(np.array(["1 3", "2 1"]), (4, 5)).sum(), lambda: 4),
    "all targets back to labels": (lambda: energy_to_labels(TARGETS), lambda: LABELS),
    "energy alone": (lambda: np.unique(energy_to_labels(TARGETS["energy"])), lambda: [0, 1, 2, 3]),
    "no vectors": (
        lambda: energy_to_labels(TARGETS["energy"], mask=LABELS > 0),
        lambda: energy_to_labels(TARGETS["energy"], None, LABELS > 0),
    ),
    "a decoder's option by name": (
        lambda: energy_to_labels(TARGETS, decoder="original", level=2),
        lambda: energy_to_labels(TARGETS, decoder="original", options={"level": 2}),
    ),
    "overlaps of masks": (lambda: resolve_overlaps(MASKS).labels, lambda: LABELS),
    "overlaps of a list of masks": (
        lambda: resolve_overlaps([*MASKS.astype(int)]).areas,
        lambda: MASKS.sum((1, 2)),
    ),
    "scores of masks": (lambda: [score_image(MASKS, LABELS).aji], lambda: [1.0]),
    "scores with a list of what to ignore": (
        lambda: [score_image(LABELS, LABELS, ignore=(LABELS == 3).tolist()).truth],
        lambda: [2],
    ),
    "a summary of one": (
        lambda: [summarise(score_image(LABELS, LABELS))["pq"]],
        lambda: [summarise([score_image(LABELS, LABELS)])["pq"]],
    ),
}


@pytest.mark.parametrize(("guess", "means"), WORKING.values(), ids=WORKING)
def test_guesses_that_work(guess, means):
    same(guess(), means())


SHAPE = (4, 5)


@pytest.mark.parametrize(
    ("guess", "message"),
    [
        (
            lambda: compute_targets("a.tif"),
            "labels must be (H, W) integers, or Cells, not the text 'a.tif': read it first",
        ),
        (lambda: compute_targets(None), "labels must be (H, W) integers, or Cells, not None"),
        (lambda: compute_targets(MASKS), "not bool of shape (3, 18, 27): pass masks (n, H, W) to resolve_overlaps"),
        (lambda: compute_targets(LABELS > 0), "not bool of shape (18, 27): skimage.measure.label labels"),
        (lambda: compute_targets(LABELS / 1), "not float64 of shape (18, 27): convert these whole numbers"),
        (lambda: compute_targets(LABELS, wall_widht=5), "there is no option wall_widht: did you mean wall_width?"),
        (
            lambda: compute_targets(LABELS, background_cell="no"),
            "background_cell is the text 'no': give True or False",
        ),
        (
            lambda: compute_targets(LABELS, overlap=["background"]),
            "overlap rule ['background'] is unknown: use one of",
        ),
        (
            lambda: compute_targets(LABELS, bins="papre"),
            "there are no bins papre: give one of sartorius, paper",
        ),
        (lambda: compute_targets(LABELS, bins=[[1, 2]]), "bin [1, 2] is not a distance above 0"),
        (lambda: cells_from_labels([[1, 2], [3]]), "labels must be (H, W) integers, not a list of 2"),
        (lambda: resolve_overlaps(LABELS), "masks must be (n, H, W) booleans, not int64 of shape (18, 27)"),
        (
            lambda: resolve_overlaps([LABELS]),
            "number 0 has several values above 0; a label image is one (H, W) array",
        ),
        (lambda: resolve_overlaps(MASKS, areas=[1]), "areas has shape (1,): it must be (3,)"),
        (lambda: decode_rle("1 3", (4, 5, 3)), "shape must be (height, width) in pixels, not (4, 5, 3)"),
        (lambda: decode_rle("1 3", 20), "shape must be (height, width) in pixels, not 20"),
        (
            lambda: decode_rle(["1 3", float("nan")], SHAPE),
            "annotation 1: it is the float nan: give a string, such as '1 3'",
        ),
        (lambda: decode_rle([(1, 3)], SHAPE), "annotation 0: it is a tuple of 2: give a string"),
        (lambda: parse_rle(None, SHAPE), "texts must be run-length texts, such as ['1 3'], not None"),
        (lambda: parse_rle("1 3", SHAPE, ["row"]), "RLE order ['row'] is unknown"),
        (lambda: encode_rle(LABELS), "masks have 3 nonzero values: one mask (H, W) has one; use encode_labels"),
        (lambda: encode_rle([1, 0]), "masks must be (n, H, W), or a single (H, W), not int64 of shape (2,)"),
        (lambda: encode_labels(3), "labels must be (H, W) integers, not the int64 3"),
        (lambda: format_rle(MASKS), "runs must be Runs, as parse_rle returns them, not bool of shape (3, 18, 27)"),
        (lambda: energy_to_labels("energy.npy"), "energy must be (H, W) levels, not the text 'energy.npy'"),
        (lambda: energy_to_labels({"enrgy": LABELS}), "energy is missing; given are: enrgy"),
        (lambda: energy_to_labels(LABELS, "uvec"), "uvec must be (H, W, 2), not the text 'uvec'"),
        (lambda: energy_to_labels(LABELS, LABELS), "uvec has shape (18, 27), and energy (18, 27): uvec must be"),
        (
            lambda: energy_to_labels(TARGETS, options=3),
            "options must be values by name, such as {'level': 2}, not the int 3",
        ),
        (lambda: energy_to_labels(TARGETS, levle=2), "decoder walls has no option 'levle'"),
        (
            lambda: score_image(Path("a.tif"), LABELS),
            "predicted must be (H, W) integers, (n, H, W) booleans, or Runs, not",
        ),
        (lambda: score_image(LABELS, LABELS > 0), "truth must be"),
        (lambda: score_image(LABELS, LABELS, scores="high"), "scores must be (n,) numbers, not the text 'high'"),
        (
            lambda: summarise([]),
            "scores must be ImageScores, as score_image returns them, one or more: not a list of 0",
        ),
        (lambda: read_bins(None), "a path must be a string or a Path, not None"),
        (lambda: open_store(3), "a path must be a string or a Path, not the int 3"),
        (lambda: open_source([LABELS]), "a path must be a string or a Path, not a list of 1"),
    ],
)
def test_guesses_that_are_refused(guess, message):
    with pytest.raises(CellprepError, match=re.escape(message)) as caught:
        guess()
    assert "\n" not in str(caught.value)


def test_a_store_reads_as_dictionaries_do(store):
    image = store["spindle-1"]
    np.testing.assert_array_equal(image["energy"], image.read("energy"))
    assert "energy" in image
    assert "enrgy" not in image
    assert list(image) == image.arrays
    assert dict(image).keys() == set(image.arrays)
    semseg = image["semseg"]
    decoded = energy_to_labels(image["energy"], image["uvec"], semseg[..., 0] + semseg[..., 1], semseg[..., 1])
    np.testing.assert_array_equal(energy_to_labels(image), decoded)
    assert image.recipe == store.recipe == Recipe(wall_width=5)
    assert (image.cell_type, image.recipe_hash) == (None, image.attributes["recipe"])
    assert store.get("nobody", "default") == "default"


@pytest.mark.parametrize(
    ("guess", "message"),
    [
        (lambda store: store["spindel-1"], "s.zarr has no image 'spindel-1': did you mean spindle-1?"),
        (lambda store: store["nobody"], "s.zarr has no image 'nobody': list(store) returns all ids"),
        (lambda store: store[0], "an image id is a string, not the int 0: list(store) returns all ids, sorted"),
        (lambda store: store["z"]["enrgy"], "has no array 'enrgy': did you mean energy? It has image, labels"),
        (lambda store: store["z"][0], "expects the name of an array, not the int 0: it has image, labels"),
    ],
)
def test_wrong_names_are_answered_with_like_ones(store, guess, message):
    with pytest.raises(CellprepError, match=re.escape(message)) as caught:
        guess(store)
    assert isinstance(caught.value, KeyError)


def test_a_window_is_two_slices(store):
    with pytest.raises(CellprepError, match=r"window must be two slices, .* not \(0, 9\)"):
        store["z"].read("energy", (0, 9))


class Found(HTMLParser):
    """The elements of a part of a page, and the pictures in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sizes = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "img":
            picture = Image.open(BytesIO(b64decode(dict(attrs)["src"].removeprefix("data:image/png;base64,"))))
            self.sizes.append(picture.size)


def test_notebooks_show_tables_and_pictures_and_no_markup_of_others(store):
    source = open_source(store.path)
    for shown, pictures in ((store, 3), (source, 3), (store["<b>a"], 1)):
        found = Found(shown._repr_html_())
        assert found.tags <= {"div", "p", "b", "table", "tbody", "tr", "th", "td", "br", "figure", "img", "figcaption"}
        assert found.sizes == [(60, 40)] * pictures
        assert "<b>a" not in shown._repr_html_()
        assert "wall_width=5" in shown._repr_html_() or shown is source


def test_a_large_store_is_shown_by_a_few_of_its_images(tmp_path, monkeypatch):
    images = {f"i{k:02d}": (discs((9, 9), 1), None) for k in range(17)}
    shown = write_store(tmp_path / "s.zarr", images)
    assert len(Found(shown._repr_html_()).sizes) == 8
    assert len(shown.opened()) == 8
    monkeypatch.setattr("cellprep.text.notebook._SECONDS", -1)
    assert len(Found(shown._repr_html_()).sizes) == 1


def test_what_cannot_be_drawn_is_left_out(tmp_path):
    store = write_store(tmp_path / "s.zarr", {"a": (discs((9, 9), 1), None), "b": (discs((9, 9), 1), None)})
    (store.path / "a/labels/instances/0/zarr.json").unlink()
    assert len(Found(store._repr_html_()).sizes) == 1


def test_huge_and_damaged_images_are_told_and_not_drawn(store, monkeypatch):
    image, damaged = (open_store(store.path)["z"] for _ in range(2))
    monkeypatch.setattr(type(image), "is_huge", True)
    assert Found(image._repr_html_()).sizes == []
    del damaged.attributes["arrays"]
    assert repr(damaged) == "<StoredImage 'z': damaged>"
    assert "</th><td>" + str(store.path) in damaged._repr_html_()
    assert "is damaged" in damaged._repr_html_()
    opened = open_store(store.path)
    opened.attributes["recipe"]["wall_width"] = 4
    assert "its `recipe` is invalid: wall width 4" in unescape(opened._repr_html_())


class Outcome(Report):
    def __init__(self):
        self.failures, self.rows = {"<i>": "is wrong", "b": "is, too"}, ()


def test_objects_are_told_in_a_line(store):
    score = score_image(LABELS, LABELS)
    assert repr(Recipe(bins=range(1, 20))).endswith(
        "bins=(1.0, 2.0, ..., 19.0), background_cell=False, per_instance=False)"
    )
    assert eval(repr(Recipe(wall_width=5))) == Recipe(wall_width=5)
    assert repr(store["z"]).startswith("<StoredImage 'z': 40 x 60 pixels, 5 cells; image, labels,")
    assert repr(cells_from_labels(LABELS)) == "<Cells: 3 in 18 x 27 pixels>"
    assert repr(parse_rle("1 3", SHAPE)) == "<Runs: 1 mask in 4 x 5 pixels, 1 run, counted by row>"
    assert repr(score).startswith("<ImageScore: 3 true and 3 predicted cells, 3 matched at an IoU of 0.5;")
    assert repr(open_source(store.path)) == f"<CellprepStore {store.path}: 3 images>"
    assert repr(Outcome()) == "<Outcome: 2 images, 2 failed>"
    assert "&lt;i&gt;: is wrong<br>b: is, too" in Outcome()._repr_html_()


def test_every_report_is_told_in_a_line():
    assert all(kind.__repr__ is Report.__repr__ for kind in Report.__subclasses__())


@pytest.mark.slow
def test_segment_takes_what_people_have(tmp_path):
    pytest.importorskip("torch")
    from cellprep.learn import Bundle, NetworkSettings, Normalisation, Weights, build_network, segment

    network = build_network(NetworkSettings("wn", base_channels=1), seed=0)
    weights = Weights(network, Normalisation("dataset", low=(100,), high=(150,)))
    pixels = noise((40, 50))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = segment(pixels, Bundle(weights), mask=pixels > 50, min_area=5)
    for guess in (tmp_path / "a.png", str(tmp_path / "a.png"), pixels[..., None], Image.open(tmp_path / "a.png")):
        same(segment(guess, weights, mask=pixels > 50, min_area=5), expected)
    for guess, options, message in (
        (
            None,
            {},
            "image must be a file, or an array (H, W), optionally with up to four channels first or last, not None",
        ),
        (np.zeros((2, 3, 4, 5)), {}, "not float64 of shape (2, 3, 4, 5)"),
        (tmp_path / "b.png", {}, "cannot read"),
        (pixels, {"min_aera": 5}, "there is no option min_aera: did you mean min_area?"),
        (pixels, {"weights": 3}, "weights must be a name, or one or several paths, not the int 3"),
        (pixels, {"mask": "b.png"}, "cannot read b.png"),
    ):
        with pytest.raises(CellprepError, match=re.escape(message)):
            segment(guess, **{"weights": weights, "mask": pixels > 50, **options})
    assert repr(weights).startswith("<Weights of wn: ")
    assert repr(Bundle(weights)).startswith("<Bundle of wn: 1 channel, decoded by")
