import json
import shutil

import numpy as np
import pytest
import zarr
from conftest import tree
from msgspec.structs import replace

from cellprep import BuildOptions, Recipe, build_targets, describe_store, open_source, open_store, verify_store
from cellprep.errors import StoreError
from cellprep.store import StoreWriter, Summary

ROWS = [
    "a,1 3 7 3,6,5,round",
    "a,2 2 8 2,6,5,spindle",
    "a,1 6,6,5,round",
    "b,1 30,6,5,spindle",
    "b,13 6,6,5,",
    "c,,4,3,round",
]


def build(csv, out, **options):
    return build_targets(open_source(csv), out, BuildOptions(**{"jobs": 1, "quiet": True, **options}))


def summary_of(out):
    return json.loads((out / "zarr.json").read_text())["attributes"]["cellprep"].get("summary")


@pytest.fixture
def csv(write_csv):
    return write_csv(*ROWS)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "s.zarr"


def test_counts_by_hand(csv, out):
    build(csv, out)
    info = describe_store(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and path.name != "zarr.json")
    assert {name: value for name, value in info.facts.items() if name != "recipes"} == {
        "images": 3,
        "images_without_cells": 1,
        "cells": 5,
        "hidden": 0,
        "bytes": size,
        "cell_types": [
            {"cell_type": "round", "images": 2, "cells": 2},
            {"cell_type": "spindle", "images": 1, "cells": 2},
            {"cell_type": None, "images": 0, "cells": 1},
        ],
        "shapes": [[5, 6, 2], [3, 4, 1]],
        "distinct_shapes": 2,
        "arrays": dict.fromkeys(["area", "cells", "distance", "energy", "labels", "semseg", "uvec"], 3),
    }
    assert [(made["images"], made["options"]["wall_width"]) for made in info.facts["recipes"]] == [(3, 3)]
    assert (info.read, info.complete, info.source_images) == (0, True, 3)


def test_the_summary_equals_what_reading_all_images_gives(csv, out):
    build(csv, out)
    told = describe_store(out)
    with StoreWriter(out) as writer:
        writer.drop_summary()
    read = describe_store(out)
    assert read.facts == told.facts
    assert (read.read, read.complete) == (3, None)
    assert read.notes() == ["the store has no valid summary: 3 images read one by one"]
    assert "complete      unknown" in "\n".join(read.lines())


def test_order_does_not_matter(csv, out):
    build(csv, out)
    images = [image.metadata for image in open_store(out).values()]
    counted = []
    for order in ([0, 1, 2], [2, 0, 1]):
        summary = Summary()
        for k in order:
            summary.add(images[k])
        counted.append(json.dumps(summary.to_dict()))
    assert counted[0] == counted[1]


def test_many_sizes_keep_the_summary_small(csv, out):
    build(csv, out)
    image, summary = open_store(out)["a"].metadata, Summary()
    for height in range(1, 40):
        summary.add(replace(image, shape=(height, 5)))
    summary.add(replace(image, shape=(39, 5)))
    facts = summary.to_dict()
    assert facts["shapes"][:3] == [[39, 5, 2], [1, 5, 1], [2, 5, 1]]
    assert (len(facts["shapes"]), facts["distinct_shapes"]) == (20, 39)


# What a run may do to a store that is whole, and whether its summary stays.
RUNS = {
    "nothing to do": ({}, True),
    "one image, nothing to do": ({"only": ("a",)}, True),
    "one image": ({"only": ("a",), "rebuild": True}, False),
    "one image, another recipe": ({"only": ("a",), "recipe": Recipe(wall_width=5)}, False),
    "all images, one by one": ({"only": ("a", "b", "c"), "rebuild": True}, True),
    "another recipe": ({"recipe": Recipe(wall_width=5)}, True),
}


@pytest.mark.parametrize(("options", "stays"), RUNS.values(), ids=RUNS)
def test_only_a_run_that_sees_all_images_leaves_a_summary(csv, out, options, stays):
    build(csv, out)
    build(csv, out, **options)
    assert (summary_of(out) is not None) == stays
    build(csv, out)
    assert summary_of(out) is not None


@pytest.mark.parametrize("how", ["exchanged", "moved"])
def test_the_summary_leaves_before_the_first_change(csv, out, monkeypatch, how):
    build(csv, out)
    seen = []
    inner = StoreWriter.commit
    if how == "moved":  # where the system cannot exchange names
        monkeypatch.setattr("cellprep.store.writer.exchange", lambda new, place: False)

    def watched(writer, image_id):
        result = inner(writer, image_id)
        seen.append(summary_of(out))
        return result

    monkeypatch.setattr(StoreWriter, "commit", watched)
    build(csv, out, rebuild=True)
    assert seen == [None] * 3
    assert summary_of(out) is not None


def test_an_interrupted_run_leaves_none(csv, out, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    build(csv, out)
    monkeypatch.setattr("cellprep.commands.build_targets.BuildReport.add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(csv, out, rebuild=True)
    assert summary_of(out) is None


def test_a_source_that_fails_half_way_leaves_none(write_csv, out, monkeypatch):
    monkeypatch.setattr("cellprep.formats.tables._MOST_HELD", 0)  # a larger file is read twice
    source = open_source(write_csv(*ROWS))
    write_csv(*ROWS[:3])
    assert build_targets(source, out, BuildOptions(jobs=1)).stopped
    assert summary_of(out) is None


def test_failed_images_make_a_store_incomplete(write_csv, out):
    csv = write_csv(*ROWS, "d,0 3,6,5,x")
    build(csv, out)
    info = describe_store(out)
    assert (info.complete, info.source_images, info.source_images_stored) == (False, 4, 3)
    assert info.lines()[-1] == "complete      no: 1 of 4 images of the source are not in the store"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert build(csv, out).failures  # it fails again, and nothing is written
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_images_no_longer_in_the_source_are_counted_until_they_are_pruned(write_csv, out):
    build(write_csv(*ROWS), out)
    build(write_csv(*ROWS[:3]), out)
    info = describe_store(out)
    assert (info.facts["images"], info.source_images, info.complete, info.read) == (3, 1, True, 0)
    build(write_csv(*ROWS[:3]), out, prune=True)
    info = describe_store(out)
    assert (info.facts["images"], info.source_images, info.complete, info.read) == (1, 1, True, 0)


def test_the_same_summary_for_any_number_of_jobs(csv, tmp_path):
    for jobs in (1, 2):
        build(csv, tmp_path / f"{jobs}.zarr", jobs=jobs)
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / "2.zarr")
    assert summary_of(tmp_path / "1.zarr")["images"] == 3


def test_a_store_that_others_changed_is_read(csv, out):
    build(csv, out)
    shutil.rmtree(out / "b")
    info = describe_store(out)
    assert (info.facts["images"], info.complete, info.read) == (2, None, 2)


def test_things_of_others_cost_time_and_nothing_else(csv, out):
    build(csv, out)
    (out / "notes.txt").write_text("mine")
    (out / ".DS_Store").mkdir()
    assert describe_store(out).read == 0
    zarr.create_group(out, path="predictions")
    info = describe_store(out)
    assert (info.facts["images"], info.complete, info.read, info.damaged) == (3, True, 3, 0)


def damage(path, value):
    document = json.loads(path.read_text())
    document["attributes"]["cellprep"] |= value
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("value", [{"cells": "many"}, {"complete": False}, {"shape": [0, 6]}, {"hidden": None}])
def test_images_with_damaged_attributes_are_counted_apart(csv, out, value):
    build(csv, out)
    (out / "mine").mkdir()
    damage(out / "a/zarr.json", value)
    info = describe_store(out)
    assert (info.facts["images"], info.damaged) == (2, 1)
    assert "1 image damaged: list them with cellprep verify" in info.notes()
    assert build(csv, out).rewritten == 1
    assert describe_store(out).damaged == 0


DAMAGED_SUMMARIES = [
    None,
    [],
    {},
    {"images": 3},
    *(
        lambda key=key, value=value: {key: value}
        for key, values in {
            "images": [None, "3", True],
            "cell_types": [None, [1], [{"cell_type": 1, "images": 1, "cells": 1}], [{"cell_type": "a"}]],
            "shapes": [None, [1], [[1, 2]], [["a", 1, 1]]],
            "arrays": [None, {"labels": "x"}],
            "recipes": [None, [{}], [{"images": None, "options": {}}]],
        }.items()
        for value in values
    ),
]


@pytest.mark.parametrize("value", DAMAGED_SUMMARIES)
def test_a_damaged_summary_is_not_trusted(csv, out, value):
    build(csv, out)
    damage(out / "zarr.json", {"summary": {**summary_of(out), **value()} if callable(value) else value})
    info = describe_store(out)
    assert (info.facts["images"], info.read, info.complete) == (3, 3, None)
    info.lines()


@pytest.mark.parametrize("option", [{"wall_width": 5}, {"per_instance": True}], ids=str)
def test_other_recipes_are_told(csv, out, option):
    build(csv, out)
    assert not any("other options" in line for line in describe_store(out).lines())
    build(csv, out, only=("a",), recipe=Recipe(**option))
    assert "              2 images made with other options" in describe_store(out).lines()


def test_a_run_under_way_is_told(csv, out):
    build(csv, out)
    assert not describe_store(out).under_way
    with StoreWriter(out):
        assert describe_store(out).notes() == [
            "a run is writing to the store, or was killed: the next run removes its leftovers"
        ]


def test_hostile_names_are_printable(write_csv, out):
    csv = write_csv('a,1 3,6,5,"two\nlines\x1b[2J"', name="tr\x1bain.csv")
    build(csv, out)
    assert all(line.isprintable() for line in describe_store(out).lines())


def test_no_store(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        describe_store(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is not a cellprep store"):
        describe_store(tmp_path)


def test_an_empty_store(write_csv, out):
    build(write_csv("a,0 1,6,5,x"), out)
    info = describe_store(out)
    assert (info.facts["images"], info.complete) == (0, False)
    info.lines()


def test_the_command(cli, csv, out):
    build(csv, out, pixel_size=0.5)
    result = cli("info", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "images        3 (1 without cells)\n" in result.stdout
    assert "              spindle: 1 image, 2 cells\n" in result.stdout
    assert "              pixel size: 0.5\n" in result.stdout
    assert "complete      yes: 3 images in the source\n" in result.stdout
    told = json.loads(cli("info", out, "--json").stdout)
    assert told["complete"] is True
    assert told["recipe"]["pixel_size"] == 0.5
    assert told["source"]["name"] == "train.csv"
    shutil.rmtree(out / "a")
    assert "2 images read one by one" in cli("info", out).stderr
    assert cli("info", out, "--quiet").stderr == ""
    assert cli("info", out.parent / "nowhere").stderr.startswith("error: there is no store")


def test_sizes_on_disk_are_readable(csv, out):
    build(csv, out)
    lines = {}
    for size in (1, 999, 1000, 31_100_000, 2_000_000_000):
        info = describe_store(out)
        info.facts["bytes"] = np.int64(size).item()
        lines[size] = next(line for line in info.lines() if line.startswith("on disk"))
    assert [line.removeprefix("on disk       ") for line in lines.values()] == [
        "1 byte of arrays",
        "999 bytes of arrays",
        "1.0 kB of arrays",
        "31.1 MB of arrays",
        "2.0 GB of arrays",
    ]


@pytest.mark.parametrize("bins", ["5", "[NaN]", "[1, 1e999]", '["a"]', "[null]", "{}"])
def test_bins_that_are_none_are_one_line(cli, csv, out, tmp_path, bins):
    build(csv, out)
    document = (out / "zarr.json").read_text()
    start = document.index("[", document.index('"bins"'))
    (out / "zarr.json").write_text(document[:start] + bins + document[document.index("]", start) + 1 :])
    for words in (["info", out, "--json"], ["report", out, "--out", tmp_path / "page.html"]):
        result = cli(*words, "--quiet")
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        assert len(result.stderr.splitlines()) <= 1
        assert "unexpected" not in result.stderr
    assert not verify_store(out, jobs=1, quiet=True).sound
