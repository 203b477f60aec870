"""Functions that take a path also take a string."""

import dataclasses
import importlib
import inspect
import pkgutil
import typing
from pathlib import Path

import pandas as pd
import pytest
from conftest import tree

import cellprep
from cellprep import store
from cellprep.commands import check, preview, report
from cellprep.commands import evaluate as evaluation
from cellprep.commands.demo import write_dataset
from cellprep.commands.roundtrip import draw_worst_decoded
from cellprep.formats.annotations.exclusions import read_exclusions
from cellprep.formats.layouts.pairing import open_images


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    csv = write_dataset(folder, images_per_type=2, shape=(40, 50))
    source = cellprep.open_source(csv)
    cellprep.build_targets(source, folder / "s.zarr", cellprep.BuildOptions(jobs=1, quiet=True))
    (folder / "flags.csv").write_text("image,row\nspindle-1,2\n")
    (folder / "bins.json").write_text("[1, 2.5]")
    return folder


def once(inputs, out, kind):
    """Call every function with paths of a kind; return what each returns, in words."""
    options = {"images": kind(inputs / "train"), "jobs": 1, "quiet": True}
    source = cellprep.open_source(kind(inputs / "train.csv"))
    opened = cellprep.open_store(kind(inputs / "s.zarr"))
    yield source.image_ids
    yield cellprep.open_prediction(kind(inputs / "train.csv"), source).image_ids
    yield list(store.Store(kind(inputs / "s.zarr")))
    yield store.StoredImage(kind(inputs / "s.zarr/spindle-1")).attributes
    yield read_exclusions(kind(inputs / "flags.csv"))
    yield open_images(source, kind(inputs / "train")).find("spindle-1").decode()
    yield cellprep.read_bins(kind(inputs / "bins.json"))
    how = cellprep.BuildOptions(exclude=kind(inputs / "flags.csv"), **options)
    yield cellprep.build_targets(source, kind(out / "t.zarr"), how).errors()
    with store.StoreWriter(kind(out / "u.zarr")) as writer:
        image = opened["spindle-1"]
        content = store.ImageContent({name: image.read(name) for name in image.arrays}, {}, None)
        yield store.write_image(kind(writer.workspace / "a"), content)
    checked = check.check_source(source, check.CheckOptions(**options))
    yield checked.write_flags(kind(out / "flags.csv"))
    yield cellprep.split_source(
        source, kind(out / "folds.csv"), cellprep.SplitOptions(folds=2, keep_annotated_twice=True, **options)
    ).to_csv()
    yield cellprep.describe_store(kind(inputs / "s.zarr"), quiet=True).to_dict()
    yield cellprep.verify_store(kind(inputs / "s.zarr"), jobs=1, quiet=True).sound
    yield cellprep.fit_bins(opened, kind(out / "bins.json"), levels=4, jobs=1, quiet=True).to_json()
    yield cellprep.export_labels(opened, "coco", kind(out / "coco.json"), jobs=1, quiet=True).errors()
    yield cellprep.measure(kind(inputs / "s.zarr"), kind(inputs / "train"), jobs=1, quiet=True).to_csv()
    measured = cellprep.MeasureOptions(**options)
    yield cellprep.measure_to_file(source, kind(out / "cells.csv"), measured).errors()
    yield source.to_dataframe(kind(inputs / "train"), jobs=1).to_csv()
    how = cellprep.EvaluationOptions(**options)
    scores = cellprep.evaluate(source, source, how)
    yield scores.write_csv(kind(out / "scores.csv"))
    yield evaluation.refuse_pictures(kind(out / "worst"))
    yield cellprep.draw_worst(scores, source, source, 1, kind(out / "worst"), how)
    of_roundtrip = cellprep.RoundtripOptions(decoders=("walls",), jobs=1, quiet=True)
    decoded = cellprep.roundtrip(opened, of_roundtrip)
    yield draw_worst_decoded(decoded, opened, 1, kind(out / "decoded"), of_roundtrip)
    yield cellprep.preview_store(opened, kind(out / "preview.png")).drawn
    yield preview.draw_targets(opened["spindle-1"], kind(out / "targets.png"))
    yield preview.draw_contact_sheet(list(opened.values()), kind(out / "sheet.png"))
    yield report.report_dataset(source, kind(out / "page.html"), report.ReportOptions(**options)).errors()
    yield report.is_training(kind(inputs))


def told(found):
    """All that there is to say of a result: a report's own words are shorter."""
    if dataclasses.is_dataclass(found):
        return repr({field.name: getattr(found, field.name) for field in dataclasses.fields(found)})
    return repr(found)


def test_text_does_what_a_path_does(inputs, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("paths", "texts"):
        (tmp_path / name).mkdir()
    by_path, by_text = (list(once(inputs, tmp_path / name, kind)) for name, kind in (("paths", Path), ("texts", str)))
    plain = [told(found).replace(str(tmp_path / "texts"), str(tmp_path / "paths")) for found in by_text]
    assert plain == list(map(told, by_path))
    assert tree(tmp_path / "texts") == tree(tmp_path / "paths")


def functions():
    """Every public function and method outside `cellprep.learn`."""
    packages = [module.name for module in pkgutil.iter_modules(cellprep.__path__) if module.ispkg]
    modules = [
        importlib.import_module(f"cellprep.{name}") for name in packages if name not in ("learn", "cli", "models")
    ]
    for module in (cellprep, *modules):
        for name in getattr(module, "__all__", []):
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                yield f"{module.__name__}.{name}", thing
            elif inspect.isclass(thing):
                methods = {key: value for key, value in vars(thing).items() if inspect.isfunction(value)}
                for key, method in methods.items():
                    if key == "__init__" or not key.startswith("_"):
                        yield f"{module.__name__}.{name}.{key}", method


#: Classes that only the package makes, and a method without parameters whose result it cannot name.
MADE = {"Tags", "Preview", "DatasetReport", "TrainingReport", "Source", "zarr"}


def test_every_path_may_be_text():
    paths_alone = [
        f"{name}: {parameter} is {hint}"
        for name, function in functions()
        if not set(name.split(".")) & MADE
        for parameter, hint in typing.get_type_hints(function, localns={"DataFrame": pd.DataFrame}).items()
        if parameter != "return" and Path in (hint, *typing.get_args(hint)) and str not in typing.get_args(hint)
    ]
    assert not paths_alone
