"""Categories are renamed, merged and dropped when annotations are read, in every format with categories."""

import json

import numpy as np
import pytest
from PIL import Image

from cellprep import build_targets, evaluate, measure, open_source, open_store
from cellprep.commands.convert import convert
from cellprep.errors import CellprepError
from cellprep.formats.annotations.categories import read_category_map

ROWS = ("a,1 2,6,5,astro", "a,13 2,6,5,neuron", "a,25 2,6,5,debris", "b,1 3,6,5,oligo", "b,,6,5,")
MAP = {"astro": "glia", "oligo": "glia", "debris": ""}
LEFT = {"glia": 2, "neuron": 1}


@pytest.fixture
def csv(write_csv):
    return write_csv(*ROWS[:4])


@pytest.fixture
def map_file(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("old,new,why\n" + "".join(f"{old},{new},\n" for old, new in MAP.items()))
    return path


def counts(store):
    found = {}
    for image in open_store(store).values():
        for name, cells in zip(image.metadata.categories, image.metadata.cells_of_category, strict=True):
            found[name] = found.get(name, 0) + cells
    return found


@pytest.mark.parametrize("kind", ["kaggle-csv", "coco", "geojson", "label-tiff", "ome-zarr", "labelme", "store"])
def test_categories_of_every_format_are_mapped(csv, map_file, tmp_path, kind):
    source = tmp_path / "cells.json" if kind == "coco" else tmp_path / "cells"
    if kind == "store":
        build_targets(csv, source, jobs=1, quiet=True)
    elif kind == "kaggle-csv":
        source = csv
    else:
        convert(csv, kind, source, jobs=1, quiet=True)
    given = open_source(source, category_map=map_file)
    assert given.notes[-1] == "categories: astro -> glia; oligo -> glia; debris left out; kept as they are: neuron"
    if kind in ("geojson", "labelme"):  # they have no size without images
        types = [record.load((5, 6)).cell_types for record in given.images()]
        assert sorted(name for names in types for name in names) == ["glia", "glia", "neuron"]
        return
    report = build_targets(given, tmp_path / "out.zarr", jobs=1, quiet=True)
    assert counts(tmp_path / "out.zarr") == LEFT
    assert "cells by category: 2 glia, 1 neuron" in report.notes()
    assert open_store(tmp_path / "out.zarr").attributes["source"]["categories"] == MAP
    assert measure(given, properties=["area"], jobs=1, quiet=True)["cell_type"].tolist() == ["glia", "neuron", "glia"]


@pytest.mark.parametrize("components", [None, 8])
def test_folders_of_label_images_may_be_classes(tmp_path, components, cli):
    """Two classes, of which one overlaps the other, in labels or in black and white; of image b one has no file."""
    labels = {"astro": np.zeros((6, 9), np.uint8), "neuron": np.zeros((6, 9), np.uint8)}
    labels["astro"][:3, :3], labels["astro"][4:, 4:] = 1, 2
    labels["neuron"][2:4, 2:4] = 1
    (tmp_path / "data" / "images").mkdir(parents=True)
    for name in ("a", "b"):
        Image.fromarray(np.arange(54, dtype=np.uint8).reshape(6, 9)).save(tmp_path / f"data/images/{name}.png")
        for kind, found in labels.items():
            folder = tmp_path / "data" / "masks" / kind
            folder.mkdir(parents=True, exist_ok=True)
            if (name, kind) != ("b", "neuron"):
                Image.fromarray(255 * (found > 0).astype(np.uint8) if components else found).save(
                    folder / f"{name}.png"
                )
    source = open_source(tmp_path / "data", class_folders=True, components=components)
    assert source.notes == ["folders as classes: astro, neuron", "note: 1 image without a label image of neuron"]
    first, second = (record.load() for record in source.images())
    assert (first.cell_types, second.cell_types) == (("astro", "astro", "neuron"), ("astro", "astro"))
    assert first.runs.areas.tolist() == [9, 10, 4]
    report = build_targets(source, tmp_path / "out.zarr", jobs=1, quiet=True)
    assert (report.new, counts(tmp_path / "out.zarr")) == (2, {"astro": 4, "neuron": 1})
    assert "image" in open_store(tmp_path / "out.zarr")["a"].arrays
    with pytest.raises(CellprepError, match=r"a.png is not in the folder of a class"):
        open_source(tmp_path / "data" / "masks" / "astro", class_folders=True)


def test_the_map_is_part_of_what_targets_depend_on(csv, map_file, tmp_path, cli):
    out = tmp_path / "out.zarr"
    plain = build_targets(csv, out, jobs=1, quiet=True)
    assert (plain.new, plain.of_category) == (2, None)
    assert "categories" not in open_store(out).attributes["source"]
    result = cli("build-targets", csv, "--out", out, "--category-map", map_file, "--jobs", 1)
    assert "2 images (0 new, 2 rewritten, 0 current), 3 cells" in result.stderr
    assert not open_store(out)["a"].read("labels")[4].any()  # what is left out is background
    again = build_targets(csv, out, category_map=MAP, jobs=1, quiet=True)  # the same map in another form
    assert again.current == 2
    assert again.of_category == {**LEFT, "": 0}
    told = json.loads(cli("info", out, "--json").stdout)
    assert {kind["cell_type"]: kind["cells"] for kind in told["cell_types"]} == LEFT
    assert "astro -> glia, debris -> (left out), oligo -> glia" in cli("info", out).stdout


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            "map.csv old,new\nastor,glia",
            "the category map names astor, but train.csv has astro, debris, neuron, oligo",
        ),
        ("map.csv old,new\nastro,x\nastro,y", "map.csv row 3: category astro is mapped twice"),
        ("map.csv from,to\nastro,x", "map.csv needs the columns old and new"),
        ('map.json ["astro"]', "map.json contains .* give an object"),
        ("map.json {", "map.json is not valid JSON"),
        ('map.json {"astro": 1}', "categories map 'astro' to '1': give names"),
    ],
)
def test_maps_that_cannot_be_are_refused(csv, tmp_path, content, problem):
    name, text = content.split(" ", 1)
    (tmp_path / name).write_text(text)
    with pytest.raises(CellprepError, match=problem):
        open_source(csv, category_map=tmp_path / name)


def test_json_and_regions(csv, tmp_path):
    (tmp_path / "map.json").write_text(json.dumps({"astro": "glia", "oligo": None}))
    assert read_category_map(tmp_path / "map.json").content() == {"astro": "glia", "oligo": ""}
    source = open_source(csv, category_map=tmp_path / "map.json", ignore_classes=["debris"])  # by the source's name
    first, second = (record.load() for record in source.images())
    assert (first.cell_types, second.cell_types) == (("glia", "neuron"), ())
    assert np.flatnonzero(first.ignore).tolist() == [24, 25]
    with pytest.raises(CellprepError, match="class 'debris' is both dropped by the category map and ignored"):
        open_source(csv, category_map={"debris": ""}, ignore_classes=["debris"])


def test_predicted_classes_are_mapped_to_the_true_ones(write_csv, tmp_path, cli):
    truth = write_csv(*ROWS[:4])
    found = write_csv(*(row.replace("astro", "Astro") for row in ROWS[:4]), name="found.csv")
    result = cli("evaluate", found, truth, "--by-class")
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "error: found.csv has the class Astro, which train.csv does not have. Predicted classes: Astro, debris, "
        "neuron, oligo; true classes: astro, debris, neuron, oligo. Give both sides the same names with "
        "--predicted-category-map; map a name to itself to accept it\n"
    )
    (tmp_path / "map.csv").write_text("old,new\nAstro,astro\n")
    result = cli("evaluate", found, truth, "--by-class", "--predicted-category-map", tmp_path / "map.csv", "--json")
    assert json.loads(result.stdout)["class_accuracy"] == 1
    (tmp_path / "map.csv").write_text("old,new\nAstro,Astro\n")
    result = cli("evaluate", found, truth, "--by-class", "--predicted-category-map", tmp_path / "map.csv")
    assert result.exit_code == 0
    assert "predicted classes that no true cell has, which are left out of means:\n  Astro" in result.stderr


def test_a_rare_class_that_no_image_has_is_no_error(write_csv):
    truth = write_csv(*ROWS[:2], ROWS[3])
    found = write_csv(*ROWS[:4], name="found.csv")
    report = evaluate(found, truth, by_class=True, jobs=1, quiet=True)
    assert report.class_scores["by_class"]["debris"]["false"] == 1
    assert report.class_scores["mean_ap50"] == 1
