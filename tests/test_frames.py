"""Pandas data frames of sources, stores, findings, matches and trainings."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import examples, masks
from hypothesis import given, settings
from stores import write_store

from cellprep import (
    BuildOptions,
    CheckOptions,
    EvaluationOptions,
    SplitOptions,
    build_targets,
    check_source,
    describe_store,
    encode_rle,
    evaluate,
    measure,
    open_source,
    open_store,
    parse_rle,
    read_metrics,
    score_image,
    split_source,
)
from cellprep.commands.evaluate.report import EvaluationReport
from cellprep.core.scores.matches import list_matches
from cellprep.errors import SourceError, UsageError, WeightsError
from cellprep.formats.annotations.exclusions import read_exclusions
from cellprep.formats.table_writer import write_table
from cellprep.learn.data.choosing import choose_images
from cellprep.learn.training.journal import write_metrics

QUIET = {"jobs": 1, "quiet": True}


@pytest.fixture
def source(write_csv):
    return open_source(write_csv("a,1 3 7 3,6,5,round", "a,9 2,6,5,", "b,99 1,6,5,x", "c,,6,5,"))


def test_annotations_of_a_source(source):
    table = source.to_dataframe(jobs=1)
    assert table.iloc[0].dropna().to_dict() == {
        "image": "a",
        "row": 2,
        "cell_type": "round",
        "area": 6,
        **{"bbox-0": 0, "bbox-1": 0, "bbox-2": 2, "bbox-3": 3},
        "at_edge": True,
        "height": 5,
        "width": 6,
    }
    assert table["at_edge"].tolist() == [True, False, pd.NA]
    assert table["problem"].notna().tolist() == [False, False, True]


def test_annotations_of_a_source_whose_images_tell_sizes(tmp_path, write_csv):
    (tmp_path / "i").mkdir()
    np.save(tmp_path / "i/a.npy", np.zeros((5, 6), np.uint8))
    csv = open_source(write_csv("a,1 3 7 3", "b,1 1", header="id,annotation"))
    table = csv.to_dataframe(tmp_path / "i", jobs=1)
    assert table[["height", "width"]].to_numpy(object).tolist() == [[5, 6], [pd.NA, pd.NA]]
    assert table["problem"][1].startswith("there is no image file b.*")


def test_cells_of_a_store(tmp_path):
    labels = np.array([[1, 1, 3], [0, 0, 3]])
    changes = {"attributes": {"categories": ["x"], "cells_of_category": [1]}}
    changes["arrays"] = {"cells": np.array([[7, 2, -1], [8, 4, 0], [9, 2, -1]])}
    store = write_store(tmp_path / "s.zarr", {"a": (labels, None, changes), "b": (labels, None)})
    (tmp_path / "s.zarr/b/cells/c.0.0").write_bytes(b"")
    assert store.to_dataframe().drop(columns="problem").to_numpy(object).tolist() == [
        ["a", 1, 7, pd.NA, 2, False],
        ["a", 2, 8, "x", 4, True],
        ["a", 3, 9, pd.NA, 2, False],
        ["b", *[pd.NA] * 5],
    ]
    assert describe_store(tmp_path / "s.zarr").to_dataframe().to_dict("list") == {
        "cell_type": ["x", None],
        "images": [0, 2],
        "cells": [1, 5],
    }


def test_an_empty_store_has_the_same_columns(tmp_path):
    table = write_store(tmp_path / "s.zarr", {}).to_dataframe()
    assert table.dtypes.astype(str).to_dict()["label"] == "Int64"
    assert not len(table)


def test_findings_of_a_check(write_csv):
    source = open_source(write_csv("a,1 3 7 3,6,5,round", "a,8 2,6,5,"))
    report = check_source(source, CheckOptions(rules=("inside", "components"), **QUIET))
    (found,) = report.findings_dataframe().to_dict("records")
    assert {name: found[name] for name in ("image", "row", "rule", "value", "partner")} == {
        "image": "a",
        "row": 3,
        "rule": "inside",
        "value": 1,
        "partner": 2,
    }
    assert found["note"] == "with row 2"


def test_matches_of_an_evaluation(source, write_csv):
    found = open_source(write_csv("a,2 2 8 2,6,5,", "a,25 2,6,5,", "b,1 1,6,5,", "c,1 2,6,5,", name="found.csv"))
    report = evaluate(found, source, EvaluationOptions(**QUIET))
    table = report.matches_dataframe()
    assert table.drop(columns="problem").to_numpy(object).tolist() == [
        ["a", "round", 2, 2, pytest.approx(4 / 6), "matched"],
        ["a", pd.NA, 3, pd.NA, pytest.approx(1 / 5), "missed"],
        ["a", pd.NA, pd.NA, 3, 0.0, "false"],
        ["c", pd.NA, pd.NA, 5, 0.0, "false"],
        ["b", *[pd.NA] * 5],
    ]
    assert "train.csv row 4: run '99 1'" in table["problem"].iloc[-1]
    with pytest.raises(UsageError, match=r"only in a report of cellprep\.evaluate"):
        EvaluationReport("", "", []).matches_dataframe()


def _runs(stack):
    return parse_rle(encode_rle(stack[stack.any(axis=(1, 2))]), stack.shape[1:])


@given(masks(max_side=9), masks(max_side=9))
@settings(max_examples=examples(60))
def test_matches_agree_with_scores(ours, theirs):
    shape = tuple(np.minimum(ours.shape[1:], theirs.shape[1:]))
    predicted, truth = (_runs(stack[:, : shape[0], : shape[1]]) for stack in (ours, theirs))
    found = list_matches(predicted, truth)
    score = score_image(predicted, truth)
    verdicts = [match.verdict for match in found]
    assert verdicts.count("matched") == score.matched[0]
    assert verdicts.count("missed") + verdicts.count("split") == score.missed
    assert verdicts.count("false") + verdicts.count("merged") == score.false
    assert sum(match.iou for match in found if match.verdict == "matched") == pytest.approx(score.matched_iou)
    assert [match.truth for match in found if match.truth is not None] == list(range(len(truth)))
    assert sorted(match.predicted for match in found if match.predicted is not None) == list(range(len(predicted)))


def test_cells_to_ignore_have_no_iou():
    found = list_matches([[1, 0, 2]], [[0, 0, 4]], np.array([[True, False, True]]))
    assert [match.verdict for match in found] == ["ignored"] * 3
    assert all(np.isnan(match.iou) for match in found)


def frame(*rows):
    return pd.DataFrame(rows, columns=["id", "annotation", "width", "height", "cell_type", "plate"])


ROWS = [("a", "1 3 7 3", 6.0, 5, "x", "P1"), ("b", None, 6.0, 5, None, "P2"), ("a", "20 2", 6.0, 5, "y", "P1")]


def test_a_data_frame_is_an_annotation_source(tmp_path, write_csv):
    table = frame(*ROWS).set_index(np.array([7, 7, 9]))
    source = open_source(table)
    csv = open_source(write_csv(table.to_csv(index=False, header=False).strip(), header=",".join(table.columns)))
    for ours, theirs in zip(source.images(), csv.images(), strict=True):
        found, expected = ours.load(), theirs.load()
        assert [row + 2 for row in found.rows] == list(expected.rows)
        assert (found.cell_types, found.cell_type) == (expected.cell_types, expected.cell_type)
        np.testing.assert_array_equal(found.runs.starts, expected.runs.starts)
        assert found.runs.shape == expected.runs.shape
    assert source.description == "data frame: kaggle-csv, pixels counted by row, images: 2"
    assert source.sha256 != open_source(table.replace("20 2", "20 3")).sha256
    split = split_source(source, options=SplitOptions(folds=2, groups=("plate",), **QUIET))
    assert split.groups == 2
    folds = split.to_dataframe()
    exclude = pd.DataFrame({"image": ["a"], "row": [2]})
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(images=False, exclude=exclude, **QUIET))
    assert (report.new, report.cells) == (2, 1)
    store = open_store(tmp_path / "s.zarr")
    first = folds.loc[folds["fold"] == 0, "image"].tolist()
    assert choose_images(store, folds=folds, fold=0, pixels=False)[1] == first
    assert measure(table, properties=["area"], **QUIET)["area"].tolist() == [6, 2]


@pytest.mark.parametrize(
    ("table", "error"),
    [
        (frame(("a", "99 1", 6, 5, "", "")), "data frame row 0: run '99 1' goes past the last pixel"),
        (frame(*ROWS, ("c", "1 1", "x", 5, "", "")), "data frame row 3: width 'x' is not a whole number"),
        (frame(*ROWS, ("a", "1 1", 7, 5, "", "")), "data frame row 3: width 7 contradicts 6 in row 0"),
    ],
)
def test_faulty_rows_of_a_data_frame_are_named(table, error):
    problems = open_source(table).to_dataframe(jobs=1)["problem"].dropna()
    assert problems.iloc[0].startswith(error)


def test_data_frames_that_are_none_of_annotations(tmp_path):
    with pytest.raises(SourceError, match="data frame: column annotation is missing"):
        open_source(frame(*ROWS).drop(columns="annotation"))
    with pytest.raises(SourceError, match="data frame has no annotations"):
        open_source(frame())
    with pytest.raises(UsageError, match="a data frame is read as kaggle-csv"):
        open_source(frame(*ROWS), "coco")
    with pytest.raises(SourceError, match="data frame row 0: row 'x' is not a whole number"):
        read_exclusions(pd.DataFrame({"image": ["a"], "row": ["x"]}))
    with pytest.raises(SourceError, match="data frame: the columns image and row"):
        read_exclusions(pd.DataFrame({"id": ["a"], "row": [1]}))


@pytest.mark.parametrize("name", ["folds.csv", "folds.tsv", "folds.parquet"])
def test_folds_may_be_in_any_table(tmp_path, name):
    store = write_store(tmp_path / "s.zarr", {image: (np.eye(3, dtype=int), None) for image in "ab"})
    write_table(tmp_path / name, [pd.DataFrame({"image": ["a", "b"], "fold": [0, 1]})])
    assert choose_images(store, folds=tmp_path / name, fold=1, pixels=False) == (["a"], ["b"])


def test_columns_are_those_that_the_documentation_names(source, tmp_path):
    text = (Path(__file__).parent.parent / "docs" / "tables.md").read_text(encoding="utf-8")
    lines = text.partition("## Tables out")[2].partition("\n\n`problem`")[0].splitlines()
    cells = [line.split("|") for line in lines if "...)" in line or "(...)" in line]
    told = {
        call: re.findall(r"`([\w-]+)`", columns.replace("to `bbox-3`", "`bbox-1` `bbox-2` `bbox-3`"))
        for _, call, _, columns, _ in cells
    }
    build_targets(source, tmp_path / "s.zarr", BuildOptions(**QUIET))
    tables = {
        "open_source(": source.to_dataframe(jobs=1),
        "open_store(": open_store(tmp_path / "s.zarr").to_dataframe(),
        "check_source(": check_source(source, CheckOptions(**QUIET)).findings_dataframe(),
        "evaluate(": evaluate(source, source, EvaluationOptions(**QUIET)).matches_dataframe(),
        "split_source(": split_source(source, options=SplitOptions(folds=2, **QUIET)).to_dataframe(),
        "describe_store(": describe_store(tmp_path / "s.zarr").to_dataframe(),
    }
    for call, table in tables.items():
        (columns,) = (names for where, names in told.items() if call in where)
        assert [*table] == columns


def test_figures_of_trainings(tmp_path):
    rows = [{"epoch": 1, "rate": 0.1, "seconds": 2.5, "train_loss": 3.0, "val_loss": 4.0}]
    for network in ("dn", "wtn"):
        (tmp_path / network).mkdir()
        write_metrics(tmp_path / network / "metrics.csv", rows)
    assert read_metrics(tmp_path / "dn").to_dict("records") == rows
    assert read_metrics(tmp_path)["network"].tolist() == ["dn", "wtn"]
    (tmp_path / "dn/metrics.csv").write_text("x\n1\n")
    with pytest.raises(WeightsError, match=r"metrics\.csv is damaged: train again"):
        read_metrics(tmp_path)
    with pytest.raises(UsageError, match=r"has no metrics\.csv: give the folder of a training"):
        read_metrics(tmp_path / "nowhere")
