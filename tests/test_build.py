import json

import cv2
import numpy as np
import pytest
import tifffile
import zarr
from conftest import tree
from PIL import Image

from cellprep import (
    BuildOptions,
    BuildReport,
    Recipe,
    build_targets,
    compute_targets,
    encode_rle,
    open_source,
    open_store,
    resolve_overlaps,
    verify_store,
)
from cellprep._version import __version__
from cellprep.commands.build_targets.task import ImageOutcome, Status
from cellprep.commands.check import CheckOptions, check_source
from cellprep.core.targets import compute_some
from cellprep.errors import ImageFileError, StoreError, StoreWriteError, UsageError

ROWS = [
    "a,1 3 7 3,6,5,round",
    "a,2 2 8 2,6,5,spindle",
    "b,1 30,6,5,round",
    "b,13 6,6,5,round",
    "c,,4,3,round",
]


def build(csv, out, **options):
    return build_targets(open_source(csv), out, BuildOptions(**{"jobs": 1, "quiet": True, **options}))


def counts(report):
    return report.new, report.rewritten, report.current, len(report.failures)


@pytest.fixture
def csv(write_csv):
    return write_csv(*ROWS)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data.zarr"


def save_images(folder, **shapes):
    folder.mkdir(exist_ok=True)
    for image_id, shape in shapes.items():
        Image.fromarray(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)).save(folder / f"{image_id}.png")
    return folder


def test_builds_what_the_library_computes(csv, out):
    report = build(csv, out)
    assert counts(report) == (3, 0, 0, 0)
    assert (report.cells, report.empty) == (4, 1)
    store = open_store(out)
    assert list(store) == ["a", "b", "c"]
    for image in open_source(csv).images():
        cells = resolve_overlaps(image.load().runs)
        stored = store[image.image_id]
        np.testing.assert_array_equal(stored.read("labels"), cells.labels)
        for name, array in compute_targets(cells).items():
            np.testing.assert_array_equal(stored.read(name), array)
    assert store["a"].read("cells").tolist() == [[2, 6, 0], [3, 4, 1]]
    assert store["c"].read("cells").shape == (0, 3)
    assert store["a"].attributes["categories"] == ["round", "spindle"]
    assert store["c"].attributes["cell_type"] == "round"


def test_the_store_tells_its_recipe_and_source(csv, out):
    build(csv, out, recipe=Recipe(wall_width=5), pixel_size=0.5)
    attributes = open_store(out).attributes
    assert attributes["recipe"]["wall_width"] == 5
    assert attributes["recipe"]["pixel_size"] == 0.5
    assert attributes["source"] == {
        "name": "train.csv",
        "format": "kaggle-csv",
        "sha256": open_source(csv).sha256,
    }


def test_hidden_cells_are_named(write_csv, out):
    rows = ["a,1 4,6,5,x", "a,1 2,6,5,x", "a,3 2,6,5,x"]
    report = build(write_csv(*rows), out)
    assert report.hidden == {"a": (2,)}
    assert "  a: row 2" in report.notes()
    assert open_store(out)["a"].attributes["hidden"] == [1]
    assert build(write_csv(*rows), out).hidden == {"a": (2,)}  # a second run names them, too


def test_a_second_run_writes_nothing(csv, out):
    build(csv, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert counts(build(csv, out)) == (0, 0, 3, 0)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": Recipe(overlap="background")},
        {"recipe": Recipe(wall_width=5)},
        {"recipe": Recipe(distance="scipy")},
        {"recipe": Recipe(bins=(1.0, 2.0))},
        {"recipe": Recipe(background_cell=True)},
        {"pixel_size": 0.5},
        {"rebuild": True},
    ],
)
def test_other_options_make_images_stale(csv, out, tmp_path, change):
    build(csv, out)
    assert counts(build(csv, out, **change)) == (0, 3, 0, 0)
    build(csv, tmp_path / "fresh.zarr", **change)
    assert tree(out) == tree(tmp_path / "fresh.zarr")


def test_other_annotations_make_their_image_stale(write_csv, out):
    build(write_csv(*ROWS), out)
    changed = [ROWS[0].replace("7 3", "7 2"), *ROWS[1:]]
    assert counts(build(write_csv(*changed), out)) == (0, 1, 2, 0)


def test_another_order_makes_images_stale(csv, out):
    build(csv, out)
    report = build_targets(open_source(csv, rle_order="column"), out, BuildOptions(jobs=1))
    assert counts(report) == (0, 3, 0, 0)


def test_other_pixels_make_their_image_stale(csv, out, tmp_path):
    folder = save_images(tmp_path / "images", a=(5, 6), b=(5, 6), c=(3, 4))
    assert counts(build(csv, out, images=folder)) == (3, 0, 0, 0)
    assert counts(build(csv, out, images=folder)) == (0, 0, 3, 0)
    np.testing.assert_array_equal(open_store(out)["c"].read("image"), np.arange(12).reshape(3, 4))
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(folder / "c.png")
    assert counts(build(csv, out, images=folder)) == (0, 1, 2, 0)
    assert counts(build(csv, out, images=False)) == (0, 3, 0, 0)
    assert "image" not in open_store(out)["a"].arrays


def test_images_that_do_not_fit_fail_alone(csv, out, tmp_path):
    folder = save_images(tmp_path / "images", a=(5, 6), b=(6, 5))
    (folder / "c.png").write_bytes(b"not a picture")
    report = build(csv, out, images=folder)
    assert counts(report) == (1, 0, 0, 2)
    sizes = "6 x 5 (height x width): its annotations are 5 x 6; height and width are swapped"
    assert report.failures["b"] == f"{folder / 'b.png'} is {sizes}"
    assert report.failures["c"] == f"{folder / 'c.png'}: it is damaged, or not a PNG"
    (folder / "b.png").unlink()
    assert "there is no image file b.* in" in build(csv, out, images=folder).failures["b"]
    with pytest.raises(ImageFileError, match="cannot read the image folder"):
        build(csv, out, images=tmp_path / "nowhere")


def test_faulty_rows_fail_their_images_and_no_others(write_csv, out):
    report = build(write_csv(*ROWS, "b,1 2 3,6,5,x", "../d,1 2,6,5,x"), out)
    assert counts(report) == (2, 0, 0, 2)
    assert list(open_store(out)) == ["a", "c"]
    assert report.errors() == [
        "error: 2 of 4 images failed:",
        "  b: train.csv row 7: it has an odd number of values (3): a run has a start and a length",
        "  ../d: train.csv row 8: image id '../d' is refused: it begins with a dot",
    ]


def test_a_failed_rebuild_removes_the_stale_image(write_csv, out):
    build(write_csv(*ROWS), out)
    report = build(write_csv(*ROWS, "b,0 3,6,5,x"), out)
    assert list(open_store(out)) == ["a", "c"]
    assert report.removed == ["b"]
    assert report.errors()[-2:] == ["the stale versions of these failed images were removed from the store:", "  b"]


def test_images_that_left_the_source_are_named_and_pruned_on_demand(write_csv, out):
    build(write_csv(*ROWS), out)
    report = build(write_csv(*ROWS[:2]), out)
    assert report.gone == ["b", "c"]
    assert report.notes()[:3] == [
        "2 images no longer in the source, or excluded (kept; --prune removes them):",
        "  b",
        "  c",
    ]
    assert list(open_store(out)) == ["a", "b", "c"]
    report = build(write_csv(*ROWS[:2]), out, prune=True)
    assert report.notes()[0] == "2 images no longer in the source, or excluded (removed):"
    assert list(open_store(out)) == ["a"]


def test_chosen_images_only(csv, out):
    report = build(csv, out, only=("b", "b"))
    assert counts(report) == (1, 0, 0, 0)
    assert report.total == 1
    assert list(open_store(out)) == ["b"]
    build(csv, out)
    assert build(csv, out, only=("a",)).gone == []
    with pytest.raises(UsageError, match=r"image 'x' is not in train\.csv"):
        build(csv, out, only=("a", "x"))


def test_a_damaged_image_in_the_store_is_built_again(csv, out, tmp_path):
    build(csv, out)
    (out / "a/zarr.json").write_text("{")
    assert counts(build(csv, out)) == (0, 1, 2, 0)
    build(csv, tmp_path / "fresh.zarr")
    assert tree(out) == tree(tmp_path / "fresh.zarr")


@pytest.mark.parametrize("jobs", [2, 3])
def test_the_same_bytes_for_any_number_of_jobs(write_csv, tmp_path, jobs):
    rng = np.random.default_rng(0)
    rows = []
    for k in range(12):
        for _ in range(rng.integers(1, 6)):
            starts = 20 * np.sort(rng.choice(40, 5, replace=False)) + 1
            rows.append(f"{k},{' '.join(f'{start} {rng.integers(1, 20)}' for start in starts)},40,20,x")
    csv = write_csv(*rng.permutation(rows))
    for number in (1, jobs):
        build(csv, tmp_path / f"{number}.zarr", jobs=number)
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / f"{jobs}.zarr")


def column_major_rows():
    """Discs in images of 130 x 176 pixels, counted by column."""
    y, x = np.mgrid[:130, :176]
    discs = np.stack([(y - 40) ** 2 + (x - 50 - k) ** 2 < 100 for k in range(3)])
    return [f"{k},{text},176,130,x" for k, text in enumerate(encode_rle(discs, "column"))]


def test_masks_in_the_other_order_are_noticed(write_csv, out):
    csv = write_csv(*column_major_rows())
    report = build(csv, out)
    assert any("again with --rle-order column" in line for line in report.notes())
    right = build_targets(open_source(csv, rle_order="column"), out, BuildOptions(jobs=1))
    assert not right.looks_scattered


def test_a_picture_among_labels_fails_alone_unless_insisted_upon(tmp_path):
    folder, rows = tmp_path / "masks", np.arange(60)[:, None]
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    smooth = (120 + 60 * np.sin(rows / 20) + 50 * np.cos(np.arange(80) / 20)).astype(np.uint8)
    cells = np.kron(noise[:6, :8], np.ones((10, 10), np.uint8))
    small = np.kron(np.arange(1, 301, dtype=np.uint16).reshape(15, 20), np.pad(np.ones((3, 3), np.uint16), (0, 1)))
    classes = np.where(smooth > 150, 2, 1).astype(np.uint8)
    for name, image in (("noise", noise), ("smooth", smooth), ("cells", cells), ("small", small), ("classes", classes)):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    report = build(folder, tmp_path / "s.zarr")
    assert list(report.failures) == ["noise", "smooth"]
    assert report.failures["smooth"].startswith(f"{folder / 'smooth.png'} looks like a picture by its values: a label")
    insisted = build_targets(open_source(folder, "label-folder"), tmp_path / "t.zarr", BuildOptions(jobs=1, quiet=True))
    assert (insisted.new, insisted.failures) == (5, {})


def test_annotations_say_how_a_picture_is_to_be_turned(tmp_path):
    grey, cells = np.arange(48, dtype=np.uint8).reshape(6, 8), np.eye(6, 8, dtype=np.uint8)
    for name, labels in (("raw", cells), ("upright", np.rot90(cells, -1)), ("square", cells[:, :6])):
        for folder, image in (
            ("masks", np.ascontiguousarray(labels)),
            ("images", grey[:, :6] if name == "square" else grey),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            tagged = [(274, "H", 1, 6, True)] if folder == "images" else []
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", image, extratags=tagged)
    report = build(tmp_path, tmp_path / "s.zarr")
    assert (report.failures, report.turned, report.as_stored) == ({}, ["square", "upright"], ["raw"])
    stored = open_store(tmp_path / "s.zarr")
    np.testing.assert_array_equal(stored["raw"].read("image"), grey)
    np.testing.assert_array_equal(stored["upright"].read("image"), np.rot90(grey, -1))
    np.testing.assert_array_equal(stored["square"].read("image"), np.rot90(grey[:, :6], -1))
    assert verify_store(tmp_path / "s.zarr", jobs=1, quiet=True).errors() == []
    again = build(tmp_path, tmp_path / "s.zarr")
    assert (again.current, again.turned, again.as_stored) == (3, ["square", "upright"], ["raw"])
    ignored = build(tmp_path, tmp_path / "s.zarr", orientation="ignore")
    assert (list(ignored.failures), ignored.as_stored) == (["upright"], ["raw", "square"])
    np.testing.assert_array_equal(open_store(tmp_path / "s.zarr")["square"].read("image"), grey[:, :6])


def test_every_command_that_reads_images_turns_them_alike(tmp_path, cli, monkeypatch):
    """Labels with a tag of their own are refused by all, unless the same option says what is right."""
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / "images").mkdir(exist_ok=True)
        tifffile.imwrite(f"masks/{name}.tif", np.eye(6, 6, 1, np.uint8), extratags=[(274, "H", 1, 3, True)])
        tifffile.imwrite(f"images/{name}.tif", np.arange(36, dtype=np.uint8).reshape(6, 6))
    quick = ("--jobs", "1")
    commands = [
        ("build-targets", ".", "--out", "s.zarr"),
        ("check", ".", "--strict", "--rule", "image-fault"),
        ("report", ".", "--overwrite"),
        ("split", ".", "--folds", "2", "--overwrite"),
        ("evaluate", "masks", "masks"),
    ]
    for command in commands:
        refused = cli(*command, *quick)
        assert refused.exit_code == 1, command
        assert "its Orientation tag (3) asks for a rotation" in refused.output, command
        for choice in ("apply", "ignore"):
            assert cli(*command, *quick, "--orientation", choice).exit_code == 0, command
    for name in "abcd":
        tifffile.imwrite(f"masks/{name}.tif", np.eye(6, 6, 1, np.uint8))
        grey = np.arange(36, dtype=np.uint8).reshape(6, 6)
        tifffile.imwrite(f"images/{name}.tif", grey, extratags=[(274, "H", 1, 3, True)])
    for command in commands[:3]:
        assert "4 images rotated as the Orientation tag (EXIF) says" in cli(*command, *quick).output, command
        ignored = cli(*command, *quick, "--orientation", "ignore").output
        assert "4 images kept in the stored orientation; the Orientation tag (EXIF) was ignored" in ignored, command


def test_build_tells_of_pixels_that_are_no_numbers(tmp_path):
    for folder in ("masks", "images"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "masks/a.tif", np.ones((4, 5), np.uint8))
    tifffile.imwrite(tmp_path / "images/a.tif", np.full((4, 5), np.nan, np.float32))
    assert build(tmp_path, tmp_path / "s.zarr").nan == ["a"]
    found = check_source(open_source(tmp_path), CheckOptions(jobs=1, quiet=True)).flagged
    assert "image-nan" in {finding.rule for finding in found}


@pytest.mark.parametrize(("touching", "scattered"), [((5, 100), True), ((20, 100), False), ((1, 19), False)])
def test_only_a_great_difference_makes_masks_suspicious(touching, scattered):
    report = BuildReport("s.zarr", "row", total=1)
    report.add(ImageOutcome("a", Status.BUILT, touching=touching), was_there=False)
    assert report.looks_scattered == scattered


def test_masks_in_the_right_order_are_not_suspected(csv, out):
    assert not build(csv, out).looks_scattered


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": 5}, "only is the int 5: give one string or a list of strings"),
        ({"jobs": 0}, "jobs is 0: give 1 or more"),
        ({"jobs": -2}, "jobs is -2: give 1 or more"),
        ({"pixel_size": 0.0}, "pixel size 0.0 is invalid: give a number of micrometres"),
        ({"pixel_size": float("nan")}, "pixel size nan is invalid"),
    ],
)
def test_options_are_validated(options, message):
    with pytest.raises(UsageError, match=message):
        BuildOptions(**options)


@pytest.mark.parametrize("kind", ["file", "folder", "zarr group"])
def test_what_is_no_store_is_left_alone(csv, tmp_path, kind):
    out = tmp_path / "precious"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / ("zarr.json" if kind == "zarr group" else "thesis.tex")).write_text(
            json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})
        )
    before = out.read_bytes() if kind == "file" else tree(out)
    with pytest.raises(StoreError, match=r"is not a cellprep store|cannot hold a store"):
        build(csv, out)
    assert before == (out.read_bytes() if kind == "file" else tree(out))


def test_an_empty_folder_may_become_a_store(csv, out):
    out.mkdir()
    assert counts(build(csv, out)) == (3, 0, 0, 0)


def test_a_source_that_fails_half_way_keeps_what_was_built(write_csv, out, monkeypatch):
    monkeypatch.setattr("cellprep.formats.tables._MOST_HELD", 0)
    source = open_source(write_csv(*ROWS))
    write_csv(*ROWS[:2])
    report = build_targets(source, out, BuildOptions(jobs=1, prune=True))
    assert "was changed while it was read: run the command again; 2 images not tried" in report.errors()[-1]
    assert list(open_store(out)) == ["a"]
    assert not report.pruned
    assert not (out / ".cellprep").exists()


def test_what_failed_is_told_also_when_the_source_fails_half_way(write_csv, out, monkeypatch):
    monkeypatch.setattr("cellprep.formats.tables._MOST_HELD", 0)
    source = open_source(write_csv("bad,0 1,6,5,x", *ROWS))
    write_csv("bad,0 1,6,5,x", *ROWS[:2])
    report = build_targets(source, out, BuildOptions(jobs=1))
    assert report.failures.keys() == {"bad"}
    assert report.stopped


@pytest.mark.parametrize("image_id", ["", "..", "../elsewhere", "zarr.json", "__x", "a\0b", "x" * 300, "é" * 101])
def test_refused_ids_fail_alone_and_touch_nothing(write_csv, out, image_id):
    (out.parent / "elsewhere").mkdir()
    report = build(write_csv(f"{image_id},1 2,6,5,x", *ROWS), out)
    assert report.failures.keys() == {image_id}
    assert not report.stopped
    assert list(open_store(out)) == ["a", "b", "c"]
    assert image_id not in open_store(out)
    assert (out.parent / "elsewhere").is_dir()
    assert all(line.isprintable() for line in report.errors())


def test_other_groups_in_a_store_are_left_alone(csv, out):
    build(csv, out)
    theirs = zarr.create_group(out, path="predictions")
    theirs.attrs["mine"] = True
    report = build(csv, out, prune=True)
    assert report.gone == []
    assert list(open_store(out)) == ["a", "b", "c"]
    assert zarr.open_group(out / "predictions").attrs["mine"]


@pytest.mark.parametrize("kind", ["group", "folder", "file", "[]", '{"attributes": null}'])
@pytest.mark.parametrize("rle", ["1 2", "0 1"])
def test_what_stands_in_an_images_place_is_left_alone(csv, write_csv, out, kind, rle):
    build(csv, out)
    if kind == "group":
        zarr.create_group(out, path="mine")
    elif kind[0] in "[{":
        (out / "mine").mkdir()
        (out / "mine" / "zarr.json").write_text(kind)
    elif kind == "folder":
        (out / "mine").mkdir()
        (out / "mine" / "notes.txt").write_text("mine")
    else:
        (out / "mine").write_text("mine")
    before = tree(out)
    report = build(write_csv(*ROWS, f"mine,{rle},6,5,x"), out)
    assert report.failures.keys() == {"mine"}
    assert (report.removed, report.stopped) == ([], "")
    assert {name: data for name, data in tree(out).items() if name != "zarr.json"} == {
        name: data for name, data in before.items() if name != "zarr.json"
    }
    if rle == "1 2":
        assert report.failures["mine"] == f"{out / 'mine'} was not written by cellprep and is in the way: move it"


def test_an_image_that_cannot_be_moved_into_place_is_named(csv, out, monkeypatch):
    def refuse(writer, image_id):
        raise StoreWriteError(out, "No space left on device")

    monkeypatch.setattr("cellprep.store.StoreWriter.commit", refuse)
    report = build(csv, out)
    assert report.failures == {"a": "No space left on device"}
    assert report.errors()[-1].startswith(f"error: cannot write to {out}: No space left on device; 2 images not tried")


def test_failures_are_told_in_the_order_of_the_source(write_csv, out):
    rows = [f"{k},{'0 1' if k % 3 else '1 4'},60,50,x" for k in (5, 3, 9, 1, 8, 2, 7, 4)]
    rows.insert(3, "big,1 3000,60,50,x")
    rows.append("big,1 3000,60,50,x")
    rows += ["big2,1 100,60,50,x", "big2,1 100,60,50,x"]
    report = build(write_csv(*rows), out, jobs=2)
    assert list(report.failures) == ["5", "1", "8", "2", "7", "4"]
    assert list(report.hidden) == ["big", "big2"]


def test_a_new_schema_makes_images_stale(csv, out, monkeypatch):
    build(csv, out)
    monkeypatch.setattr("cellprep.commands.build_targets.image.SCHEMA_VERSION", 2)
    assert counts(build(csv, out)) == (0, 3, 0, 0)


def test_equal_recipes_are_equal_however_they_are_given(csv, out):
    images = save_images(out.parent / "i", a=(5, 6), b=(5, 6), c=(3, 4))
    build(csv, out, recipe=Recipe(bins=(1, 2), wall_width=5), images=str(images), pixel_size=1)
    recipe = Recipe(bins=np.array([1, 2], np.float32), wall_width=np.int64(5), background_cell=np.False_)
    assert counts(build(csv, out, recipe=recipe, images=images, pixel_size=np.float32(1))) == (0, 0, 3, 0)


def test_something_unexpected_fails_one_image(csv, out, monkeypatch):
    def explode(cells, *others):
        if cells.labels.shape == (3, 4):
            raise ZeroDivisionError("of\nsome sort")
        return compute_some(cells, *others)

    monkeypatch.setattr("cellprep.core.targets.by_window.compute_some", explode)
    report = build(csv, out)
    assert report.failures == {"c": "unexpected ZeroDivisionError: of some sort; please report this"}
    assert list(open_store(out)) == ["a", "b"]


def test_a_store_of_an_earlier_version_stays_as_it_is(csv, out, monkeypatch):
    """The version is told at the root, and changes no recipe: images are current, and whole."""
    with monkeypatch.context() as earlier:
        earlier.setattr("cellprep.commands.build_targets.__version__", "0.1.0")
        build(csv, out)
    before = tree(out)
    assert open_store(out).attributes["version"] == "0.1.0"
    assert not verify_store(out, jobs=1, quiet=True).errors()
    assert counts(build(csv, out)) == (0, 0, 3, 0)
    assert open_store(out).attributes["version"] == __version__
    assert {name for name, content in tree(out).items() if content != before[name]} == {"zarr.json"}
