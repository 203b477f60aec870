"""Folds: every image once, groups whole, strata even, and the same seed the same bytes."""

import csv
import io
import json
import os

import numpy as np
import pytest
from conftest import tree
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cellprep import SplitOptions, open_source, split_source
from cellprep.core.folds import assign_folds, strata_of
from cellprep.errors import OutputError, SourceError, UsageError
from cellprep.formats.kaggle_csv.image import CSVImage
from cellprep.system.output import write_whole

PLATES = "id,annotation,width,height,cell_type,plate,well"
TWICE = ["twice,1 8,5,4,round,P1,A", "twice,1 8,5,4,round,P1,A"]


def split(path, out=None, **options):
    return split_source(open_source(path), out, SplitOptions(**{"jobs": 1, "quiet": True, **options}))


def folds_of(path, **options):
    result = split(path, **options)
    return {image.image_id: fold for image, fold in zip(result.images, result.folds, strict=True)}


@st.composite
def problems(draw, grouped=True):
    count = draw(st.integers(2, 60))
    classes = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    coarse = [value // 2 for value in classes]
    most = draw(st.integers(2, count))
    groups = draw(st.lists(st.integers(0, most - 1), min_size=count, max_size=count)) if grouped else list(range(count))
    folds = draw(st.integers(2, 6))
    return np.stack([classes, coarse], axis=1), np.array(groups), folds, draw(st.integers(0, 9))


@given(problems())
def test_every_image_once_and_no_group_split(problem):
    classes, groups, folds, seed = problem
    if len(set(groups)) < folds:
        with pytest.raises(UsageError, match=f"{folds} folds need {folds} groups of images, but there are"):
            assign_folds(classes, groups, folds, seed)
        return
    result = assign_folds(classes, groups, folds, seed)
    assert result.shape == (len(classes),)
    assert set(result) == set(range(folds))  # none is empty
    assert all(len(set(result[groups == group])) == 1 for group in groups)
    np.testing.assert_array_equal(result, assign_folds(classes, groups, folds, seed))


@given(problems(grouped=False))
def test_single_images_are_shared_out_as_evenly_as_can_be(problem):
    classes, groups, folds, seed = problem
    if len(groups) < folds:
        return
    result = assign_folds(classes, groups, folds, seed)
    for kind in np.unique(classes[:, 0]):
        assert np.ptp(np.bincount(result[classes[:, 0] == kind], minlength=folds)) <= 1
    # Two strata make a type: what is over in one goes where the other has none over.
    for kind in np.unique(classes[:, 1]):
        assert np.ptp(np.bincount(result[classes[:, 1] == kind], minlength=folds)) <= 2


def variance(classes, folds_of_images, folds):
    counts = np.stack([np.bincount(folds_of_images[classes == kind], minlength=folds) for kind in np.unique(classes)])
    return float((counts / counts.sum(axis=1, keepdims=True)).var(axis=1).sum())


def test_groups_are_shared_out_near_the_best():
    """Against every assignment of few groups, and against chance: greedy is close to the one, far from the other."""
    rng = np.random.default_rng(8)
    greedy, best, chance = [], [], []
    for seed in range(40):
        classes, groups = rng.integers(0, 3, 40), rng.integers(0, 8, 40)
        every = np.stack(np.meshgrid(*[range(2)] * 7, indexing="ij"), -1).reshape(-1, 7)
        every = np.concatenate(
            [np.zeros((len(every), 1), int), every], axis=1
        )  # the numbering of folds does not matter
        scores = [variance(classes, fold_of_group[groups], 2) for fold_of_group in every]
        greedy.append(variance(classes, assign_folds(classes[:, np.newaxis], groups, 2, seed), 2))
        best.append(min(scores))
        chance.append(np.mean(scores))
    assert np.mean(greedy) < np.mean(best) + 0.1 * (np.mean(chance) - np.mean(best))
    assert all(low - 1e-12 <= score <= middle for low, score, middle in zip(best, greedy, chance, strict=True))


@given(st.lists(st.integers(1, 9), min_size=3, max_size=12), st.integers(2, 3))
def test_one_class_differs_by_the_largest_group_at_most(sizes, folds):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    result = assign_folds(np.zeros((len(groups), 1), int), groups, folds)
    assert np.ptp(np.bincount(result, minlength=folds)) <= max(sizes)


def test_strata_are_quartiles_within_a_type():
    cells = np.array([*range(40), *range(1000, 1006), 7])
    types = np.array([0] * 40 + [1] * 6 + [2])
    strata = strata_of(types, cells, folds=3)
    assert np.bincount(strata).tolist() == [10, 10, 10, 10, 3, 3, 1]
    assert (np.diff(strata) >= 0).all()
    assert len(set(strata_of(np.zeros(50, int), np.full(50, 3), folds=5))) == 1  # equal numbers stay together


def some_images(count):
    rng = np.random.default_rng(2)
    rows = []
    for number in range(count):
        kind = ("round", "spindle", "stellate")[number % 3]
        rows += [f"im{number:03},{start} 2,5,4,{kind}" for start in range(1, 1 + 3 * rng.integers(1, 6), 3)]
    return rows


def test_seeds(write_csv):
    path = write_csv(*some_images(60))
    assert split(path, seed=3).to_csv() == split(path, seed=3, jobs=2).to_csv()
    assert split(path, seed=3).to_csv() != split(path, seed=4).to_csv()


def test_the_file(write_csv, tmp_path, cli):
    path, out = write_csv(*some_images(30)), tmp_path / "folds.csv"
    result = cli("split", path, "--folds", 3, "--out", out, "--jobs", 1)
    assert (result.exit_code, result.stdout) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert list(rows[0]) == ["image", "fold", "cell_type", "cells"]
    assert [row["image"] for row in rows] == open_source(path).image_ids
    assert {row["fold"] for row in rows} == {"0", "1", "2"}
    images = {image.image_id: image for image in open_source(path).images()}
    assert all(row["cell_type"] == images[row["image"]].cell_type for row in rows)
    assert all(int(row["cells"]) == len(images[row["image"]].rows) for row in rows)
    took, _, *table = result.stderr.splitlines()
    assert took == "train.csv: kaggle-csv, pixels counted by row, images: 30"
    assert table[0].split() == ["fold", "images", "cells", "round", "spindle", "stellate"]
    assert [line.split()[1] for line in table[1:4]] == ["10", "10", "10"]
    assert table[4].split()[:2] == ["spread", "0"]
    assert int(table[4].split()[2]) == np.ptp([int(line.split()[2]) for line in table[1:4]])
    assert cli("split", path, "--folds", 3, "--out", out, "--jobs", 2, "--quiet", "--overwrite").output == ""
    assert set(tree(tmp_path)) == {"train.csv", "folds.csv"}


def test_groups_are_never_split(write_csv):
    rows = [f"im{n},1 2,5,4,round,P{n % 4},W{n % 3}" for n in range(24)]
    path = write_csv(*rows, header=PLATES)
    plates = folds_of(path, folds=4, groups=("plate",))
    assert len({(name, fold) for name, fold in ((int(i[2:]) % 4, f) for i, f in plates.items())}) == 4
    both = folds_of(path, folds=5, groups=("plate", "well"))
    assert all(both[f"im{n}"] == both[f"im{n + 12}"] for n in range(12))
    assert len({both[f"im{n}"] for n in range(0, 24, 4)}) > 1  # a plate alone may be split
    assert split(path, folds=4, groups=("plate",)).notes()[0] == "4 groups by plate"
    with pytest.raises(UsageError, match="5 folds need 5 groups of images, but there are 4"):
        split(path, folds=5, groups=("plate",))


def test_images_without_a_value_are_on_their_own(write_csv):
    rows = [f"im{n},1 2,5,4,round,{'P' if n < 3 else ' '}," for n in range(9)]
    result = split(write_csv(*rows, header=PLATES), folds=3, groups=("plate", "well"))
    assert result.notes()[0] == "7 groups by plate, well; 6 images without a value, each in its own group"
    assert len(set(result.folds[:3])) == 1
    assert sorted(np.bincount(result.folds)) == [3, 3, 3]


def test_an_image_named_as_a_group_is_not_in_it(write_csv):
    rows = [f"{name},1 2,5,4,round,{plate}," for name, plate in [("P", ""), ("a", "P"), ("b", "Q")]]
    assert split(write_csv(*rows, header=PLATES), folds=3, groups=("plate",)).groups == 3


def test_annotated_twice_is_left_out_and_named(write_csv, tmp_path, cli):
    rows = [f"im{n},1 2,5,4,round,P,A" for n in range(4)]
    path, out = write_csv(*rows, *TWICE, header=PLATES), tmp_path / "f.csv"
    result = cli("split", path, "--folds", 2, "--out", out, "--jobs", 1)
    assert result.exit_code == 0
    assert "(left out; --keep-annotated-twice keeps them):\n  twice\n" in result.stderr
    assert "twice" not in out.read_text()
    result = cli("split", path, "--folds", 2, "--out", out, "--jobs", 1, "--keep-annotated-twice", "--overwrite")
    assert "(kept):\n  twice\n" in result.stderr
    assert "\ntwice," in out.read_text()
    # Half of the pixels are not most of them.
    half = write_csv("half,1 8,5,4,round", "half,5 4,5,4,round", "b,1,5,4,round".replace(",1,", ",1 1,"))
    assert split(half, folds=2).annotated_twice == []


def test_failing_images_are_named_and_the_others_split(write_csv, tmp_path, cli):
    rows = ["a,1 2,5,4,round", "b,1 2,5,4,round", "long,20 2,5,4,round", "size,1 2,x,4,round", "../c,1 2,5,4,round"]
    path, out = write_csv(*rows), tmp_path / "f.csv"
    for quiet in ([], ["--quiet", "--overwrite"]):
        result = cli("split", path, "--folds", 2, "--out", out, "--jobs", 1, *quiet)
        assert result.exit_code == 1
        assert (
            "error: 3 of 5 images failed, and are not in a fold:\n  long: train.csv row 4: run '20 2'" in result.stderr
        )
        assert "\n  size: train.csv row 5: width 'x'" in result.stderr
        assert "\n  ../c: train.csv row 6: image id '../c' is refused" in result.stderr
    assert [line[0] for line in out.read_text().splitlines()[1:]] == ["a", "b"]


def test_something_unexpected_costs_one_image(write_csv, monkeypatch):
    def load(image, shape):
        return honest(image, shape) if image.image_id != "a" else 1 / 0

    honest = CSVImage.load
    monkeypatch.setattr(CSVImage, "load", load)
    result = split(write_csv(*(f"{name},1 2,5,4,round" for name in "abc")), folds=2)
    assert result.failures == {"a": "unexpected ZeroDivisionError: division by zero; please report this"}
    assert len(result.images) == 2


def test_too_few_images_because_others_are_left_out(write_csv):
    failing = write_csv("a,1 2,5,4,round", "b,20 2,5,4,round")
    message = r"2 folds need 2 groups .* 1 are left \(1 failed, the first one 'b': train.csv"
    with pytest.raises(SourceError, match=message):
        split(failing, folds=2)
    twice = write_csv("a,1 2,5,4,round,P1,A", *TWICE, header=PLATES)
    with pytest.raises(UsageError, match=r"1 are left \(1 annotated twice\)"):
        split(twice, folds=2)
    assert len(split(twice, folds=2, keep_annotated_twice=True).images) == 2


def test_sizes_come_from_the_images_where_only_they_tell(tmp_path, cli):
    boxes = [{"id": k, "image_id": k, "category_id": 1, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]} for k in (1, 2)]
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png", "width": 5, "height": 4}]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "x"}]}))
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "images/a.png")  # b's is not needed
    options = ["--folds", 2, "--jobs", 1, "--out", tmp_path / "f.csv"]
    assert "give the image files (--images)" in cli("split", path, *options).stderr
    assert cli("split", path, *options, "--images", tmp_path / "images").exit_code == 0
    assert sorted(line[0] for line in (tmp_path / "f.csv").read_text().splitlines()[1:]) == ["a", "b"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--folds", 1], 2, "cannot make 1 folds: give 2 or more"),
        (["--folds", 9], 2, "9 folds need 9 groups of images, but there are 2: give fewer folds"),
        (["--seed", -1], 2, "seed -1 is negative"),
        (["--jobs", 0], 2, "jobs is 0: give 1 or more"),
        (["--group", "site"], 2, "train.csv has no column 'site' to group images by; it has: 'plate', 'well'"),
        (["--group", "cell_type"], 2, "train.csv has no column 'cell_type' to group images by; it has"),
        (["--out", "train.csv"], 2, "--out train.csv is the input file: choose another file"),
        (["--out", "."], 1, "it exists and is not a file"),
        (["--out", "train.csv/f.csv"], 1, "cannot write "),
        (["--out", "nowhere/f.csv"], 1, "the folder nowhere does not exist"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(write_csv, tmp_path, monkeypatch, cli, args, code, message):
    monkeypatch.chdir(tmp_path)
    write_csv("a,1 2,5,4,round,P1,A", "b,1 2,5,4,round,P2,A", header=PLATES)
    before = tree(tmp_path)
    result = cli("split", "train.csv", "--folds", 2, "--jobs", 1, *args)
    assert result.exit_code == code
    *_, last = result.stderr.splitlines()  # before it may be what the source was taken for
    assert last.startswith("error: ") and message in last
    assert tree(tmp_path) == before


def test_a_text_is_one_column():
    assert SplitOptions(groups="plate").groups == ("plate",)


def test_a_file_is_replaced_whole_and_links_stay(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "ä\n")
    assert link.is_symlink()
    assert target.read_bytes() == "ä\n".encode()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="it exists and is not a file"):
        write_whole(tmp_path / "pipe", "x")
    assert {path.name for path in tmp_path.iterdir()} == {"target", "link", "pipe"}


@pytest.mark.slow
def test_folds_of_real_images(sartorius):
    result = split(sartorius)
    assert result.annotated_twice == ["a9fc5e872671", "ce5d0de993bd"]
    assert len(result.images) == 254
    assert np.ptp(np.bincount(result.folds)) <= 2
    types = np.array([image.cell_type for image in result.images])
    for name in ("astro", "cort", "shsy5y"):
        assert np.ptp(np.bincount(np.array(result.folds)[types == name])) <= 2
    cells = np.bincount(result.folds, [image.cells for image in result.images])
    assert np.ptp(cells) < 0.2 * cells.mean()
