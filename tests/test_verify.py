import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import zarr
from conftest import THOROUGH, examples, masks, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_safety import as_ordinary_user

from cellprep import (
    DISTANCES,
    OVERLAP_RULES,
    BuildOptions,
    Recipe,
    build_targets,
    describe_store,
    encode_rle,
    open_source,
    open_store,
    verify_store,
)
from cellprep.commands.verify import arrays, table
from cellprep.commands.verify.image import verify_image
from cellprep.commands.verify.root import root_faults
from cellprep.errors import StoreError, UsageError
from cellprep.store import StoreWriter, documents
from cellprep.store.arrays import array_path, read_array, write_array
from cellprep.store.documents import group_document, guarded_document
from cellprep.store.image import read_attributes

SIDE = 12


def rows_of(image_id, stack, cell_type="x"):
    height, width = stack.shape[1:]
    texts = encode_rle(stack) if len(stack) else [""]
    return [f"{image_id},{text},{width},{height},{cell_type}" for text in texts if text or len(texts) == 1]


def drawn():
    """Three cells, of which the second overlaps the first, and a fourth that the first covers."""
    stack = np.zeros((4, SIDE, SIDE), bool)
    stack[0, 1:8, 1:8] = True
    stack[1, 4:10, 6:11] = True
    stack[2, 9:11, 1:4] = True
    stack[3, 2, 2] = True
    return stack


def build(csv, out, **options):
    return build_targets(open_source(csv), out, BuildOptions(**{"jobs": 1, "quiet": True, **options}))


def verify(out, **options):
    return verify_store(out, **{"jobs": 1, "quiet": True, **options})


@pytest.fixture
def csv(write_csv):
    stack = drawn()
    hidden = stack[[0, 1, 2, 0]]  # the first is hidden by its twin
    return write_csv(*rows_of("a", stack, "round"), *rows_of("b", hidden), *rows_of("c", stack[:0]))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A place for the store of `csv`, which the first test that needs it builds."""
    return tmp_path_factory.mktemp("built") / "s.zarr"


@pytest.fixture
def out(csv, kept, tmp_path):
    """A copy of that store, to be damaged: of files of its own, as tests write into them."""
    if not kept.exists():
        build(csv, kept)
    return shutil.copytree(kept, tmp_path / "s.zarr")


def rewrite(out, name, change, image_id="b"):
    """Change an array in place, and write it back as validly encoded as before; `bytes` follows."""
    folder = out / image_id / array_path(name)
    array = read_array(folder, name)
    changed = change(array)
    shutil.rmtree(folder)
    write_array(folder, name, array if changed is None else changed)
    image = out / image_id
    size = sum(path.stat().st_size for path in image.rglob("*") if path.is_file() and path.name != "zarr.json")
    edit(image, {"bytes": size})


def edit(group, value):
    """Change what a group says of itself, as cellprep would write it."""
    attributes = json.loads((group / "zarr.json").read_text())["attributes"]
    attributes["cellprep"] |= value
    (group / "zarr.json").write_bytes(guarded_document(attributes))


def assigning(place, value):
    def change(array):
        assert not np.array_equal(array[place], value), "the change changes nothing"
        array[place] = value

    return change


def add_ignore(image):
    """Add an array of pixels to ignore to an image, one of them in a cell."""
    ignore = np.zeros((SIDE, SIDE), np.uint8)
    ignore[2, 3] = ignore[11, 11] = 1
    size = write_array(image / "ignore", "ignore", ignore)
    attributes = open_store(image.parent)[image.name].attributes
    edit(image, {"arrays": [*attributes["arrays"], "ignore"], "bytes": attributes["bytes"] + size})


def swap_cells(array):
    """Make the first cell and what is not cell exchange a pixel, within the rules of a partition."""
    array[5, 2] = (0, 1, 0)


# What is changed: the array, how, the rule that it breaks, and words of the report; y, x where there is a place.
TAMPERED = {
    "unknown label": (
        "labels",
        assigning((3, 5), 9),
        "known labels",
        "wrong, the first at y 3, x 5: 9; there are 4 ann",
    ),
    "hidden cell": (
        "labels",
        assigning((0, 0), 1),
        "hidden cells",
        "1 label wrong in `hidden`: 1 is in `hidden`, but",
    ),
    "row": ("cells", assigning((1, 0), 6), "rows", "source row 6 occurs 2 times"),
    "area": (
        "cells",
        assigning((3, 1), 3),
        "areas of annotations",
        "1 area wrong, the first is that of label 4: 3, but the label has 41",
    ),
    "category": ("cells", assigning((0, 2), 1), "categories", "label 1 has category 1 of 1"),
    "cell type": ("cells", None, "cell type", "`cell_type` is 'y', but most cells are 'x'"),
    "two classes": ("semseg", assigning((5, 7, 1), 1), "walls", "1 pixel wrong, the first at y 5, x 7: (1, 1, 0); it"),
    "background": ("semseg", assigning((0, 3), (1, 0, 0)), "walls", "y 0, x 3: (1, 0, 0); it should be (0, 0, 1)"),
    "wall": ("semseg", swap_cells, "walls", "the first at y 5, x 2: (0, 1, 0); it should be (1, 0, 0)"),
    "NaN": (
        "distance",
        assigning((2, 3), np.nan),
        "distances to the border",
        "1 pixel wrong, the first at y 2, x 3: nan",
    ),
    "distance outside": (
        "distance",
        assigning((0, slice(2, 4)), 1),
        "distances to the border",
        "2 pixels wrong, the f",
    ),
    "distance": (
        "distance",
        assigning((4, 3), 5),
        "distances to the border",
        "1 pixel wrong, the first at y 4, x 3: 5; i",
    ),
    "length": (
        "uvec",
        assigning((2, 1), (1, 1)),
        "vectors along the gradient",
        "the first at y 2, x 1: (1, 1); it should ",
    ),
    "vector outside": (
        "uvec",
        assigning((0, 11), (1, 0)),
        "vectors along the gradient",
        "y 0, x 11: (1, 0); it should b",
    ),
    "vector": (
        "uvec",
        assigning((2, 4), (1, 0)),
        "vectors along the gradient",
        "y 2, x 4: (1, 0); it should be (0, -1)",
    ),
    "level": ("energy", assigning((4, 4), 200), "levels of the distance", "y 4, x 4: 200; it should be "),
    "ignored cell": ("ignore", None, "no cells ignored", "1 pixel wrong, the first at y 2, x 3: 1; it should be 1 or"),
    "area of owner": (
        "area",
        assigning((11, 11), 7),
        "areas of owners",
        "1 pixel wrong, the first at y 11, x 11: 7; it ",
    ),
}


def test_every_rule_is_broken():
    rules = {*table._RULES, *arrays.RULES.values(), *(target.rule for target in Recipe().made.values())}
    assert {rule for _, _, rule, _ in TAMPERED.values()} == {*rules, "hidden cells", "areas of annotations"}


def tampered(out, name):
    """Break a rule, and return what is reported, and what of the image: problems by array and invariant."""
    array, change, _, _ = TAMPERED[name]
    if change:
        rewrite(out, array, change)
    elif array == "ignore":
        add_ignore(out / "b")
    else:
        edit(out / "b", {"cell_type": "y"})
    report = verify(out)
    assert report.broken.keys() == {"b"}
    return report, {(fault.subject, fault.invariant): fault.problem for fault in report.broken["b"]}


@pytest.fixture(params=["ordinary", "huge"])
def any_out(request):
    return request.getfixturevalue("out" if request.param == "ordinary" else "huge")


@pytest.mark.parametrize("name", TAMPERED)
def test_a_broken_rule_is_found_and_named(any_out, name):
    array, _, rule, words = TAMPERED[name]
    report, found = tampered(any_out, name)
    assert words in found[array, rule], found
    assert not report.sound
    assert report.errors()[0] == "error: 1 of 3 images broken:"
    assert any(f"  b: {array}, {rule}: " in line for line in report.errors())


@pytest.mark.parametrize("name", ["energy", "area", "distance", "uvec"])
def test_only_the_array_that_is_wrong_is_named(out, name):
    rewrite(out, name, assigning((4, 4), 0.6))
    assert {fault.subject for fault in verify(out).broken["b"]} == {name}


# More that is wrong in arrays: the array, the change, and what is said.
FURTHER = {
    "a negative area": ("cells", assigning((2, 1), -1), "areas of annotations"),
    "an area beyond the image": ("cells", assigning((2, 1), SIDE * SIDE + 1), "areas of annotations"),
    "no category": ("cells", assigning((2, 2), -1), "categories"),
    "channels above 1": ("semseg", assigning((5, 7), (255, 2, 0)), "walls"),
    "no channel": ("semseg", assigning((5, 7), 0), "walls"),
    "endless distance": ("distance", assigning((5, 7), np.inf), "distances to the border"),
    "negative distance": ("distance", assigning((5, 7), -1), "distances to the border"),
    "no distance inside": ("distance", assigning((5, 7), 0), "distances to the border"),
    "endless vector": ("uvec", assigning((5, 7), 3e38), "vectors along the gradient"),
    "vector of nothing": ("uvec", assigning((5, 7), np.nan), "vectors along the gradient"),
    "another owner": ("labels", assigning((9, 3), 4), "walls"),
    "an owner of too much": ("labels", assigning((0, 0), 3), "areas of annotations"),
    "a pixel disowned": ("labels", assigning((9, 3), 0), "walls"),
    "dtype": ("energy", lambda array: array.astype(np.int64), "form"),
    "dtype of labels": ("labels", lambda array: array.astype(np.uint32), "form"),
    "shape": ("distance", lambda array: array[:-1].copy(), "form"),
    "transposed channels": ("semseg", lambda array: array[..., :2].copy(), "form"),
    "rows of cells": ("cells", lambda array: array[:-1].copy(), "form"),
    "fields of cells": ("cells", lambda array: array[:, :-1].copy(), "form"),
}


@pytest.mark.parametrize(("array", "change", "rule"), FURTHER.values(), ids=FURTHER)
def test_other_wrong_values_are_found(any_out, array, change, rule):
    rewrite(any_out, array, change)
    assert rule in {fault.invariant for fault in verify(any_out).broken["b"]}


@pytest.fixture
def huge(monkeypatch, csv, tmp_path):
    """The same store, whose images are now huge: files of 4 x 4 pixels, looked at by windows of 5 x 5."""
    monkeypatch.setattr(documents, "_CHUNK", 2)
    monkeypatch.setattr(documents, "_SHARD", 4)
    monkeypatch.setattr("cellprep.core.windows._SIDE", 5)
    documents.array_document.cache_clear()
    build(csv, tmp_path / "huge.zarr")
    assert open_store(tmp_path / "huge.zarr")["b"].is_huge
    yield tmp_path / "huge.zarr"
    documents.array_document.cache_clear()


@pytest.mark.parametrize("name", ["labels", "energy", "uvec", "cells"])
def test_a_damaged_file_of_a_huge_image_is_found(huge, name):
    """And what can still be judged is."""
    rewrite(huge, "area", assigning((11, 11), 7))
    files = sorted(path for path in (huge / "b" / array_path(name)).rglob("*") if path.is_file())
    chunk = next(path for path in files if path.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    faults = verify(huge).broken["b"]
    assert verify_image(huge / "b", threads=3).faults == faults
    found = {(fault.subject, fault.invariant) for fault in faults}
    others = set() if name in ("labels", "cells") else {("area", "areas of owners")}
    assert found == {(name, "files"), *others}


def test_levels_follow_distances_that_another_machine_rounded(any_out):
    """Cells whose distance is just below a bin: the level is that of the stored distance."""
    image = open_store(any_out)["b"]
    bins, distance = image.recipe.bins, image.read("distance")
    y, x = np.argwhere(np.isclose(distance, bins[0], atol=1e-6))[0]
    rewrite(any_out, "distance", assigning((y, x), np.float32(bins[0] - 2e-5)))
    rewrite(any_out, "energy", assigning((y, x), 0))
    assert not [fault for fault in verify(any_out).broken.get("b", ()) if fault.subject == "energy"]


def test_absurd_numbers_of_cells_are_damage(out):
    for cells in (10**12, 2**70):
        edit(out / "b", {"cells": cells})
        rewrite(out, "labels", lambda array: array.astype(np.uint32))
        assert {fault.subject for fault in verify(out).broken["b"]} >= {"cells"}


def test_a_rounding_error_is_no_fault(out):
    for name in ("uvec", "distance"):
        rewrite(out, name, lambda array: array * np.float32(1 + 1e-6))
        assert verify(out).broken == {}


ATTRIBUTES = {
    "cells": ({"cells": 5}, {"form"}),
    "shape": ({"shape": [SIDE, SIDE + 1]}, {"form"}),
    "hidden": ({"hidden": []}, {"hidden cells"}),
    "hidden twice": ({"hidden": [1, 1]}, {"hidden cells"}),
    "categories": ({"categories": ["x", "y"], "cells_of_category": [4, 0]}, {"categories"}),
    "cells_of_category": ({"cells_of_category": [5]}, {"categories"}),
    "cell_type": ({"cell_type": None}, {"cell type"}),
    "bytes": ({"bytes": 7}, {"files"}),
    "array forgotten": ({"arrays": ["labels", "cells", "semseg", "distance", "uvec", "energy"]}, {"form", "files"}),
    "array invented": ({"arrays": ["../../a/labels"]}, {"attributes"}),
    "options": ({"options": {"wall_width": 4}}, {"attributes"}),
    "bins": ({"options": {"bins": 3}}, {"attributes"}),
    "an option forgotten": ({"options": {"wall_width": 3}}, {"attributes"}),
    "length": ({"cells_of_category": [1, 3]}, {"attributes"}),
    **{
        f"{key} is {value!r}": ({key: value}, {"attributes"})
        for key in ("arrays", "bytes", "shape", "cells", "hidden", "categories", "cells_of_category", "options")
        for value in (None, "x", -1, [None])
    },
    "recipe": ({"recipe": None}, {"attributes"}),
}


@pytest.mark.parametrize(("value", "invariants"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_edited_attributes_are_found(out, value, invariants):
    edit(out / "b", value)
    report = verify(out)
    assert report.broken.keys() == {"b"}
    assert {fault.invariant for fault in report.broken["b"]} == invariants


def test_sorted_categories(write_csv, tmp_path):
    stack = drawn()
    build(write_csv(*rows_of("b", stack[:1], "x"), *rows_of("b", stack[1:2], "y")), tmp_path / "s.zarr")
    edit(tmp_path / "s.zarr/b", {"categories": ["y", "x"]})
    assert "`categories` are not sorted: ['y', 'x']" in verify(tmp_path / "s.zarr").errors()[1]


def flip(path):
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


def write_at(path):
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")


# Files that are damaged: what is done to the image's folder, the file or array that is named, and words.
DAMAGE = {
    "chunk removed": (lambda b: (b / "uvec/c.0.0.0").unlink(), "uvec", "cannot be read: No such file"),
    "chunk of labels removed": (
        lambda b: shutil.rmtree(b / "labels/instances/0/c"),
        "labels",
        "cannot be read: No such file",
    ),
    "chunk truncated": (lambda b: os.truncate(b / "area/c.0.0", 9), "area", "its checksum does not match"),
    "chunk emptied": (lambda b: os.truncate(b / "area/c.0.0", 0), "area", "its checksum does not match"),
    "bit flipped": (lambda b: flip(b / "energy/c.0.0"), "energy", "its checksum does not match"),
    "array removed": (lambda b: shutil.rmtree(b / "distance"), "distance", "cannot be read: No such file"),
    "array's metadata removed": (lambda b: (b / "cells/zarr.json").unlink(), "cells", "cannot be read"),
    "array's metadata damaged": (lambda b: (b / "cells/zarr.json").write_text("{"), "cells", "is damaged"),
    "array's metadata edited": (
        lambda b: (b / "cells/zarr.json").write_text((b / "cells/zarr.json").read_text().replace("cell", "well")),
        "cells",
        "was changed since cellprep wrote it",
    ),
    "file added": (lambda b: write_at(b / "notes.txt"), "notes.txt", "was not written by cellprep"),
    "file added deep": (lambda b: write_at(b / "uvec/c.1.0.0"), "uvec/c.1.0.0", "was not written by cellprep"),
    "folder added": (lambda b: (b / "mine").mkdir(), "mine/", "was not written by cellprep"),
    "array added": (lambda b: shutil.copytree(b / "area", b / "b/area"), "b/area/c.0.0", "was not written by cellprep"),
    "group's metadata removed": (lambda b: (b / "labels/zarr.json").unlink(), "labels/zarr.json", "is missing"),
    "group's metadata edited": (
        lambda b: (b / "labels/instances/zarr.json").write_text("{}"),
        "labels/instances/zarr.json",
        "was changed since cellprep wrote it",
    ),
    "metadata reformatted": (
        lambda b: (b / "zarr.json").write_text(json.dumps(json.loads((b / "zarr.json").read_text()))),
        "zarr.json",
        "was changed since cellprep wrote it",
    ),
    "metadata removed": (lambda b: (b / "zarr.json").unlink(), "zarr.json", "is no longer an image"),
    "metadata damaged": (lambda b: os.truncate(b / "zarr.json", 99), "zarr.json", "is no longer an image"),
    "not complete": (lambda b: edit(b, {"complete": False}), "zarr.json", "is no longer an image"),
}


def of_damage():
    """Each kind by one process; by two each in CI, and elsewhere one that breaks a file and one that takes it away."""
    for name, how in DAMAGE.items():
        for jobs in (1, 2) if THOROUGH or name in {"bit flipped", "metadata removed"} else (1,):
            yield pytest.param(*how, jobs, id=f"{name}-{jobs}")


@pytest.mark.parametrize(("damage", "subject", "words", "jobs"), list(of_damage()))
def test_damaged_files_are_found_and_repaired(csv, out, damage, subject, words, jobs):
    undisturbed = tree(out)
    damage(out / "b")
    report = verify(out, jobs=jobs)
    assert report.broken.keys() == {"b"}
    assert any(words in fault.problem for fault in report.broken["b"] if fault.subject == subject), report.errors()
    assert "remove broken images with --repair, then build them again with cellprep build-targets" in report.errors()
    assert (report.images, report.whole, report.store_faults) == (3, 2, [])

    repaired = verify(out, repair=True, jobs=jobs)
    assert (repaired.broken, repaired.removed) == (report.broken, ["b"])
    assert repaired.errors()[-1] == "1 broken image removed: build them again with cellprep build-targets"
    assert not (out / ".cellprep").exists()
    assert verify(out).sound
    assert build(csv, out).new == 1
    assert tree(out) == undisturbed


def test_tampered_arrays_are_repaired(csv, out):
    undisturbed = tree(out)
    for array, change, _, _ in TAMPERED.values():
        if change:
            rewrite(out, array, change)
            assert verify(out, repair=True).removed == ["b"]
            build(csv, out)
            assert tree(out) == undisturbed


def test_a_whole_store_is_not_written_to(out):
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in out.rglob("*")}
    assert verify(out).sound
    assert verify(out, repair=True).removed == []
    assert {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in out.rglob("*")} == before


def test_what_is_not_cellpreps_is_mentioned_and_left_alone(out):
    zarr.create_group(out, path="predictions").attrs["mine"] = True
    (out / "notes\n.txt").write_text("mine")
    (out / "empty").mkdir()
    shutil.copytree(out / "a", out / "__copy")
    (out / "gone").symlink_to("nowhere")
    before = tree(out)
    report = verify(out, repair=True)
    assert report.sound
    assert report.foreign == ["__copy", "empty", "gone", "notes\n.txt", "predictions"]
    assert report.notes() == [
        "5 not written by cellprep, unchanged:",
        "  __copy",
        "  empty",
        "  gone",
        r"  'notes\n.txt'",
        "  predictions",
        f"{out}: 3 images, 3 intact",
    ]
    assert tree(out) == before


def test_a_folder_of_a_run_is_mentioned(out):
    (out / ".cellprep/abc/new/a").mkdir(parents=True)
    report = verify(out)
    assert (report.sound, report.under_way) == (True, True)
    assert report.notes()[0] == "`.cellprep` is in the store: a run is writing, or was killed"
    assert verify(out, repair=True).notes()[0] == "`.cellprep` is in the store: a run was killed and left it; removed"
    assert not (out / ".cellprep").exists()


def test_repair_waits_for_no_other_run(out):
    with StoreWriter(out), pytest.raises(StoreError, match="another run is writing"):
        verify(out, repair=True)


# What is wrong with what a store says of itself.
ROOTS = {
    "summary": (lambda s: edit(s, {"summary": {**summary(s), "cells": 5}}), "wrong: `cells` is 5, but the images"),
    "summary's form": (lambda s: edit(s, {"summary": []}), "its summary is damaged"),
    "stored": (lambda s: edit(s, {"summary": {**summary(s), "source_images_stored": 9}}), "more images of the source"),
    "image lost": (lambda s: shutil.rmtree(s / "a"), "wrong: `images` is 3, but the images have 2"),
    "source": (lambda s: edit(s, {"source": None}), "has no source"),
    "format": (
        lambda s: (s / "zarr.json").write_text((s / "zarr.json").read_text() + "\n"),
        "was changed since cellprep",
    ),
}


def summary(out):
    return open_store(out).attributes["summary"]


@pytest.mark.parametrize(("damage", "words"), ROOTS.values(), ids=ROOTS)
def test_a_store_that_is_wrong_about_itself(csv, out, damage, words):
    undisturbed = tree(out)
    damage(out)
    report = verify(out)
    assert any(words in fault for fault in report.store_faults)
    assert (report.broken, report.sound) == ({}, False)
    assert report.errors()[0].startswith(f"error: {out}: its ")
    verify(out, repair=True)
    assert "summary" not in open_store(out).attributes
    build(csv, out)
    assert tree(out) == undisturbed
    assert verify(out).sound


@pytest.mark.parametrize("content", ["{", "[]", '{"attributes": {}}', None, "[" * 100_000])
def test_a_store_whose_own_metadata_are_lost(csv, out, content):
    undisturbed = tree(out)
    (out / "zarr.json").unlink()
    if content is not None:
        (out / "zarr.json").write_text(content)
    flip(out / "b/energy/c.0.0")
    report = verify(out)
    assert report.store_faults == ["its zarr.json is missing or damaged, so that the store cannot be opened"]
    assert report.broken.keys() == {"b"}
    assert verify(out, repair=True).removed == ["b"]
    build(csv, out)
    assert tree(out) == undisturbed


def test_what_is_no_store(out, tmp_path):
    for path, words in [
        (tmp_path / "nowhere", "there is no store"),
        (tmp_path, "is not a cellprep store"),
        (out / "a", "is not a cellprep store"),
        (out / "a/zarr.json", "there is no store"),
    ]:
        for repair in (False, True):
            with pytest.raises(StoreError, match=words):
                verify(path, repair=repair)
    assert not (tmp_path / "nowhere").exists()
    edit(out, {"schema_version": 2})
    with pytest.raises(StoreError, match="has schema 2"):
        verify(out, repair=True)
    with pytest.raises(UsageError, match="jobs is 0: give 1 or more"):
        verify(out, jobs=0)


@pytest.mark.parametrize("locked", ["b", "b/zarr.json", "b/energy/c.0.0", "b/energy"])
def test_what_may_not_be_read_is_not_removed(out, command, locked):
    before = tree(out)
    (out / locked).chmod(0)
    result = command("verify", out, "--repair", "--jobs", 1, prefix=as_ordinary_user())
    (out / locked).chmod(0o755)
    assert result.returncode == 1
    assert "error: 1 could not be verified, and may be intact:\n  b: " in result.stderr
    assert "Permission denied" in result.stderr
    assert tree(out) == before


def test_a_store_that_cannot_be_repaired(out, monkeypatch):
    flip(out / "b/energy/c.0.0")

    remove = shutil.rmtree

    def refuse(folder, ignore_errors=False):
        if not ignore_errors:
            raise OSError(28, "No space left on device")
        remove(folder)

    monkeypatch.setattr("cellprep.store.writer.shutil.rmtree", refuse)
    report = verify(out, repair=True)
    assert report.errors()[-1].startswith("error: not all broken images could be removed: cannot write to")


def test_something_unexpected_costs_one_image(out, monkeypatch):
    def explode(array):
        raise ZeroDivisionError("of\nsome sort")

    monkeypatch.setattr("cellprep.commands.verify.image.missing_arrays", explode)
    report = verify(out, repair=True)
    assert report.unchecked["b"] == "unexpected ZeroDivisionError: of some sort; please report this"
    assert (report.removed, report.whole) == ([], 0)
    monkeypatch.setattr("cellprep.commands.verify.image.missing_arrays", lambda _: (_ for _ in ()).throw(MemoryError))
    assert verify(out).unchecked["b"] == "there is not enough memory to verify it"


def test_the_command(cli, out):
    result = cli("verify", out, "--jobs", 1)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{out}: 3 images, 3 intact\n")
    assert cli("verify", out, "--jobs", 1, "--quiet").output == ""
    told = json.loads(cli("verify", out, "--jobs", 1, "--json").stdout)
    assert (told["sound"], told["images"], told["whole"], told["broken"]) == (True, 3, 3, {})
    rewrite(out, "energy", assigning((4, 4), 200))
    result = cli("verify", out, "--jobs", 1, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["sound"]) == (1, False)
    assert "error: 1 of 3 images broken:" in result.stderr
    assert told["broken"]["b"][0]["subject"] == "energy"
    assert told["broken"]["b"][0]["invariant"] == "levels of the distance"
    result = cli("verify", out, "--jobs", 1, "--quiet", "--repair")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[0] == "error: 1 of 3 images broken:"
    assert "1 broken image removed" in result.stderr
    assert cli("verify", out, "--jobs", 1).exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_names_that_are_no_text(out, command):
    (out / os.fsdecode(b"\xff")).mkdir()
    result = command("verify", out, "--json", "--jobs", 1)
    assert (result.returncode, json.loads(result.stdout)["foreign"]) == (0, ["\udcff"])
    assert r"'\udcff'" in result.stderr


@pytest.mark.slow
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stack=masks(),
    overlap=st.sampled_from(sorted(OVERLAP_RULES)),
    distance=st.sampled_from(sorted(DISTANCES)),
    wall_width=st.sampled_from([1, 3, 5]),
    bins=st.sampled_from([(0.955, 1.369), (1.0, 1.4142135, 2.0, 5.0), (1e-3,)]),
    background_cell=st.booleans(),
    per_instance=st.booleans(),
)
def test_whatever_is_built_is_sound(write_csv, tmp_path, stack, **options):
    stack = stack[stack.any(axis=(1, 2))]
    full, none, point = np.ones((2, 5, 7), bool), np.zeros((0, 4, 3), bool), np.ones((1, 1, 1), bool)
    images = {"drawn": stack, "full": full, "none": none, "point": point, "hole": point[:0]}
    csv = write_csv(*(row for image_id, drawing in images.items() for row in rows_of(image_id, drawing)))
    shutil.rmtree(tmp_path / "s.zarr", ignore_errors=True)
    assert not build(csv, tmp_path / "s.zarr", recipe=Recipe(**options)).errors()
    report = verify(tmp_path / "s.zarr")
    assert report.sound, report.errors()


RECIPES = [
    *({"overlap": name} for name in OVERLAP_RULES),
    *({"distance": name} for name in DISTANCES),
    *({"distance": name, "background_cell": True} for name in DISTANCES),
    {"wall_width": 1},
    {"wall_width": 5},
    {"bins": (1.0, 2.5, 7.0)},
    {"per_instance": True, "distance": "scipy"},
]


@pytest.mark.parametrize(
    ("name", "change", "invariant"),
    [
        ("distance", lambda array: array * (array > 1), "distances to the border"),
        ("distance", lambda array: array + (array > 1), "distances to the border"),
        ("uvec", lambda array: -array, "vectors along the gradient"),
        ("energy", lambda array: array + (array > 2), "levels of the distance"),
    ],
)
def test_targets_per_instance_are_held_to_their_own_rules(csv, tmp_path, name, change, invariant):
    out = tmp_path / "s.zarr"
    build(csv, out, recipe=Recipe(per_instance=True))
    assert verify(out).sound
    rewrite(out, name, lambda array: change(array).astype(array.dtype))
    (fault,) = verify(out).broken["b"]
    assert (fault.subject, fault.invariant) == (name, invariant)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(f"{value}" for value in recipe.values()))
def test_real_data_are_sound_under_every_recipe(sartorius, test_data, tmp_path, recipe):
    with_images = sorted(path.stem for path in (test_data / "sartorius/images").iterdir())[:3]
    out = tmp_path / "s.zarr"
    options = {"images": test_data / "sartorius/images", "recipe": Recipe(**recipe), "pixel_size": 0.65}
    assert not build(sartorius, out, only=tuple(with_images), **options).errors()
    assert not build(sartorius, out, only=("a9fc5e872671", "ca5df17f6717"), recipe=Recipe(**recipe)).errors()
    report = verify(out)
    assert report.images == 5
    assert report.sound, report.errors()


def test_images_of_all_kinds_are_sound(write_csv, tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    kinds = {"grey": ((5, 6), np.uint8), "rgb": ((5, 6, 3), np.uint8), "deep": ((5, 6), np.uint16)}
    for image_id, (shape, dtype) in kinds.items():
        Image.fromarray(rng.integers(0, 255, shape).astype(dtype)).save(tmp_path / "images" / f"{image_id}.png")
    csv = write_csv(*(f"{image_id},1 3 7 3,6,5,x" for image_id in kinds))
    out = tmp_path / "s.zarr"
    for pixel_size in (None, 0.5, 1.0):
        assert not build(csv, out, images=tmp_path / "images", pixel_size=pixel_size).errors()
        assert verify(out).sound
    rewrite(out, "image", lambda array: array[:, 1:].copy(), "rgb")
    rewrite(out, "image", lambda array: array[np.newaxis].copy(), "grey")
    document = (out / "deep/zarr.json").read_text()
    (out / "deep/zarr.json").write_text(document.replace('"unit": "micrometer"', '"unit": "meter"'))
    found = {
        name: {(fault.subject, fault.invariant) for fault in faults} for name, faults in verify(out).broken.items()
    }
    assert found == {
        "rgb": {("image", "form")},
        "grey": {("zarr.json", "files")},
        "deep": {("zarr.json", "files")},
    }


def coco(path):
    """A source with a crowd that covers part of a cell, and an annotation without a pixel."""
    square = [[1, 1, 6, 1, 6, 6, 1, 6]]
    masks = [(square, 0), ([[4, 4, 9, 4, 9, 9, 4, 9]], 1), ({"size": [10, 12], "counts": [120]}, 0)]
    annotations = [
        {"id": k - 1, "image_id": 5, "category_id": 1, "segmentation": mask, "iscrowd": crowd}
        for k, (mask, crowd) in enumerate(masks)
    ]
    images = [{"id": 5, "file_name": "a.png", "height": 10, "width": 12}]
    categories = [{"id": 1, "name": "x"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_crowds_and_blank_annotations_are_sound(tmp_path):
    report = build(coco(tmp_path / "coco.json"), tmp_path / "s.zarr")
    assert report.blank
    image = open_store(tmp_path / "s.zarr")["a"]
    assert image.read("ignore").any()
    assert verify(tmp_path / "s.zarr").sound
    assert build(tmp_path / "coco.json", tmp_path / "s.zarr").current == 1
    rewrite(tmp_path / "s.zarr", "ignore", assigning((2, 2), 1), "a")
    assert [fault.invariant for fault in verify(tmp_path / "s.zarr").broken["a"]] == ["no cells ignored"]


def test_what_is_left_out_is_sound_and_so_is_a_store_of_a_store(write_csv, tmp_path):
    stack = drawn()
    rows = [*rows_of("b", stack[:2], "x"), *rows_of("b", stack[2:3], "y"), *rows_of("c", stack[:1], "x")]
    csv = write_csv(*rows)
    exclude = write_csv("b,2", "b,3", "c,5", header="image,row", name="exclude.csv")
    assert not build(csv, tmp_path / "s.zarr", exclude=exclude).errors()
    assert open_store(tmp_path / "s.zarr")["b"].attributes["cell_type"] == "y"
    assert not build(tmp_path / "s.zarr", tmp_path / "t.zarr").errors()
    for name in ("s.zarr", "t.zarr"):
        report = verify(tmp_path / name)
        assert report.sound, report.errors()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows kills otherwise")
def test_a_killed_worker_breaks_no_image(out):
    code = (
        "import cellprep.commands.verify as v\n"
        f"report = v.verify_store({str(out)!r}, jobs=2, repair=True, quiet=True)\n"
        "print(report.unchecked, report.removed)\n"
    )
    site = out.parent / "sitecustomize.py"
    site.write_text(
        "import os, cellprep.commands.verify.image as v\n"
        "def missing(metadata):\n"
        "    if metadata.cells == 0: os._exit(9)\n"
        "    return iter(())\n"
        "v.missing_arrays = missing\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(out.parent), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert "{'c': 'the process that verified it was killed, probably because memory ran out'} []" in result.stdout


@pytest.mark.parametrize("place", ["zarr.json", "a/zarr.json"])
def test_every_bit_of_the_metadata_counts(out, place):
    """One bit of every fifth byte is flipped in turn; before there was a checksum, 58 of 800 flips passed."""
    before = (out / place).read_bytes()
    flags = np.random.default_rng(0).integers(0, 8, len(before))
    for position in range(0, len(before), 5):
        changed = bytearray(before)
        changed[position] ^= 1 << int(flags[position])
        (out / place).write_bytes(bytes(changed))
        attributes = read_attributes((out / place).parent)
        if place == "zarr.json":
            found = attributes.get("schema_version") != 1 or list(root_faults(out, {}))
        else:
            found = verify_image((out / place).parent).faults or not attributes.get("complete")
        assert found, (position, before[position : position + 20])


def test_a_store_without_checksums_stays_current(csv, out):
    """As earlier versions wrote it: it is read, current and whole, and verify says that something is missing."""
    for document in (out / "zarr.json", *out.glob("*/zarr.json")):
        attributes = json.loads(document.read_text())["attributes"]
        assert attributes["cellprep"].pop("crc32c")
        document.write_bytes(group_document(attributes))
    before = tree(out)
    assert build(csv, out).current == len(open_store(out))
    assert tree(out) == before
    report = verify(out)
    assert report.sound
    assert report.unguarded == report.images
    assert "without a checksum of its metadata" in "".join(report.notes())


def add_to_all(out):
    """Add attributes to every group and array, and a copy of all metadata to the root, as other tools do."""
    import warnings

    root = zarr.open_group(out, mode="r+")
    for group in (root, root["b"], root["b/labels"], root["b/labels/instances"], root["b/energy"]):
        group.attrs["mine"] = {"value": float("nan")}
    for group, key in ((root["b"], "omero"), (root["b/labels/instances"], "colors")):
        group.attrs["ome"] = {**group.attrs["ome"], key: [1]} if "ome" in group.attrs else {key: [1]}
    for group in (root, root["b"]):
        group.attrs["cellprep"] = {**group.attrs["cellprep"], "noted": "by hand"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata are not part of the format yet
        zarr.consolidate_metadata(out)


ADDED = [
    "b/energy/zarr.json: attributes.mine",
    "b/labels/instances/zarr.json: attributes.mine",
    "b/labels/instances/zarr.json: attributes.ome.colors",
    "b/labels/zarr.json: attributes.mine",
    "b/zarr.json: attributes.cellprep.noted",
    "b/zarr.json: attributes.mine",
    "b/zarr.json: attributes.ome",
    "zarr.json: attributes.cellprep.noted",
    "zarr.json: attributes.mine",
    "zarr.json: consolidated_metadata",
]


def test_attributes_of_other_tools_are_named_and_kept(csv, out):
    add_to_all(out)
    before = tree(out)
    report = verify(out, repair=True)
    assert (report.errors(), report.foreign) == ([], ADDED)
    assert open_store(out)["b"].read("energy").any()
    assert open_store(out)["b"].attributes["noted"] == "by hand"
    assert describe_store(out).read == 0
    assert build(csv, out).current == 3
    assert tree(out) == before
    (out / "a/area/c.0.0").unlink()
    assert verify(out, repair=True).removed == ["a"]
    root = zarr.open_group(out, mode="r")
    assert root.attrs["mine"].keys() == {"value"}
    assert root.attrs["cellprep"]["noted"] == "by hand"
    assert set(root) == {"b", "c"}  # the copy of the metadata went with the image
    assert build(csv, out).new == 1
    assert verify(out).foreign == ADDED[:-1]
    build(csv, out, rebuild=True)
    assert verify(out).foreign == ADDED[-3:-1]  # images built anew are as cellprep makes them


def test_what_a_lost_root_held_of_others_is_kept(out):
    document = json.loads((out / "zarr.json").read_text())
    document["attributes"] = {"mine": 1, "cellprep": {"noted": 2}}
    (out / "zarr.json").write_text(json.dumps(document))
    verify(out, repair=True)
    assert open_store(out).attributes["noted"] == 2
    assert zarr.open_group(out, mode="r").attrs["mine"] == 1


@pytest.mark.parametrize("place", ["zarr.json", "b/zarr.json", "b/labels/instances/zarr.json", "b/energy/zarr.json"])
def test_changes_beside_additions_are_found(out, place):
    """Each value that cellprep wrote is changed in turn, and each of its keys is lost."""
    ours = json.loads((out / place).read_text())
    add_to_all(out)
    added = (out / place).read_text()

    def paths(value, path=()):
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            yield (*path, key)
            yield from paths(value[key], (*path, key))

    def is_found(path, change):
        document = json.loads(added)
        within = document
        for key in path[:-1]:
            within = within[key]
        change(within, path[-1])
        (out / place).write_text(json.dumps(document))
        if place == "zarr.json":
            return read_attributes(out).get("schema_version") != 1 or bool(list(root_faults(out, {})))
        return bool(verify_image(out / "b").faults) or not read_attributes(out / "b").get("complete")

    assert not is_found(("attributes",), lambda within, key: None)
    for path in paths(ours):
        assert is_found(
            path, lambda within, key: within.update({key: "other"}) if isinstance(key, str) else within.pop()
        )
        assert is_found(path, lambda within, key: within.pop(key)), path
