"""Fitting energy bins to a store: counts, choice of bins, and messages of the command."""

import json
from itertools import combinations

import numpy as np
import pytest
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st

from cellprep import (
    BIN_METHODS,
    DISTANCES,
    PUBLISHED_BINS,
    BuildOptions,
    Recipe,
    build_targets,
    compute_targets,
    encode_rle,
    fit_bins,
    open_source,
    open_store,
    parse_rle,
    read_bins,
    resolve_overlaps,
)
from cellprep.commands.fit_bins import FittedBins
from cellprep.core.targets import DistanceHistogram, choose_bins, energy_levels
from cellprep.errors import RecipeError, StoreError, UsageError

SQUARE = "9 5 16 5 23 5 30 5 37 5"  # 5 x 5 pixels in the middle of 7 x 7


def build(csv, out, **recipe):
    report = build_targets(open_source(csv), out, BuildOptions(recipe=Recipe(**recipe), jobs=1, quiet=True))
    assert not report.errors()
    return open_store(out)


def fit(store, *args, **options):
    return fit_bins(store, *args, **{"jobs": 1, "quiet": True, **options})


@pytest.fixture
def store(write_csv, tmp_path):
    return build(write_csv(f"a,{SQUARE},7,7,", "b,,7,7,"), tmp_path / "s.zarr")


def histogram(values, counts=None):
    counts = [1] * len(values) if counts is None else counts
    return DistanceHistogram(np.array(values, np.float32), np.array(counts, np.int64))


# All the distances of a 3x3 chamfer below 7 pixels, of which the published bins are a choice.
CHAMFER = sorted({round(0.955 * a + 1.3693 * b, 4) for a in range(8) for b in range(6) if a + b > 0})

STEPS = (0.95500183, 1.9100037, 2.8650055)  # OpenCV's 0.955 is 62587 / 65536


def test_a_square(store):
    """Rings of 16, 8 and 1 pixels, 0.955, 1.91 and 2.865 from the outside."""
    fitted = fit(store, levels=4)
    assert fitted.bins == STEPS
    assert fitted.histogram.counts.tolist() == [16, 8, 1]
    assert fitted.histogram.pixels_by_level(fitted.bins).tolist() == [0, 16, 8, 1]
    assert (fitted.images, fitted.histogram.pixels) == (2, 25)
    assert fit(store, levels=3, method="quantiles").bins == STEPS[:2]


def test_published_bins_are_found_again():
    """The twelve narrow ones, except for rounding to three decimals; then four wide ones."""
    bins = choose_bins(histogram([*CHAMFER, *np.arange(7, 81, 0.1)]), levels=17)
    np.testing.assert_allclose(bins[:12], PUBLISHED_BINS[:12], atol=5e-4)
    ratios = np.divide(bins[12:], bins[11:-1])
    np.testing.assert_allclose(ratios, (80 / bins[11]) ** (1 / 5), rtol=0.02)
    assert len(bins) == 16


@pytest.mark.parametrize("method", BIN_METHODS)
def test_small_cells_get_as_many_levels_as_they_have_distances(method):
    values = CHAMFER[:9]
    assert choose_bins(histogram(values), 10, method) == tuple(values)
    message = "11 levels need 10 different distances, but there are 9: give at most 10 levels"
    with pytest.raises(UsageError, match=message):
        choose_bins(histogram(values), 11, method)


def test_equal_shares_where_the_distances_allow():
    assert choose_bins(histogram(range(1, 13)), 5, "quantiles") == (1.0, 4.0, 7.0, 10.0)
    # One distance has more than its share: the others share what is left.
    assert choose_bins(histogram(range(1, 8), [60, 5, 5, 5, 5, 5, 5]), 5, "quantiles") == (1.0, 2.0, 4.0, 6.0)


@st.composite
def distances_and_bins(draw):
    values = draw(st.lists(st.floats(0.875, 300, width=32), min_size=1, max_size=60))
    steps = draw(st.lists(st.sampled_from([0, 1e-7, 3e-6, 9e-6, 1.1e-5, 2e-5]), max_size=60))
    near = [np.float32(value + step) for value, step in zip(values, steps, strict=False)]
    array = np.array([*values, *near, *values], np.float32)
    return array, draw(st.integers(2, 40)), draw(st.sampled_from(list(BIN_METHODS)))


@given(distances_and_bins())
def test_bins_hold_what_they_promise(case):
    """Bins are distances that occur, level 0 is empty and no other is, and shares are those of `energy_levels`."""
    array, levels, method = case
    counted = DistanceHistogram.of(array)
    try:
        bins = choose_bins(counted, levels, method)
    except UsageError:
        sorted_values = np.unique(array).astype(np.float64)
        assert 1 + np.count_nonzero(np.diff(sorted_values) > 2e-5 + 2e-6 * sorted_values[1:]) < levels - 1
        return
    assert len(bins) == levels - 1
    assert Recipe(bins=bins).bins == bins
    assert set(np.array(bins, np.float32)) <= set(array)
    pixels = counted.pixels_by_level(bins)
    by_pixel = energy_levels(array, bins)
    assert pixels.tolist() == np.bincount(by_pixel, minlength=levels).tolist()
    assert pixels[0] == 0
    assert (pixels[1:] > 0).all()
    # A bin's own distance is in the upper level, and what the tolerance of levels would lift into it is not below it.
    for level, edge in enumerate(np.array(bins, np.float32), start=1):
        assert set(by_pixel[array == edge]) == {level}
        assert set(by_pixel[array < edge]) <= set(range(level))


@pytest.mark.parametrize("method", BIN_METHODS)
@pytest.mark.parametrize("value", [0.95499998, 1.9099999])
def test_rounding_noise_makes_no_level_of_its_own(value, method):
    noisy = np.nextafter(np.float32(value), np.float32(9))
    counted = DistanceHistogram.of(np.array([0.5, value, noisy, 9], np.float32))
    bins = choose_bins(counted, 4, method)
    assert counted.pixels_by_level(bins).tolist() == [0, 1, 2, 1]
    with pytest.raises(UsageError, match="there are 3: give at most 4 levels"):
        choose_bins(counted, 5, method)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=9), st.data())
def test_quantiles_are_near_the_best(counts, data):
    """Against all partitions: the sum of squares, which equal shares make smallest."""
    count = data.draw(st.integers(1, len(counts)))
    bins = choose_bins(histogram(range(1, len(counts) + 1), counts), count + 1, "quantiles")

    def unevenness(edges):
        return sum(float(part.sum()) ** 2 for part in np.split(np.array(counts), edges))

    best = min(unevenness(edges) for edges in combinations(range(1, len(counts)), count - 1))
    assert unevenness([int(edge) - 1 for edge in bins[1:]]) <= 1.25 * best


@given(st.lists(masks(), min_size=1, max_size=3), st.sampled_from(list(DISTANCES)))
def test_histograms_add_up(stacks, method):
    arrays = []
    for stack in stacks:
        runs = parse_rle(encode_rle(stack), stack.shape[1:])
        arrays.append(compute_targets(resolve_overlaps(runs), Recipe(distance=method))["distance"].ravel())
    total = sum((DistanceHistogram.of(array) for array in arrays), DistanceHistogram.of(np.empty(0, np.float32)))
    together = DistanceHistogram.of(np.concatenate(arrays))
    assert total.values.tolist() == together.values.tolist()
    assert total.counts.tolist() == together.counts.tolist()
    assert total.values.dtype == np.float32


def test_only_cells_without_walls_count(write_csv, tmp_path):
    csv = write_csv(f"a,{SQUARE},7,7,", "a,11 2 18 2,7,7,", "b,1 2,7,7,")
    plain = build(csv, tmp_path / "plain.zarr")
    with_background = build(csv, tmp_path / "all.zarr", background_cell=True)
    pixels = sum(int(image.read("semseg")[..., 0].sum()) for image in plain.values())
    fitted = fit(plain, levels=2)
    assert fitted.histogram.pixels == pixels
    other = fit(with_background, levels=2)
    assert (other.histogram.values.tolist(), other.histogram.counts.tolist()) == (
        fitted.histogram.values.tolist(),
        fitted.histogram.counts.tolist(),
    )
    assert any("2 images built with --background-cell" in line for line in other.notes())
    assert not any("--background-cell" in line for line in fitted.notes())


def test_an_image_that_a_cell_fills_does_not_count(write_csv, tmp_path):
    store = build(write_csv("full,1 20,5,4,", f"a,{SQUARE},7,7,"), tmp_path / "s.zarr")
    fitted = fit(store, levels=4)
    assert fitted.filling == ["full"]
    assert (fitted.images, fitted.bins) == (1, STEPS)
    assert "  full" in fitted.notes()
    alone = build(write_csv("full,1 20,5,4,"), tmp_path / "full.zarr")
    with pytest.raises(StoreError, match="a cell fills the image: there are no distances"):
        fit(alone)


def test_several_distance_methods_are_told(write_csv, tmp_path, store):
    assert not any("warning" in line for line in fit(store, levels=2).notes())
    csv = write_csv("c,1 2,7,7,")
    build_targets(open_source(csv), store.path, BuildOptions(recipe=Recipe(distance="scipy"), jobs=1, quiet=True))
    fitted = fit(store, levels=2)
    assert "built with different distance methods (cv2 2, scipy 1)" in fitted.notes()[-1]
    assert json.loads(fitted.to_json())["distance"] == ["cv2", "scipy"]


def test_a_damaged_image_is_named_and_left_out(write_csv, tmp_path, cli):
    store = build(write_csv(f"a,{SQUARE},7,7,", f"b,{SQUARE},7,7,"), tmp_path / "s.zarr")
    (store.path / "a" / "distance" / "c.0.0").write_bytes(b"damaged")
    result = cli("fit-bins", store.path, "--levels", 4, "--out", tmp_path / "b.json", "--jobs", 1, "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: 1 of 2 images failed; the bins are fitted without them:\n  a: ")
    assert json.loads((tmp_path / "b.json").read_text())["images"] == 1
    (store.path / "a" / "zarr.json").unlink()
    again = fit(store, levels=4)
    assert (list(again.failures), again.images) == (["a"], 1)
    (store.path / "b" / "semseg" / "zarr.json").unlink()
    result = cli("fit-bins", store.path, "--levels", 4, "--jobs", 1, "--out", tmp_path / "c.json")
    assert result.exit_code == 1
    assert "no image with cells in" in result.stderr
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"levels": 1}, UsageError, "cannot make 1 levels: give 2 to 256"),
        ({"levels": 257}, UsageError, "cannot make 257 levels: give 2 to 256"),
        ({"levels": 17}, UsageError, "there are 3: give at most 4 levels"),
        ({"method": "x"}, RecipeError, "method 'x' is unknown: use one of distances, quantiles"),
        ({"jobs": 0}, UsageError, "jobs is 0: give 1 or more"),
    ],
    ids=str,
)
def test_mistakes(store, options, error, message):
    with pytest.raises(error, match=message):
        fit(store, **options)


def test_a_store_without_cells_or_images(write_csv, tmp_path):
    empty = build(write_csv("b,,7,7,"), tmp_path / "s.zarr")
    with pytest.raises(StoreError, match="has no cell pixels to fit bins to"):
        fit(empty)
    assert build_targets(open_source(write_csv("a,1,5,4,")), tmp_path / "none.zarr", BuildOptions(jobs=1)).errors()
    with pytest.raises(StoreError, match="has no images to fit bins to"):
        fit(open_store(tmp_path / "none.zarr"))


def test_the_command(store, cli, tmp_path):
    out = tmp_path / "bins.json"
    args = ("fit-bins", store.path, "--levels", 3, "--method", "quantiles", "--out", out)
    result = cli(*args, "--jobs", 1)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(
        "fitted bins (quantiles), 25 cell pixels of 2 images:\n"
        "level        from    to below  pixels   share\n"
        "0               0  0.95500183       0   0.00%\n"
        "1      0.95500183   1.9100037      16  64.00%\n"
        "2       1.9100037        more       9  36.00%\n"
        "the bins sartorius, for comparison:\n"
    )
    first = out.read_bytes()
    assert json.loads(first) == {
        "bins": list(STEPS[:2]),
        "method": "quantiles",
        "levels": 3,
        "store": "s.zarr",
        "distance": ["cv2"],
        "images": 2,
        "pixels": 25,
    }
    assert cli(*args, "--jobs", 2, "--quiet", "--overwrite").output == ""
    assert out.read_bytes() == first
    assert read_bins(out) == STEPS[:2]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_distances_per_instance_are_all_those_of_cells(write_csv, tmp_path):
    """Those of walls, too; and an image that several cells fill has distances, where one that a cell fills has none."""
    csv = write_csv("a,1 2 5 2,4,2,", "a,3 2 7 2,4,2,", "b,1 8,4,2,")
    fitted = fit(build(csv, tmp_path / "s.zarr", per_instance=True), levels=3)
    assert fitted.bins == STEPS[:2]
    assert (fitted.histogram.counts.tolist(), fitted.filling) == ([4, 4], ["b"])
    assert fitted.distances == {"cv2 per instance": 2}


def test_levels_of_a_build_are_those_of_the_table(write_csv, tmp_path, cli):
    rng = np.random.default_rng(5)
    rows = []
    for name in "abc":
        stack = np.zeros((4, 60, 80), bool)
        for mask in stack:
            top, left = rng.integers(0, 30), rng.integers(0, 40)
            mask[top : top + rng.integers(5, 30), left : left + rng.integers(5, 40)] = True
        rows += [f"{name},{text},80,60," for text in encode_rle(stack)]
    csv, out = write_csv(*rows), tmp_path / "bins.json"
    for method in BIN_METHODS:
        fitted = fit(build(csv, tmp_path / "s.zarr"), out, levels=9, method=method)
        rebuilt = build(csv, tmp_path / f"{method}.zarr", bins=read_bins(out))
        energy = np.concatenate([image.read("energy")[image.read("semseg")[..., 0] == 1] for image in rebuilt.values()])
        shares = np.bincount(energy, minlength=9).tolist()
        assert shares == fitted.histogram.pixels_by_level(fitted.bins).tolist()
        assert min(shares[1:]) > 0


def test_the_report_names_untrusted_ids_printably():
    report = FittedBins("s", "distances", 2, failures={"a\x1b[31m": "x"})
    assert all(line.isprintable() for line in report.errors())


@pytest.mark.slow
def test_bins_of_real_cells(sartorius, tmp_path):
    store = build(sartorius, tmp_path / "s.zarr")
    fitted = fit(store, levels=17)
    np.testing.assert_allclose(fitted.bins[:12], PUBLISHED_BINS[:12], atol=5e-4)
    assert fitted.bins[12:] == (9.009308, 13.243607, 19.675781, 29.007996)
    energy = sum(np.bincount(image.read("energy").ravel(), minlength=17) for image in store.values())
    published = fitted.histogram.pixels_by_level(PUBLISHED_BINS)
    assert published[1:].tolist() == energy[1:].tolist()
    quantiles = fit(store, levels=17, method="quantiles")
    shares = quantiles.histogram.pixels_by_level(quantiles.bins)[1:] / quantiles.histogram.pixels
    assert shares[4:].max() < 0.0625
    assert shares.min() > 0.03
