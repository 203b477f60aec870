"""Common properties of all reports: failures, messages about them, and a table with a row per image."""

import pytest

from cellprep import (
    BuildOptions,
    CheckOptions,
    EvaluationOptions,
    RoundtripOptions,
    SplitOptions,
    build_targets,
    check_source,
    evaluate,
    export_labels,
    fit_bins,
    open_source,
    open_store,
    roundtrip,
    split_source,
    verify_store,
)
from cellprep.commands.report import ReportOptions, report_dataset

BLOCKS = "63 8 123 8 183 8 243 8"


@pytest.fixture
def source(write_csv):
    masks = {"a": BLOCKS, "b": "483 8 543 8 603 8", "c": "1 40 61 40"}
    return open_source(
        write_csv(*(f"{name},{mask},60,30,round" for name, mask in masks.items()), "d,1 8,60,30,x", "d,1 8,61,30,x")
    )


@pytest.fixture
def store(source, tmp_path):
    build_targets(source, tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    for chunk in (tmp_path / "s.zarr/b").rglob("c.*"):
        chunk.write_bytes(b"")
    return open_store(tmp_path / "s.zarr")


# Per use case its report, the images that fail, and a column with its values for the others.
OF_SOURCE = {
    "build": (
        lambda source, out: build_targets(source, out, BuildOptions(jobs=1, quiet=True)),
        {"status": ["new", "new", "new"], "cells": [1, 1, 1], "hidden": [0, 0, 0]},
    ),
    "check": (
        lambda source, _: check_source(source, CheckOptions(jobs=1, quiet=True)),
        {"cell_type": ["round"] * 3, "cells": [1, 1, 1], "edge": [0, 0, 1]},
    ),
    "evaluate": (
        lambda source, _: evaluate(source, source, EvaluationOptions(jobs=1, quiet=True)),
        {"kaggle_map": [1, 1, 1], "truth": [1, 1, 1]},
    ),
    "report": (
        lambda source, out: report_dataset(source, out, ReportOptions(jobs=1, quiet=True)),
        {"cells": [1, 1, 1], "covered_once": [32, 24, 80], "height": [30, 30, 30]},
    ),
    "split": (
        lambda source, _: split_source(source, options=SplitOptions(folds=3, jobs=1, quiet=True)),
        {"cells": [1, 1, 1]},
    ),
}
OF_STORE = {
    "verify": (lambda store, _: verify_store(store.path, jobs=1, quiet=True), {"cells": [1, 1]}),
    "roundtrip": (
        lambda store, _: roundtrip(store, RoundtripOptions(decoders=("walls",), jobs=1, quiet=True)),
        {"decoder": ["walls"] * 2, "kaggle_map": [1, 1]},
    ),
    "export": (lambda store, out: export_labels(store, "kaggle-csv", out, jobs=1, quiet=True), {"cells": [1, 1]}),
    "fit-bins": (lambda store, _: fit_bins(store, jobs=1, levels=2, quiet=True), {"fills": [False, False]}),
}


@pytest.mark.parametrize(("make", "columns"), OF_SOURCE.values(), ids=OF_SOURCE.keys())
def test_a_table_of_what_became_of_a_source(source, tmp_path, make, columns):
    check_table(make(source, tmp_path / "out"), columns, ["a", "b", "c"], ["d"])


@pytest.mark.parametrize(("make", "columns"), OF_STORE.values(), ids=OF_STORE.keys())
def test_a_table_of_what_became_of_a_store(store, tmp_path, make, columns):
    check_table(make(store, tmp_path / "out"), columns, ["a", "c"], ["b"])


def check_table(report, columns, done, failed):
    frame = report.to_dataframe()
    assert frame["image"].tolist() == [*done, *failed]
    assert {name: frame[name].tolist()[: len(done)] for name in columns} == columns
    assert frame["problem"].isna().tolist() == [True] * len(done) + [False] * len(failed)
    assert dict(zip(failed, frame["problem"].tolist()[len(done) :], strict=True)) == dict(report.failures)
    assert any(" 1 of " in line or "1 could not be" in line for line in report.errors())
