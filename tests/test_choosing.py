"""The choice of training images and validation images."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import write_store

from cellprep import open_source
from cellprep.commands.split import SplitOptions, split_source
from cellprep.errors import SourceError, StoreError, UsageError
from cellprep.learn.data.choosing import choose_images
from cellprep.learn.data.drawing import crops_of, draw_images
from cellprep.system.memory import available_memory

IDS = [f"i{number:02}" for number in range(20)]
TYPES = ["astro"] * 10 + ["cort"] * 5 + [None] * 5


def store_of(path, ids=IDS, types=TYPES, blind=()):
    labels, pixels = np.zeros((2, 2), int), np.zeros((2, 2), np.uint8)
    changes = [{"attributes": {"cell_type": kind}} for kind in types]
    seen = [None if name in blind else pixels for name in ids]
    return write_store(path, dict(zip(ids, zip([labels] * len(ids), seen, changes, strict=True), strict=True)))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("chosen") / "data.zarr")


def write(path, text):
    path.write_text(text)
    return path


@given(st.integers(0, 100), st.sampled_from([0.2, 0.4, 0.01, 0.99]))
def test_each_type_has_its_share(store, seed, fraction):
    train, val = choose_images(store, val_fraction=fraction, seed=seed)
    assert sorted(train + val) == IDS
    assert (train, val) == (sorted(train), sorted(val))
    assert len(val) == min(max(1, round(20 * fraction)), 19)
    if fraction in (0.2, 0.4):
        assert Counter(TYPES[IDS.index(name)] for name in val) == {
            kind: fraction * number for kind, number in Counter(TYPES).items()
        }


def test_images_without_pixels_are_left_out_where_pixels_are_needed(tmp_path):
    blind = IDS[:14]
    store = store_of(tmp_path / "data.zarr", blind=blind)
    train, val = choose_images(store, val_fraction=0.5)
    assert sorted(train + val) == IDS[14:]
    every, same = choose_images(store, val_fraction=0.5, pixels=False)
    assert same == val
    assert sorted(every + same) == IDS
    named = write(tmp_path / "ids.txt", "i00\ni19\n")
    assert choose_images(store, val_ids=named)[1] == ["i19"]
    assert choose_images(store, val_ids=named, pixels=False)[1] == ["i00", "i19"]
    assert choose_images(store, val_fraction=0) == (IDS[14:], IDS[14:])  # none is kept apart
    store = store_of(tmp_path / "none.zarr", blind=IDS)
    assert len(choose_images(store, val_fraction=0.5, pixels=False)[1]) == 10
    with pytest.raises(
        UsageError, match=r"no image of .* has pixels: add them by running `build-targets SOURCE --images FOLDER` again"
    ):
        choose_images(store)


def test_the_choice_depends_on_the_seed_alone(store):
    first, again, other = (choose_images(store, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_takes_the_ids_of_a_file(store, tmp_path):
    path = write(tmp_path / "ids.txt", "i03\n\n  i01 \r\ni03\n")
    train, val = choose_images(store, val_ids=path)
    assert val == ["i01", "i03"]
    assert train == [name for name in IDS if name not in val]


def test_takes_a_fold_that_split_wrote(write_csv, tmp_path):
    rows = [f"i{number:02},1 2,4,4,{'ab'[number % 2]}" for number in range(8)]
    split_source(open_source(write_csv(*rows)), tmp_path / "folds.csv", SplitOptions(folds=4, quiet=True, jobs=1))
    store = store_of(tmp_path / "data.zarr", IDS[:9], TYPES[:9])
    seen = []
    for fold in range(4):
        train, val = choose_images(store, folds=tmp_path / "folds.csv", fold=fold)
        assert sorted(train + val) == IDS[:8]  # the ninth is in no fold
        seen += val
    assert sorted(seen) == IDS[:8]


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"val_ids": "nobody\ni01\nelse\n"}, SourceError, "names 2 images that are not in the store: else, nobody"),
        ({"val_ids": "\n \n"}, UsageError, "none of the 20 images is left for validation"),
        ({"val_ids": "\n".join(IDS)}, UsageError, "none of the 20 images is left for training"),
        ({"val_ids": None}, SourceError, "cannot read .*: No such file"),
        ({"val_fraction": -0.1}, UsageError, "validation images is -0.1: it must"),
        ({"val_fraction": 1.0}, UsageError, "validation images is 1.0: it must"),
        ({"fold": 1}, UsageError, "belong together"),
        ({"folds": "image,fold\ni01,0\n"}, UsageError, "belong together"),
        ({"folds": "image,fold\ni01,0\n", "fold": 0, "val_ids": "i01"}, UsageError, "given both by ids and by a fold"),
        ({"folds": "image,fold\ni01,0\ni02,1\n", "fold": 2}, UsageError, "has no fold 2: it has 0, 1"),
        ({"folds": "image,fold\ni01,0\n", "fold": 0}, UsageError, "none of the 1 image is left for training"),
        ({"folds": "image,fold\nno,0\n", "fold": 0}, SourceError, "names 1 image that are not in the store: no"),
        ({"folds": "image,fold\ni01,x\n", "fold": 0}, SourceError, "row 2: fold 'x' is not a number"),
        ({"folds": "id\ni01\n", "fold": 0}, SourceError, "has no column image, fold"),
        ({"folds": "image,fold\n", "fold": 0}, SourceError, "has no rows"),
        (
            {"folds": "image,fold\ni01,0\ni01,1\n", "fold": 0},
            SourceError,
            "row 3: image i01 is in fold 1, but in fold 0 in an earlier row",
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_says_what_is_wrong_with_a_choice(store, tmp_path, options, error, problem):
    for name in {"val_ids", "folds"} & options.keys():
        path = tmp_path / name
        options = {**options, name: path if options[name] is None else write(path, options[name])}
    with pytest.raises(error, match=problem):
        choose_images(store, **options)


def test_ids_and_folds_may_have_been_through_other_programs(tmp_path):
    store = store_of(tmp_path / "data.zarr", ["\u00fc", "v"], [None, None])
    folds = write(tmp_path / "folds.csv", "image,fold\nu\u0308,0.0\nv,1.0\n")
    assert choose_images(store, folds=folds, fold=0) == (["v"], ["\u00fc"])
    assert choose_images(store, val_ids=write(tmp_path / "val.txt", "u\u0308\n")) == (["v"], ["\u00fc"])


def test_one_image_is_too_few(tmp_path):
    with pytest.raises(UsageError, match="has 1 image: give two or more, or validate on the training images"):
        choose_images(store_of(tmp_path / "data.zarr", ["a"], [None]))


def test_names_damaged_images(tmp_path):
    store = store_of(tmp_path / "data.zarr", ["a", "b"], [None, None])
    (tmp_path / "data.zarr" / "b" / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="has 1 damaged image: b; remove them with `verify --repair`"):
        choose_images(store)


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=1, max_size=12), st.integers(0, 9))
def test_images_are_drawn_in_proportion_to_their_area(shapes, seed):
    weights = crops_of(shapes, 256)
    np.testing.assert_array_equal(weights, [max(1, height * width / 256**2) for height, width in shapes])
    count = int(np.ceil(weights.sum()))
    drawn = np.bincount(draw_images(weights, count, np.random.default_rng(seed)), minlength=len(shapes))
    assert drawn.sum() == count
    assert (np.abs(drawn - weights / weights.sum() * count) < 1 + 1e-9).all()
    assert drawn.min() >= 1


def test_the_order_of_images_is_random():
    weights = np.ones(50)
    first, second = (draw_images(weights, 50, np.random.default_rng(seed)) for seed in (0, 1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert list(first) != list(second) != sorted(second)


def test_the_memory_of_a_container_counts(tmp_path):
    system = write(tmp_path / "meminfo", "MemTotal: 900 kB\nMemAvailable:   500 kB\n")
    assert available_memory(system, tmp_path) == 500 * 1024
    write(tmp_path / "memory.current", "100000\n")
    write(tmp_path / "memory.stat", "anon 5\ninactive_file 30000\n")
    write(tmp_path / "memory.max", "max\n")
    assert available_memory(system, tmp_path) == 500 * 1024
    write(tmp_path / "memory.max", "300000\n")
    assert available_memory(system, tmp_path) == 230_000
    assert available_memory(tmp_path / "none", tmp_path) == 230_000
    assert available_memory(tmp_path / "none", tmp_path / "none") is None
