"""First guesses of new users at the API: each works, or one line names the right way."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import names_in
from PIL import Image

import cellprep
from cellprep import BIN_PRESETS, CellprepError, Recipe
from cellprep.commands.report import report_dataset
from cellprep.learn.training.options import TrainOptions

ROWS = ["id,annotation,width,height,plate", "a,8 2 14 2,6,5,P1", "a,10 2 16 2,6,5,P1", "b,29 2,6,5,P2"]
LABELS = np.kron([[1, 2], [3, 0]], np.ones((3, 3), int))
KNOWN = {
    **{name: getattr(cellprep, name) for name in cellprep.__all__},
    "Path": Path,
    "pd": pd,
    "np": np,
    "TrainOptions": TrainOptions,
    "labels": LABELS,
    "report_dataset": report_dataset,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("guesses")
    (place / "train.csv").write_text("\n".join(ROWS) + "\n")
    (place / "train").mkdir()
    for name in "ab":
        Image.fromarray(np.arange(30, dtype=np.uint8).reshape(5, 6)).save(place / "train" / f"{name}.png")
    cellprep.build_targets(place / "train.csv", place / "data.zarr", jobs=1, quiet=True)
    return place


@pytest.fixture
def guess(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda text: eval(text, {**KNOWN, "store": cellprep.open_store("data.zarr")})


WORKING = {
    'check_source("train.csv", jobs=1).images[0].image_id': "a",
    'check_source(Path("train.csv"), rules="duplicate", thresholds={"duplicate": 0.9}, jobs=1).flagged': [],
    'check_source("train.csv", thresholds="duplicate=0.9", jobs=1).thresholds["duplicate"]': 0.9,
    '"by column" in check_source("train.csv", rle_order="column", jobs=1).source': True,
    "len(check_source(store, jobs=1).images)": 2,
    "len(check_source({'a': labels, 'b': labels}, jobs=1).images)": 2,
    'build_targets("train.csv", "wide.zarr", wall_width=5, jobs=1).new, '
    'open_store("wide.zarr")["a"].recipe.wall_width': (2, 5),
    'build_targets("train.csv", "paper.zarr", bins="paper", only="a", images=False, jobs=1).new, '
    'open_store("paper.zarr")["a"].recipe.preset': (1, "paper"),
    'build_targets("train.csv", "more.zarr", BuildOptions(jobs=1), recipe=Recipe(wall_width=5), bins="paper").new, '
    'open_store("more.zarr")["a"].recipe': (2, Recipe(wall_width=5, bins=BIN_PRESETS["paper"].bins)),
    'build_targets({"x": labels}, "arrays.zarr", jobs=1).new, open_store("arrays.zarr")["x"].metadata.cells': (1, 3),
    'build_targets("data.zarr", "again.zarr", jobs=1).new': 2,
    'evaluate("data.zarr", "train.csv", jobs=1).failures': {},
    'evaluate(store, "data.zarr", only="a", jobs=1).scores["overall"]["kaggle_map"]': 1.0,
    'evaluate(labels, labels * 2, jobs=1).scores["overall"]["kaggle_map"]': 1.0,
    "evaluate(truth=labels, predicted=np.minimum(labels, 2), jobs=1).scores['overall']['missed']": 1,
    "evaluate({1: labels}, {1: labels}, jobs=1).images[0].image_id": "1",
    "list(roundtrip('data.zarr', decoders='walls', jobs=1).decoders)": ["walls"],
    "roundtrip(store, decoders=['original'], decoder_options='level=2', walls=False, jobs=1).failures": {},
    'split_source("train.csv", folds=2, groups="plate", jobs=1).folds': [0, 1],
    'preview_store("data.zarr", "p.png", images="a", crop="0,0,3,3").drawn': ["a"],
    'preview_store("data.zarr", "p.png", PreviewOptions(images="b", crop=(0, 0, 3, 3))).drawn': ["b"],
    'build_targets("train.csv", "less.zarr", exclude=pd.DataFrame({"image": ["a"], "row": [None]}), jobs=1).new': 1,
    'preview_store(Path("data.zarr"), Path("q.png"), contact_sheet=True, quiet=True).of': 2,
    'fit_bins("data.zarr", "bins.json", levels=2, jobs=1).levels, '
    'len(build_targets("train.csv", "fitted.zarr", bins="bins.json", jobs=1).rows)': (2, 2),
    'export_labels("data.zarr", "coco", "x.json", jobs=1).images': 2,
    'verify_store("data.zarr", jobs=1).images, verify_store(store, jobs=1).images': (2, 2),
    'describe_store("data.zarr").facts["cells"], describe_store(store).facts["cells"]': (3, 3),
    'report_dataset("train.csv", "r.html", predicted="data.zarr", jobs=1, quiet=True).images': 2,
}


@pytest.mark.parametrize(("text", "expected"), WORKING.items(), ids=WORKING)
def test_what_a_new_user_types_works(guess, text, expected):
    assert guess(text) == expected


WRONG = {
    'build_targets("train.csv", "s.zarr", wall_widht=5)': "there is no option wall_widht: did you mean wall_width?",
    'build_targets("train.csv", "s.zarr", rle_ordr="row")': "there is no option rle_ordr: did you mean rle_order?",
    'build_targets("train.csv", "s.zarr", Recipe())': "options are a Recipe: give BuildOptions(...), or each option",
    'build_targets("train.csv", "s.zarr", channels="drop")': "channels 'drop' is unknown: use one of collapse, keep",
    "check_source(5)": "source is the int 5: give a path, the result of open_source, or labels",
    'check_source(open_source("train.csv"), rle_order="row")': "rle_order: options for reading must be given to",
    'evaluate("data.zarr", None)': "truth is None: give a path",
    'evaluate(np.ones(3), "data.zarr")': "predicted is float64 of shape (3,): give a path",
    "roundtrip(3)": "store is the int 3: give the path of a store, or the result of open_store",
    'preview_store("data.zarr", "p.png", image="a")': "there is no option image: did you mean images?",
    "split_source('train.csv', fold=3)": "there is no option fold: did you mean folds?",
    "check_source('train.csv', orientation='up')": "orientation 'up' is unknown: use one of apply, ignore",
    "verify_store('data.zarr', job=2)": "there is no option job: did you mean jobs?",
    "fit_bins('data.zarr', levels='3')": "levels is the text '3': give a whole number",
    "check_source('train.csv', jobs='2')": "jobs is the text '2': give a whole number",
    "split_source('train.csv', keep_annotated_twice='no')": "keep_annotated_twice is the text 'no': give True or False",
    "build_targets('train.csv', 's.zarr', exclude=3)": "exclude is the int 3: give a path or a data frame",
    "split_source('train.csv', SplitOptions(folds=2))": "out is a SplitOptions: give a path, and options by",
    "preview_store('data.zarr', PreviewOptions())": "path is a PreviewOptions: give a path, and options by name",
    "export_labels('data.zarr', 'coco', 5)": "out is the int 5: give a path",
    "export_labels('data.zarr', 'label-tiff', 's3://b/x')": "out is s3://b/x: give a local path",
    "measure_to_file('train.csv', 3)": "out is the int 3: give a path",
    "measure(labels, MeasureOptions())": "images must be (H, W) or (C, H, W), a folder of files, or arrays by id, not",
    "measure(labels, np.ones(3))": "or arrays by id, not float64 of shape (3,)",
    "draw_worst(evaluate(labels, labels), labels, labels, -1, 'worst')": "number is the int -1: give the number",
    "evaluate(labels, labels).write_csv(5)": "path is the int 5: give a path",
    "report_training('nowhere', 'r.html')": "nowhere is not the folder of a training: it has no run.json",
    "report_training(5, 'r.html')": "run is the int 5: give a path",
    "read_metrics(5)": "run is the int 5: give a path",
    "napari_layers('a')": "image is the text 'a': give a store, or one of its images: open_store(...)[image_id]",
    "build_targets('train.csv', 's.zarr', images={'a': labels})": "images is a dict of 1: give a path, or False",
    "build_targets('train.csv', None)": "out is None: give the path of a store",
    "SplitOptions(folds='2')": "folds is the text '2': give a whole number",
    "SplitOptions(groups=None)": "groups is None: give one string or a list of strings",
    "CheckOptions(rules=5)": "rules is the int 5: give one string or a list of strings",
    "CheckOptions(thresholds=5)": "thresholds is the int 5: give values by name",
    "CheckOptions(thresholds={'duplicate': 'a'})": "threshold 'a' of rule duplicate is invalid: give a number above 0",
    "BuildOptions(recipe={'wall_width': 3})": "recipe is a dict of 1: give Recipe(...)",
    "PreviewOptions(crop=5)": "crop 5 is invalid: give y,x,h,w",
    "check_source([labels])": "source is a list of 1: give a path",
    "check_source('train.csv', CheckOptions)": "options are the class CheckOptions: give CheckOptions(...)",
    "TrainOptions('dn', augment='flip')": "augmentation 'flip' is unknown: use one of flips, rotation",
    "TrainOptions('dn', max_lr='x')": "max_lr is the text 'x': give a number",
    "TrainOptions('dn', optimiser='sgd')": "optimiser 'sgd' is unknown: use one of adamw, adam",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_named_with_what_is_right(guess, text, message):
    with pytest.raises(CellprepError, match=re.escape(message).replace(r"\.\*", ".*")):
        guess(text)


def test_networks_are_trained_and_used_by_names(guess, folder):
    pytest.importorskip("torch")
    KNOWN.update({name: getattr(cellprep.learn, name) for name in ("train", "train_all", "predict")})
    small = "epochs=1, base_channels=1, crop=32, val_fraction=0.5, workers=0, device='cpu', quiet=True"
    assert len(guess(f"train('data.zarr', 'wtn', out='run', {small})").rows) == 1
    assert guess("predict('train', 'found', device='cpu', to='coco', quiet=True)").images == 2
    assert names_in(folder / "found") == ["coco.json"]
    for text, message in {
        "train('data.zarr')": "network is missing: `semseg`",
        "train('data.zarr', 'nd')": "network 'nd' is unknown: use one of",
        "train('data.zarr', 'dn', epoch=3)": "there is no option epoch: did you mean epochs?",
        "train_all('data.zarr', epoch=3)": "there is no option epoch: did you mean epochs?",
        "predict('train', 'out', wieghts='nuclei')": "there is no option wieghts: did you mean weights?",
        "predict('train', 7)": "out is the int 7: give a path",
        "predict(labels, 'out')": "images is int64 of shape (6, 6): give paths, or a store; cellprep.learn",
        "predict('train', 'out', 3)": "weights must be a name, or one or several paths, not the int 3",
    }.items():
        with pytest.raises(CellprepError, match=re.escape(message)):
            guess(text)


def test_help_of_options_shows_what_is_declared():
    text = cellprep.BuildOptions.__doc__
    assert "jobs\n    Number of processes; -1 for one per core.\n" in text
    assert "instead of ``jobs``" in text
    assert "no longer in the source" in text
    assert "files, if the source does not contain" in cellprep.SplitOptions.__doc__.replace("\n    ", " ")
    assert text.index("quiet\n") < text.index("Raises\n")
