import csv
import json
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from conftest import HEADER
from test_train import write_discs

from cellprep import BuildOptions, Recipe, build_targets, check_source, evaluate, measure, open_prediction, open_source
from cellprep.commands.check import Finding
from cellprep.commands.report import ReportOptions, is_training, report_dataset, report_training
from cellprep.commands.report import dataset as dataset_module
from cellprep.commands.report.charts import bars, histogram, lines
from cellprep.commands.report.drawing import Picture
from cellprep.commands.report.images import ImageTask, look_at_image
from cellprep.commands.report.page import Table, page
from cellprep.core.windows import windows
from cellprep.errors import CellprepError
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.layouts.pairing import with_images

HOSTILE = '"></td><script>alert(1)</script>&amp;'


class Page(HTMLParser):
    """Elements with their attributes, and the text of cells by row."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.rows, self.stack = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag in self.stack:
            while self.stack.pop() != tag:
                pass

    def handle_data(self, data):
        if self.rows and self.rows[-1] and {"td", "th"} & set(self.stack):
            self.rows[-1][-1] += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, head):
        return next(row[1:] for row in self.rows if row[0] == head)


def test_what_an_annotation_was_compared_to_is_no_matter_of_words():
    flagged = [
        Finding("a", "duplicate", row=3, partner=0, note="as another one"),
        Finding("a", "inside", row=3, partner=2),
        Finding("a", "fault", row=4, note="with row 9"),
    ]
    assert dataset_module._chosen(flagged) == {"a": {3: 0, 4: None}}


def squares(*places, side=8, width=60):
    return [" ".join(f"{width * (top + y) + left + 1} {side}" for y in range(side)) for top, left in places]


@pytest.fixture
def annotations(write_csv):
    """Two types; a duplicate and a hidden cell in one image, and a faulty row in another."""
    first, second, third = squares((2, 2), (2, 30), (20, 20))
    rows = [f"a,{first},60,40,round", f"a,{first},60,40,round", f"a,{second},60,40,long"]
    rows += [f"b,{third},60,40,long", "b,9999 1,60,40,long", "c,,60,40,"]
    return write_csv(*rows)


def test_figures_are_those_of_check(annotations, tmp_path):
    out = tmp_path / "r.html"
    report = report_dataset(open_source(annotations), out, ReportOptions(jobs=1, quiet=True))
    check = check_source(open_source(annotations))
    assert (report.images, report.findings, report.failures) == (3, len(check.flagged), {})
    shown = Page(out)
    assert shown.row("images") == ["1", "1", "1", "3"]
    assert shown.row("readable annotations") == ["0", "2", "2", "4"]
    entries = [attributes for attributes in shown.of("li") if "data-key" in attributes]
    assert [(json.loads(entry["data-key"]), entry["data-rule"].split(" ")) for entry in entries] == [
        ([one.image_id, one.row], [found.rule for found in one.findings]) for one in check.suspects
    ]
    drawn = [attributes for attributes in shown.of("img") if ", row " in attributes["alt"]]
    assert len(drawn) == sum(one.row is not None and one.findings[0].rule != "fault" for one in check.suspects) == 2


def test_the_page_holds_every_line_of_the_flags(annotations, tmp_path):
    """The page's script writes the whole flags.csv when everything is excluded."""
    report_dataset(open_source(annotations), tmp_path / "r.html", ReportOptions(jobs=1, quiet=True))
    check_source(open_source(annotations)).write_flags(tmp_path / "flags.csv")
    lines = []
    for attributes in Page(tmp_path / "r.html").of("li"):
        if "data-key" in attributes:
            (image, row), cell_type = json.loads(attributes["data-key"]), attributes["data-type"]
        elif "data-rule" in attributes:
            found = (attributes[f"data-{name}"] for name in ("rule", "value", "threshold", "note"))
            lines.append([image, "" if row is None else str(row), cell_type, *found])
    with (tmp_path / "flags.csv").open() as file:
        assert sorted(lines) == sorted([*csv.reader(file)][1:])


def test_a_store_is_shown_by_its_own_recipe(annotations, tmp_path, write_csv):
    from cellprep import Recipe

    whole = write_csv(*(line for line in annotations.read_text().splitlines()[1:] if "9999" not in line), name="w.csv")
    store = tmp_path / "s.zarr"
    bins = (1.0, 2.0)
    build_targets(open_source(whole), store, BuildOptions(recipe=Recipe(bins=bins, wall_width=5), jobs=1, quiet=True))
    report_dataset(open_source(store), tmp_path / "r.html", ReportOptions(jobs=1, quiet=True))
    text = (tmp_path / "r.html").read_text()
    assert "<title>2: " in text and "<title>3: " not in text  # tooltips of the levels' bars


def test_the_page_loads_nothing_and_runs_nothing_of_others(write_csv, tmp_path):
    name = "x<script>alert(1)"
    (square,) = squares((2, 2))
    source = write_csv(f'{name},{square},60,40,"{HOSTILE.replace(chr(34), chr(34) * 2)}"')
    report_dataset(open_source(source), tmp_path / "r.html", ReportOptions(jobs=1, quiet=True))
    shown = Page(tmp_path / "r.html")
    assert len(shown.of("script")) == 1 and not shown.of("script")[0]
    assert not shown.of("link") and not shown.of("iframe")
    assert all(attributes["src"].startswith("data:image/webp") for attributes in shown.of("img"))
    assert not [key for _, attributes in shown.elements for key in attributes if key.startswith("on") or key == "style"]
    rules = next(a["content"] for a in shown.of("meta") if a.get("http-equiv"))
    assert rules.startswith("default-src 'none';") and "unsafe" not in rules
    assert HOSTILE in {attributes.get("data-type") for attributes in shown.of("li")}


def test_the_same_source_gives_the_same_bytes(annotations, tmp_path):
    for name, jobs in (("a", 1), ("b", 2)):
        report_dataset(open_source(annotations), tmp_path / name, ReportOptions(jobs=jobs, quiet=True))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_does_not_fit_is_counted(annotations, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_module, "_MOST_CROPS", 2)
    monkeypatch.setattr(dataset_module, "_MOST_THUMBNAILS", 1)
    report = report_dataset(open_source(annotations), tmp_path / "r.html", ReportOptions(jobs=1, quiet=True))
    text = (tmp_path / "r.html").read_text()
    assert f"{report.findings} findings in 3 annotations and images" in text
    assert "1 of 3 images, with outlines of their cells" in text
    assert sum(", row " in a["alt"] for a in Page(tmp_path / "r.html").of("img")) == 1


def test_images_that_fail_are_named_and_the_page_is_there(annotations, tmp_path, cli):
    (tmp_path / "images").mkdir()
    out = tmp_path / "r.html"
    result = cli("report", annotations, "--images", tmp_path / "images", "--out", out, "--jobs", 1)
    assert result.exit_code == 1
    assert "error: 3 of 3 images failed, and are listed in the report:" in result.stderr
    assert "a: there is no image file a.*" in out.read_text()


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("discs") / "source")


def test_predictions_are_scored_as_evaluate_does(discs, tmp_path, cli):
    found = tmp_path / "found"
    found.mkdir()
    for path in (discs / "masks").iterdir():
        labels = tifffile.imread(path)
        tifffile.imwrite(found / path.name, np.where(labels == 1, 0, labels))
    result = cli("report", discs, "--predicted", found, "--out", tmp_path / "r.html", "--jobs", 1)
    assert result.exit_code == 0, result.stderr
    truth = open_source(discs)
    scores = evaluate(open_prediction(found, truth), truth).scores["overall"]
    shown = Page(tmp_path / "r.html")
    assert shown.row("kaggle_map") == [f"{scores['kaggle_map']:.3f}"]
    assert shown.row("missed") == [f"{scores['missed']}"] == ["5"]
    assert "AP and F1" in (tmp_path / "r.html").read_text()
    worst = [attributes["alt"] for attributes in shown.of("img") if "kaggle_map" in attributes["alt"]]
    assert [alt.partition(".")[0] for alt in worst] == ["1", "2", "3", "4", "5"]
    assert all("1 missed" in alt for alt in worst)
    assert [attributes["class"] for attributes in shown.of("path")][:4] == ["matched", "missed"] * 2


def test_a_training(tmp_path, cli):
    run = tmp_path / "dn"
    assert not is_training(run)
    (run / "validation").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"options": {"network": "dn", "seed": 3}, "train_images": ["a", "b"]}))
    with pytest.raises(CellprepError, match="has not finished an epoch yet"):
        report_training(run, tmp_path / "r.html")
    (run / "metrics.csv").write_text(
        "epoch,rate,seconds,train_loss,val_loss,val_angle\n1,.1,2,3,nan,50\n2,.2,2,2,1,nan\n3,.2,2,2,2,8\n"
    )
    from PIL import Image

    Image.new("RGB", (2000, 500), "red").save(run / "validation" / "a.png")
    assert cli("report", run, "--out", tmp_path / "r.html").exit_code == 0
    shown = Page(tmp_path / "r.html")
    assert shown.row("val loss") == ["nan", "1", "2"]
    assert shown.row("val angle") == ["50", "nan", "8"]
    assert [image["width"] for image in shown.of("img")] == ["1600"]
    (run / "metrics.csv").write_text("epoch\nx\n")
    result = cli("report", run, "--out", tmp_path / "r.html", "--overwrite")
    assert (result.exit_code, result.stderr.startswith(f"error: the training {run} is damaged")) == (1, True)


def test_text_never_becomes_markup(tmp_path):
    """The script, style and policy apart, whatever is filled in."""
    path = tmp_path / "p.html"
    figures = Table(HOSTILE, [HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]])
    chart = lines(HOSTILE, HOSTILE, [1.0], {HOSTILE: [1.0], "b": [2.0]})
    drawn = [(HOSTILE, Picture(b"x", 1, 1))]
    text = page(
        "training.html", HOSTILE, counts=[HOSTILE], epochs=HOSTILE, measures=figures, options=figures, curves=[chart],
        drawn=HOSTILE, pictures=drawn,
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")
    shown = Page(path)
    assert shown.of("img")[0]["alt"] == HOSTILE
    assert shown.rows == [[HOSTILE, HOSTILE]] * 4
    assert len(shown.of("script")) == text.count("<script>") == 1


def tips(chart):
    return [mark.about for shape in chart.shapes for mark in shape.marks]


def test_histograms_count_everything():
    chart = histogram("t", "x", {"a": [1, 1, 2, 1000], "b": [5]}, logarithmic=True)
    assert sum(int(tip.rpartition(": ")[2]) for tip in tips(chart)) == 5
    assert histogram("t", "x", {"a": [3.0, 3.0]}).shapes
    assert not histogram("t", "x", {"a": [0.0]}, logarithmic=True).shapes


@pytest.mark.parametrize("values", [[210.0, 390.0], [1.0, 1.9], [7.0], [3.0, 4e5], [1e-9, 1e9]])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_ticks_stand_in_order_and_apart(values, logarithmic):
    ticks = histogram("t", "x", {"": values}, logarithmic=logarithmic).ticks_x
    assert len(ticks) >= len(values)
    for (x, text), (after, other) in pairwise(ticks):
        assert float(after) - float(x) > 7 * (len(text) + len(other)) / 2  # a letter is about 7 wide


def test_epochs_and_numbers_are_whole():
    loss = lines("Loss", "epoch", [1, 2, 3], {"": [3.0, 2.0, 1.0]})
    assert [text for _, text in loss.ticks_x] == ["1", "2", "3"]
    cells = histogram("t", "cells", {"": [3, 3, 4]})
    assert [text for _, text in cells.ticks_x] == ["3", "4"]
    assert [text for _, text in cells.ticks_y] == ["0", "1", "2"]


def test_charts_tell_their_values():
    assert tips(bars("t", "x", [0.25, 0.75], ["a", "b"])) == ["a: 25.00 %", "b: 75.00 %"]
    names = [f"instance-distance-{number}" for number in range(9)]
    lying = bars("t", "x", [0.1] * 9, names)
    assert [name for _, name in lying.ticks_y] == names
    assert float(lying.ticks_y[-1][0]) < lying.bottom
    chart = lines("t", "epoch", [1, 2], {"loss": [0.5, float("nan")]})
    assert tips(chart) == ["loss, 1: 0.5"]
    assert not tips(lines("t", "epoch", [1], {"loss": [float("nan")]}))


def test_the_page_is_not_written_over_the_source(annotations, cli):
    result = cli("report", annotations, "--out", annotations)
    assert result.exit_code == 2
    assert annotations.read_text().startswith(HEADER)


def test_a_huge_image_is_looked_at_by_windows(tmp_path, monkeypatch):
    """With the same figures and the same pictures of annotations."""
    csv = write_discs(tmp_path)
    source = open_source(csv)
    for record in with_images(source, ImageFolder(tmp_path / "images")):
        rows = record.load().rows
        task = ImageTask(record, Recipe(), ((rows[0], rows[-1]), (rows[-1], None), (10**6, None)), thumbnail=224)
        whole = look_at_image(task)
        assert not whole.problem
        assert len(whole.crops) == 2
        with monkeypatch.context() as patch:
            patch.setattr("cellprep.commands.report.images.windows_of", partial(windows, side=37))
            patch.setattr("cellprep.commands.report.images.sparse_step", lambda _: 3)
            huge = look_at_image(task)
        assert whole.score is not None
        assert huge.score is None
        assert huge.thumbnail.width <= 20
        assert huge == replace(whole, score=None, thumbnail=huge.thumbnail)


def test_shapes_are_those_that_measure_gives(write_csv):
    """A bar, an L and an annotation without pixels that can be seen."""
    source = open_source(write_csv("a,1 6 21 6,20,9", "a,66 1 86 1 106 3,20,9", header="id,annotation,width,height"))
    (record,) = source.images()
    facts = look_at_image(ImageTask(record, Recipe(), (), thumbnail=0))
    expected = measure(source, properties=["eccentricity", "solidity"], jobs=1, quiet=True)
    assert facts.eccentricities == tuple(expected["eccentricity"])
    assert facts.solidities == tuple(expected["solidity"]) == (1.0, 5 / 6)


def test_a_folder_of_trainings_has_no_report_of_its_own(cli, tmp_path):
    run = tmp_path / "all"
    (run / "wn").mkdir(parents=True)
    (run / "wn" / "metrics.csv").touch()
    (run / "run.json").write_text('{"options": {"network": "all"}, "train_images": [], "validation_images": []}')
    result = cli("report", run, "--out", tmp_path / "r.html")
    assert (result.exit_code, result.stderr) == (
        2,
        f"error: {run} has several trainings: give the folder of one, such as {run / 'wn'}\n",
    )
