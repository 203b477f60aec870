"""Flaws of annotations: each rule finds its own, in a data set drawn by hand, and nothing else."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import tree

from cellprep import CheckOptions, build_targets, check_source, open_source, open_store
from cellprep.commands.check import RULES
from cellprep.core.rle import encode_rle
from cellprep.errors import UsageError
from cellprep.formats.images import IMAGE_FORMATS

SHAPE = (20, 30)


def mask(*boxes, holes=()):
    """Paint boxes (top, bottom, left, right), the last of each not included, and cut holes into them."""
    image = np.zeros(SHAPE, bool)
    for value, boxes_of in ((True, boxes), (False, holes)):
        for top, bottom, left, right in boxes_of:
            image[top:bottom, left:right] = value
    return image


def rows(image_id, *masks, cell_type="round"):
    return [f"{image_id},{text},{SHAPE[1]},{SHAPE[0]},{cell_type}" for text in encode_rle(np.array(masks))]


BLOCK = mask((5, 11, 5, 12))

# Annotations of one image, and what is found: the place of each, the rule, and the value.
FLAWS = {
    "nothing": ([BLOCK, mask((12, 18, 5, 12))], []),
    "duplicate": (
        [BLOCK, BLOCK],
        [
            (1, "duplicate", 1.0),
            (0, "overlap", 1.0),
            (1, "overlap", 1.0),
            (0, "hidden", None),
            (None, "annotated-twice", 42.0),
        ],
    ),
    "near duplicate": (
        [BLOCK, mask((6, 12, 5, 12))],
        [
            (1, "duplicate", 35 / 49),
            (0, "overlap", 35 / 42),
            (1, "overlap", 35 / 42),
            (None, "annotated-twice", 35 / 14),
        ],
    ),
    "inside": ([mask((2, 18, 5, 22)), BLOCK], [(1, "inside", 1.0), (1, "overlap", 1.0)]),
    "mostly inside": ([mask((2, 18, 5, 22)), mask((6, 14, 12, 23))], [(1, "inside", 80 / 88), (1, "overlap", 80 / 88)]),
    "overlap": ([BLOCK, mask((8, 14, 5, 12))], [(0, "overlap", 0.5), (1, "overlap", 0.5)]),
    "hidden by two": (
        [mask((5, 9, 5, 11)), mask((5, 9, 5, 8)), mask((5, 9, 8, 11))],
        [(1, "duplicate", 0.5), (2, "duplicate", 0.5), (0, "hidden", None), (None, "annotated-twice", 24.0)]
        + [(k, "overlap", 1.0) for k in range(3)],
    ),
    "pieces": ([mask((5, 9, 5, 9), (5, 9, 11, 15))], [(0, "components", 2.0)]),
    "pieces that touch at a corner": ([mask((5, 9, 5, 9), (9, 13, 9, 13))], []),
    "hole": ([mask((5, 15, 5, 15), holes=[(8, 11, 8, 11)])], [(0, "holes", 9 / 91)]),
    "tiny hole": ([mask((5, 15, 5, 15), holes=[(8, 9, 8, 9)])], []),
    "outline": (
        [mask((5, 15, 5, 15), holes=[(6, 14, 6, 14)])],
        [(0, "holes", 64 / 36), (0, "thin-lines", 6.0), (0, "straight-cut", 10 / 6)],
    ),
    "whisker": ([mask((5, 11, 5, 11), (8, 9, 11, 19))], [(0, "thin-lines", 8 / 44**0.5)]),
    "cut": ([mask((5, 8, 5, 15))], [(0, "straight-cut", 10 / 30**0.5)]),
    "at the edge": ([mask((0, 3, 0, 10))], [(0, "edge", None), (0, "straight-cut", 10 / 30**0.5)]),
}


@pytest.mark.parametrize(("masks", "expected"), FLAWS.values(), ids=FLAWS.keys())
def test_each_rule_finds_its_own(write_csv, masks, expected):
    report = check_source(open_source(write_csv(*rows("a", *masks))), CheckOptions(jobs=1))
    found = {(f.row and f.row - 2, f.rule): f.value for f in report.findings}
    assert found == {(place, rule): value and pytest.approx(value) for place, rule, value in expected}
    assert len(found) == len(report.findings)
    assert report.flagged == [finding for finding in report.findings if finding.rule != "edge"]


def test_a_duplicate_names_its_original(write_csv):
    report = check_source(open_source(write_csv(*rows("a", BLOCK, mask((12, 18, 5, 12)), BLOCK))))
    found = {finding.rule: finding for finding in report.findings if finding.row == 4}
    assert (found["duplicate"].partner, found["duplicate"].note) == (2, "with row 2")


def test_sizes_are_judged_by_type(write_csv):
    """A round cell of 400 pixels is huge, a spindle of 400 is not; where there are few, nothing is known."""
    small = [mask((0, 4, 4 * k, 4 * k + 4)) for k in range(7)] * 3
    large, speck = mask((0, 20, 0, 20)), mask((10, 11, 10, 11))
    path = write_csv(
        *rows("a", *small, large, speck),
        *rows("b", *[large] * 21, cell_type="spindle"),
        *rows("c", large, speck, cell_type="rare"),
    )
    findings = check_source(open_source(path)).findings
    sizes = [(f.image_id, f.row, f.rule, f.note) for f in findings if f.rule in ("tiny", "huge")]
    assert sizes == [
        ("a", 23, "huge", "area 400; the median of its type is 16"),
        ("a", 24, "tiny", "area 1; the median of its type is 16"),
    ]


def test_faulty_annotations_are_named_one_by_one_and_the_others_checked(write_csv):
    good = rows("a", BLOCK, BLOCK)
    path = write_csv(
        "a,601 1,30,20,round", *good, "a,1 2 3,30,20,round", "a,,30,20,round", "b,1 x,30,20,", "c,1 1,x,3,"
    )
    report = check_source(open_source(path))
    assert [(f.image_id, f.row, f.note) for f in report.findings if f.rule in ("fault", "image-fault")] == [
        ("a", 2, "run '601 1' goes past the last pixel, 600 (20 x 30)"),
        ("a", 5, "it has an odd number of values (3): a run has a start and a length"),
        ("a", 6, "the annotation is empty, but there are others"),
        ("b", 7, "'x' is not a whole number"),
        ("c", None, "train.csv row 8: width 'x' is not a whole number of pixels above 0"),
    ]
    assert [f.row for f in report.findings if f.rule == "duplicate"] == [4]


def test_images_are_checked_too(write_csv, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    picture = np.arange(600, dtype=np.uint16).reshape(SHAPE)
    for name, pixels in {"good": picture, "size": picture[:5], "flat": picture * 0 + 7, "other": picture}.items():
        tifffile.imwrite(folder / f"{name}.tif", pixels)
    (folder / "broken.png").write_bytes(b"nothing")
    path = write_csv(*(row for name in ("good", "size", "flat", "missing", "broken") for row in rows(name, BLOCK)))
    report = check_source(open_source(path), CheckOptions(images=folder))
    found = {finding.image_id: (finding.rule, finding.note) for finding in report.findings}
    assert found == {
        "size": ("image-size", f"{folder / 'size.tif'} is 5 x 30, its annotations 20 x 30 (height x width)"),
        "flat": ("image-constant", f"every pixel of {folder / 'flat.tif'} is 7"),
        "missing": (
            "image-missing",
            f"there is no image file missing.* in {folder} ({', '.join(IMAGE_FORMATS)})",
        ),
        "broken": ("image-unreadable", f"{folder / 'broken.png'}: it is damaged, or not a PNG"),
        "other.tif": ("unannotated", ""),
    }
    assert "other.tif" not in {finding.image_id for finding in report.flagged}


def test_thresholds_and_rules_are_options(cli, write_csv):
    path = write_csv(*rows("a", BLOCK, mask((7, 13, 5, 12)), mask((0, 6, 20, 26))))
    assert "duplicate" in cli("check", path).stdout  # IoU 28 / 56
    assert "duplicate" not in cli("check", path, "--threshold", "duplicate=0.51").stdout
    result = cli("check", path, "--rule", "edge", "--rule", "hidden")
    assert "edge" in result.stdout
    assert "suspicious: 1 of 3 annotations, and 0 of 1 images as a whole\n" in result.stdout


def test_the_flags_leave_nothing_to_find(cli, write_csv, tmp_path):
    """Flagged cells can be excluded from a build, and then leave no trace."""
    path = write_csv(
        *rows("a", BLOCK, BLOCK, mask((12, 18, 5, 12))), *rows("b", BLOCK, mask((6, 12, 5, 12))), "c,1 x,9,9,"
    )
    flags = tmp_path / "flags.csv"
    assert cli("check", path, "--out", flags, "--rule", "duplicate", "--rule", "fault", "--quiet").output == ""
    with flags.open() as file:
        found = [
            (line["image"], line["row"], line["rule"], line["value"], line["threshold"])
            for line in csv.DictReader(file)
        ]
    assert found == [
        ("a", "3", "duplicate", "1", "0.5"),
        ("b", "6", "duplicate", "0.7143", "0.5"),
        ("c", "7", "fault", "", ""),
    ]
    assert cli("build-targets", path, "--exclude", flags, "--out", tmp_path / "s.zarr").exit_code == 0
    store = open_store(tmp_path / "s.zarr")
    assert {name: image.attributes["excluded"] for name, image in store.items()} == {"a": [3], "b": [6], "c": [7]}
    again = check_source(open_source(tmp_path / "s.zarr"), CheckOptions(rules=("duplicate", "fault")))
    assert (again.cells.total(), again.flagged) == (3, [])


def test_the_words_count_what_cannot_be_read_and_name_some(cli, write_csv, tmp_path):
    (tmp_path / "images").mkdir()
    path = write_csv(*(row for k in range(12) for row in rows(f"i{k:02}", BLOCK)), "i00,1 x,30,20,round")
    result = cli("check", path, "--images", tmp_path / "images", "--jobs", 1)
    lines = result.stdout.splitlines()
    assert [line.split() for line in lines[1:6]] == [
        ["rule", "threshold", "round", "all"],
        ["images", "12", "12"],
        ["annotations", "13", "13"],
        ["fault", "1", "1"],
        ["image-missing", "12", "12"],
    ]
    assert lines[6].startswith("i00: image-missing: there is no image file i00.* in ")
    assert lines[7] == "i00 row 14: fault: 'x' is not a whole number"
    assert sum("image-missing: there is no" in line for line in lines) == 10
    assert lines[-2:] == [
        "image-missing: 2 more; list all with --out",
        "suspicious: 1 of 13 annotations, and 12 of 12 images as a whole",
    ]


def test_the_worst_come_first_in_words_and_the_next_command_last(cli, write_csv, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    outline, bar = mask((5, 15, 5, 15), holes=[(6, 14, 6, 14)]), mask((12, 14, 0, 10))
    write_csv(*rows("a", mask((2, 18, 5, 22)), BLOCK), *rows("b", outline), *rows("c", bar, BLOCK, BLOCK))
    result = cli("check", "train.csv", "--jobs", 1)
    claimed = "All of this cell is also covered by others."
    cut = "straight along a row for 10 px: it may be truncated."
    words = [
        "b row 4 (round): Its holes (64 px) are 178 % of its area (36 px): it may be only partly filled. "
        f"36 px of its 36 px are lines one pixel wide: its outline may not be filled. Its outline runs {cut}",
        f"a row 3 (round): All of this cell is inside row 2. {claimed}",
        f"c row 7 (round): It is an exact copy of row 6. {claimed}",
        f"c row 6 (round): {claimed} It has no pixels left, as row 7 is a copy of it: exclude only one of the two.",
        f"c row 5 (round): Its outline runs {cut}",
    ]
    assert result.stdout.splitlines()[-6:] == ["These annotations, worst first:", *(f"  {line}" for line in words)]
    assert result.stderr.splitlines()[-1] == "next: cellprep report train.csv"
    assert cli("check", "train.csv", "--quiet").output == ""
    assert cli("check", "train.csv", "--rule", "blank").stderr.endswith("\nnext: cellprep build-targets train.csv\n")


def test_words_have_units(tmp_path):
    """As many micrometres as the image's file says a pixel has."""
    (tmp_path / "images").mkdir()
    tifffile.imwrite(
        tmp_path / "images/a.tif", mask((5, 8, 5, 15)).astype(np.uint8), imagej=True, resolution=(2, 2),
        metadata={"unit": "um"},
    )  # fmt: skip
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels/a.tif", mask((5, 8, 5, 15)).astype(np.uint8))
    (suspect,) = check_source(tmp_path / "labels", images=tmp_path / "images", jobs=1).suspects
    assert suspect.words == ("Its outline runs straight along a row for 10 px (5 µm): it may be truncated.",)


@pytest.mark.parametrize("overlap", ["smaller-on-top", "background"])
def test_a_store_has_the_findings_of_its_source_but_those_that_overlaps_took(write_csv, tmp_path, overlap):
    """Where nothing was lost, all of them; where something was, nothing is called pieces that others have parted."""
    masks = [
        mask((2, 18, 5, 22)),
        BLOCK,
        mask((2, 6, 23, 29), (8, 12, 23, 29)),
        mask((0, 20, 8, 9)),
        mask((19, 20, 9, 30)),
    ]
    path = write_csv(*rows("a", *masks), *(row for k in range(4) for row in rows(f"b{k}", *[BLOCK] * 6)))
    build_targets(path, tmp_path / "s.zarr", overlap=overlap, jobs=1, quiet=True)
    source, store = (check_source(each, overlap=overlap, jobs=1) for each in (path, tmp_path / "s.zarr"))
    lost = {
        (image.id, row)
        for image in open_store(tmp_path / "s.zarr").values()
        for (row, area, *_), left in zip(
            image.read("cells").tolist(), np.bincount(image.read("labels").ravel(), minlength=99)[1:], strict=False
        )
        if left < area
    }
    assert sum(image.cut for image in store.images) == len(lost) > 2

    def found(report, rules, apart=frozenset()):
        return {
            (f.image_id, f.row, f.rule) for f in report.findings if f.rule in rules and (f.image_id, f.row) not in apart
        }

    whole = ("blank", "hidden", "tiny", "huge")
    shapes = ("components", "holes", "thin-lines", "straight-cut")
    assert found(store, whole) == found(source, whole) and found(store, ("hidden",))
    assert found(store, shapes, lost) == found(source, shapes, lost) >= {("a", 4, "components")}
    assert not found(store, ("components",)) - found(source, ("components",))
    assert f"{len(lost)} annotations lost pixels to others when the store was built" in store.notes()[0]


def test_names_of_files_that_are_no_text(cli, tmp_path):
    (tmp_path / "labels").mkdir()
    try:
        tifffile.imwrite(os.fsdecode(os.fsencode(tmp_path) + b"/labels/\xff.tif"), np.eye(9, dtype=np.uint8))
    except OSError:
        pytest.skip("this file system has only names that are text")
    result = cli("check", tmp_path / "labels", "--out", tmp_path / "flags.csv", "--jobs", 1)
    assert result.exit_code == 0
    assert "'\\udcff': image-fault: " in result.stdout
    assert (tmp_path / "flags.csv").read_text().splitlines()[1].startswith("\\udcff,,,image-fault,")


def test_json_has_everything_and_nothing_else_is_printed(cli, write_csv):
    path = write_csv(*rows("a", BLOCK, BLOCK), *rows("b", mask((0, 6, 5, 11)), cell_type="spindle"))
    result = cli("check", path, "--json")
    content = json.loads(result.stdout)
    assert (content["images"], content["cells"]) == (2, 3)
    assert content["by_cell_type"] == {"round": {"images": 1, "cells": 2}, "spindle": {"images": 1, "cells": 1}}
    assert list(content["rules"]) == list(RULES)
    assert content["rules"]["duplicate"]["findings"] == {"round": 1}
    assert content["by_image"][1] == {"image": "b", "cell_type": "spindle", "cells": 1, "findings": {"edge": 1}}
    assert {
        "image": "a",
        "row": 3,
        "cell_type": "round",
        "rule": "duplicate",
        "value": 1.0,
        "note": "with row 2",
    } in content["flags"]


@pytest.mark.parametrize("place", ["nowhere/flags.csv", "train.csv/flags.csv", ".", "x" * 300])
def test_a_place_for_flags_is_refused_before_anything_is_checked(cli, write_csv, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    write_csv(*rows("a", BLOCK))
    monkeypatch.setattr("cellprep.cli.sources.check_source", None)
    result = cli("check", "train.csv", "--out", place)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: cannot write {place}: ")


def test_strict_makes_findings_an_error(cli, write_csv):
    good, bad = rows("a", BLOCK), rows("b", BLOCK, BLOCK)
    assert cli("check", write_csv(*good), "--strict").exit_code == 0
    assert cli("check", write_csv(*good, *bad)).exit_code == 0
    assert cli("check", write_csv(*good, *bad), "--strict").exit_code == 1
    assert cli("check", write_csv(*good, *bad), "--strict", "--rule", "edge").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--rule", "x"], "rule 'x' is unknown: use one of fault, blank, duplicate"),
        (["--threshold", "x"], "threshold 'x' is invalid: give a rule and a number, such as duplicate=0.8"),
        (["--threshold", "hidden=1"], "rule 'hidden' has no threshold: the rules with one are duplicate, inside"),
        (["--threshold", "holes=0"], "threshold 0.0 of rule holes is invalid: give a number above 0"),
        (["--threshold", "holes=nan"], "threshold nan of rule holes is invalid: give a number above 0"),
        (["--overlap", "x"], "overlap 'x' is unknown"),
        (["--out", "train.csv"], "--out train.csv is the input file: choose another file"),
    ],
)
def test_mistakes_are_one_line(cli, write_csv, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    before = tree(write_csv(*rows("a", BLOCK)).parent)
    result = cli("check", "train.csv", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert tree(tmp_path) == before


def test_the_rules_are_documented():
    text = (Path(__file__).parents[1] / "docs/check.md").read_text()
    for name, rule in RULES.items():
        threshold = "" if rule.threshold is None else f"{rule.threshold:g}"
        assert f"\n| `{name}` | {threshold} | {rule.says} |\n" in text


def test_needs_images_where_only_they_tell_sizes(write_csv):
    source = open_source(write_csv("a,1 2", header="ImageId,EncodedPixels"))
    with pytest.raises(UsageError, match="has no columns width and height: give the image files"):
        check_source(source)


def test_no_number_of_jobs_changes_the_result(sartorius):
    reports = [check_source(open_source(sartorius), CheckOptions(jobs=jobs)) for jobs in (1, 2)]
    assert reports[0].to_dict() == reports[1].to_dict()


def test_real_annotations(sartorius):
    report = check_source(open_source(sartorius))
    assert {f.image_id for f in report.findings if f.rule == "annotated-twice"} == {"ce5d0de993bd", "a9fc5e872671"}
    assert sum(f.rule == "duplicate" and f.value == 1 for f in report.findings) == 6
    assert sum(f.rule == "hidden" for f in report.findings) == 6
    assert not any(f.rule in ("fault", "blank", "components", "image-fault") for f in report.findings)
    holes = [f.cell_type for f in report.findings if f.rule == "holes"]
    assert holes.count("astro") > 5 * holes.count("shsy5y")
