"""A store as the source of another store, which equals one built from the annotations."""

import json

import numpy as np
import pytest
from conftest import examples, masks, tree
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from cellprep import OVERLAP_RULES, BuildOptions, Recipe, build_targets, encode_rle, open_source, open_store
from cellprep.errors import StoreError, UsageError

ROWS = [
    "a,1 4,6,5,round",  # the next two cover it entirely
    "a,1 2,6,5,spindle",
    "a,3 2,6,5,round",
    "a,13 3 19 3,6,5,",
    "a,15 2 21 2 27 2,6,5,spindle",
    "b,1 12,4,3,round",
    "c,,4,3,round",
]


def build(source, out, **options):
    options = {"jobs": 1, "quiet": True, **options}
    return build_targets(open_source(source), out, BuildOptions(**options))


def contents(path):
    """Return the content of a store, except for the names of its source."""
    found = {}
    for image_id, image in open_store(path).items():
        attributes = {key: value for key, value in image.attributes.items() if key not in ("recipe", "crc32c")}
        found[image_id] = (attributes, {name: image.read(name).tolist() for name in image.arrays})
    return found


@pytest.fixture
def images(tmp_path):
    for name, shape in (("a", (5, 6)), ("b", (3, 4)), ("c", (3, 4))):
        (tmp_path / "images").mkdir(exist_ok=True)
        pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("rule", OVERLAP_RULES)
@pytest.mark.parametrize("change", [{}, {"wall_width": 5}, {"distance": "scipy", "bins": (1.0, 2.0)}])
def test_another_recipe_gives_what_the_annotations_give(write_csv, images, tmp_path, rule, change):
    csv, old, new, direct = write_csv(*ROWS), *(tmp_path / name for name in ("old.zarr", "new.zarr", "direct.zarr"))
    build(csv, old, recipe=Recipe(overlap=rule), images=images, pixel_size=0.5)
    recipe = Recipe(overlap=rule, **change)
    report = build(old, new, recipe=recipe)
    assert report.failures == {}
    assert report.hidden == build(csv, direct, recipe=recipe, images=images, pixel_size=0.5).hidden
    assert contents(new) == contents(direct)
    assert open_store(new)["a"].attributes["hidden"]
    assert open_store(new).attributes["source"]["format"] == "cellprep"
    assert build(old, new, recipe=recipe).current == 3


@settings(max_examples=examples(40))
@given(masks(), st.sampled_from(list(OVERLAP_RULES)))
def test_rebuilt_from_any_masks(tmp_path_factory, stack, rule):
    folder = tmp_path_factory.mktemp("rebuild")
    _, height, width = stack.shape
    texts = [text for text in encode_rle(stack) if text]
    assume(texts)
    (folder / "a.csv").write_text(
        "id,annotation,width,height\n" + "".join(f"a,{text},{width},{height}\n" for text in texts)
    )
    build(folder / "a.csv", folder / "old.zarr", recipe=Recipe(overlap=rule))
    build(folder / "old.zarr", folder / "new.zarr", recipe=Recipe(overlap=rule, wall_width=5))
    build(folder / "a.csv", folder / "direct.zarr", recipe=Recipe(overlap=rule, wall_width=5))
    assert contents(folder / "new.zarr") == contents(folder / "direct.zarr")


def test_ignored_pixels_are_carried_over(tmp_path):
    crowd = {"id": 2, "image_id": 1, "iscrowd": 1, "segmentation": {"size": [4, 5], "counts": [0, 12, 8]}}
    cell = {"id": 1, "image_id": 1, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}
    image = {"id": 1, "file_name": "a.png", "width": 5, "height": 4}
    (tmp_path / "coco.json").write_text(json.dumps({"images": [image], "annotations": [cell, crowd]}))
    build(tmp_path / "coco.json", tmp_path / "old.zarr")
    build(tmp_path / "old.zarr", tmp_path / "new.zarr")
    assert "ignore" in open_store(tmp_path / "new.zarr")["a"].arrays
    assert contents(tmp_path / "old.zarr") == contents(tmp_path / "new.zarr")


def test_another_overlap_rule_is_refused_by_name(write_csv, tmp_path):
    build(write_csv(*ROWS), tmp_path / "old.zarr")
    report = build(tmp_path / "old.zarr", tmp_path / "new.zarr", recipe=Recipe(overlap="background"))
    assert set(report.failures.values()) == {
        "its overlaps were already resolved by the rule smaller-on-top, so that background cannot be applied: "
        "keep the rule, or build from the annotations"
    }
    assert len(report.failures) == 3


def test_a_store_cannot_be_built_from_itself(write_csv, tmp_path, monkeypatch, cli):
    out = tmp_path / "data.zarr"
    build(write_csv(*ROWS), out)
    before = tree(out)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(out)
    for source in (out, "data.zarr", "./link"):
        with pytest.raises(UsageError, match=r"is both the source and the store to write: choose another --out"):
            build(source, out)
    result = cli("build-targets", "data.zarr", "--out", "data.zarr")
    assert result.exit_code == 2
    assert tree(out) == before


def test_other_images_may_be_given(write_csv, images, tmp_path):
    build(write_csv(*ROWS), tmp_path / "old.zarr")
    build(tmp_path / "old.zarr", tmp_path / "new.zarr", images=images)
    build(write_csv(*ROWS), tmp_path / "direct.zarr", images=images)
    assert contents(tmp_path / "new.zarr") == contents(tmp_path / "direct.zarr")


def test_only_images_whose_source_changed_are_built_again(write_csv, images, tmp_path):
    old, new = tmp_path / "old.zarr", tmp_path / "new.zarr"
    build(write_csv(*ROWS), old, images=images)
    build(old, new)
    build(write_csv(*[*ROWS[:-1], "c,1 2,4,3,round"]), old, images=images)
    report = build(old, new)
    assert (report.rewritten, report.current) == (1, 2)
    assert open_store(new)["c"].attributes["cells"] == 1


def test_a_damaged_image_fails_alone(write_csv, tmp_path):
    old, new = tmp_path / "old.zarr", tmp_path / "new.zarr"
    build(write_csv(*ROWS), old)
    chunk = old / "b/labels/instances/0/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert build(old, new).failures == {"b": f"{chunk} is damaged: its checksum does not match"}
    assert list(open_store(new)) == ["a", "c"]


def test_stores_that_are_none(tmp_path):
    with pytest.raises(StoreError, match="is not a cellprep store"):
        open_source(tmp_path, "cellprep")
    (tmp_path / "zarr.json").write_text(json.dumps({"attributes": {"cellprep": {"schema_version": 99}}}))
    with pytest.raises(StoreError, match="has schema 99: this version of cellprep knows schema 1"):
        open_source(tmp_path, "cellprep")


def test_cells_left_out_of_a_store_no_longer_decide_its_images_type(write_csv, tmp_path):
    build(write_csv("a,1 2,6,5,round", "a,7 2,6,5,round", "a,20 2,6,5,spindle"), tmp_path / "old.zarr")
    (tmp_path / "flags.csv").write_text("image,row\na,2\na,3\n")
    build(tmp_path / "old.zarr", tmp_path / "new.zarr", exclude=tmp_path / "flags.csv")
    attributes = open_store(tmp_path / "new.zarr")["a"].attributes
    assert (attributes["cell_type"], attributes["categories"], attributes["cells"]) == ("spindle", ["spindle"], 1)


def test_the_root_of_a_store_without_a_checksum_says_what_the_last_build_did(tmp_path, write_csv):
    csv, out = write_csv("a,8 2 14 2,6,5,round"), tmp_path / "s.zarr"
    build_targets(open_source(csv), out, BuildOptions(recipe=Recipe(per_instance=True), jobs=1, quiet=True))
    root = json.loads((out / "zarr.json").read_text())
    del root["attributes"]["cellprep"]["crc32c"]  # as earlier versions wrote it
    (out / "zarr.json").write_text(json.dumps(root, indent=2))
    build_targets(open_source(csv), out, BuildOptions(jobs=1, quiet=True))
    assert "per_instance" not in json.loads((out / "zarr.json").read_text())["attributes"]["cellprep"]["recipe"]
