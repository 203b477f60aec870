from itertools import pairwise

import numpy as np
import pytest
import reference
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellprep import decode_rle, encode_labels, encode_rle, format_rle, parse_rle
from cellprep.core.rle import WindowedRuns, runs_from_bands, runs_from_labels, touching_runs
from cellprep.errors import RLEError, UsageError

orders = pytest.mark.parametrize("order", ["row", "column"])


@orders
@given(masks())
def test_encodes_as_the_reference_and_back(order, stack):
    texts = encode_rle(stack, order)
    assert texts == [reference.encode(mask, order) for mask in stack]
    np.testing.assert_array_equal(decode_rle(texts, stack.shape[1:], order), stack)
    assert format_rle(parse_rle(texts, stack.shape[1:], order)) == texts


@orders
@given(masks(), st.data())
def test_decodes_runs_in_any_order_and_spacing(order, stack, data):
    shape = stack.shape[1:]
    texts = []
    for mask in stack:
        words = reference.encode(mask, order).split()
        runs = data.draw(st.permutations(list(zip(words[0::2], words[1::2], strict=True))))
        space = data.draw(st.sampled_from([" ", "  ", "\t", "\n", " \r\n"]))
        texts.append(space + space.join(word for run in runs for word in run) + space)
    decoded = decode_rle(texts, shape, order)
    np.testing.assert_array_equal(decoded, stack)
    for mask, text in zip(decoded, texts, strict=True):
        np.testing.assert_array_equal(mask, reference.decode(text, shape, order))


@orders
@given(masks())
def test_encodes_label_images(order, stack):
    labels = reference.labels(stack, stack.shape[1:])
    texts = encode_labels(labels, order)
    assert texts == [reference.encode(labels == k + 1, order) for k in range(labels.max())]


@orders
@given(masks())
def test_areas_coverage_and_painting(order, stack):
    runs = parse_rle(encode_rle(stack, order), stack.shape[1:], order)
    np.testing.assert_array_equal(runs.areas, stack.sum(axis=(1, 2)))
    np.testing.assert_array_equal(runs.coverage(), stack.sum(axis=0))
    values = np.arange(len(stack), dtype=np.uint16)[::-1] + 1
    highest = np.max([mask * value for mask, value in zip(stack, values, strict=True)], axis=0, initial=0)
    np.testing.assert_array_equal(runs.paint(values), highest)


@orders
@given(masks(), st.data())
def test_windows_are_cut_out_of_runs(order, stack, data):
    shape = stack.shape[1:]
    window = []
    for size in shape:
        start = data.draw(st.integers(0, size - 1))
        window.append(slice(start, data.draw(st.integers(start + 1, size))))
    windowed = WindowedRuns.of(parse_rle(encode_rle(stack, order), shape, order))
    runs, which = windowed.cut(*window)
    np.testing.assert_array_equal(runs.to_masks(), stack[which][:, *window])
    assert not np.delete(stack, which, axis=0)[:, *window].any()
    reached = stack[which].any(axis=0)
    reached[*window] = True
    extent = [slice(places.min(), places.max() + 1) for places in np.nonzero(reached)]
    assert list(windowed.extent(*window)) == extent


@given(masks(), st.integers(1, 12))
def test_touching_runs_are_counted(stack, length):
    expected = 0
    for text in encode_rle(stack):
        words = list(map(int, text.split()))
        rows = [divmod(start - 1, length) for start in words[::2]]
        runs = [(row, left, left + count) for (row, left), count in zip(rows, words[1::2], strict=True)]
        for (row, left, right), (later, other_left, other_right) in pairwise(runs):
            near = set(range(left - 1, right + 1)) & set(range(other_left, other_right))
            expected += later == row + 1 and bool(near) and right <= length and other_right <= length
    assert touching_runs(parse_rle(encode_rle(stack), stack.shape[1:]), length) == expected


def test_row_and_column_order_differ():
    assert encode_rle([[[1, 1, 0], [0, 1, 0]]], "row") == ["1 2 5 1"]
    assert encode_rle([[[1, 1, 0], [0, 1, 0]]], "column") == ["1 1 3 2"]


# In a 4 x 5 image. Each of these must be refused, and named.
FAULTS = {
    "odd": ("1 2 3", r"odd number of values \(3\)"),
    "word": ("1 x", "'x' is not a whole number"),
    "fraction": ("1.0 2", r"'1\.0' is not a whole number"),
    "exponent": ("1e1 2", "'1e1' is not a whole number"),
    "comma": ("1,2", "'1,2' is not a whole number"),
    "plus": ("+1 2", r"'\+1' is not a whole number"),
    "underscore": ("1_0 2", "'1_0' is not a whole number"),
    "other digits": ("\u0661 2", "is not a whole number"),
    "odd space": ("1\u00a02", "is not a whole number"),
    "nan": ("nan", "'nan' is not a whole number"),
    "start 0": ("0 2", "start 0 of the run '0 2' is below 1"),
    "negative start": ("-3 2", "start -3 of the run '-3 2' is below 1"),
    "length 0": ("3 0", "length 0 of the run '3 0' is below 1"),
    "negative length": ("3 -1", "length -1 of the run '3 -1' is below 1"),
    "past the end": ("20 2", r"run '20 2' goes past the last pixel, 20 \(4 x 5\)"),
    "far past the end": ("999999999999999999 1", "goes past the last pixel, 20"),
    "too long": ("99999999999999999999999 1", "has more than 18 digits"),
    "leading zeros": ("0000000000000000000001 1", "has more than 18 digits"),
    "overlap": ("1 3 3 2", "runs '1 3' and '3 2' overlap"),
    "unsorted overlap": ("9 2 1 3 10 1", "runs '9 2' and '10 1' overlap"),
    "same run twice": ("4 2 4 2", "runs '4 2' and '4 2' overlap"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_names_the_fault(text, message):
    with pytest.raises(RLEError, match=message) as caught:
        parse_rle(["1 2", text, "x"], (4, 5))
    assert caught.value.place == 1
    assert "\n" not in str(caught.value)


@given(st.lists(st.text("0123456789 -.\t", max_size=12), min_size=1, max_size=4))
def test_any_text_is_decoded_or_named(texts):
    """The vectorised parser refuses exactly what the plain one finds a fault in."""
    try:
        runs = parse_rle(texts, (4, 5))
    except RLEError as error:
        parse_rle(texts[: error.place], (4, 5))
        with pytest.raises(RLEError):
            parse_rle([texts[error.place]], (4, 5))
    else:
        for mask, text in zip(runs.to_masks(), texts, strict=True):
            np.testing.assert_array_equal(mask, reference.decode(text, (4, 5), "row"))


@pytest.mark.parametrize("call", [lambda: decode_rle([], (1, 1), "C"), lambda: encode_rle(np.ones((1, 1, 1)), "F")])
def test_refuses_unknown_orders(call):
    with pytest.raises(UsageError, match="it is 'row' or 'column'"):
        call()


def test_real_annotations_survive_a_round_trip(sartorius):
    from cellprep import open_source

    count = 0
    for number, image in enumerate(open_source(sartorius).images()):
        runs = image.load().runs
        if number % 4 == 0:
            assert encode_rle(runs.to_masks()) == format_rle(runs)
        assert format_rle(runs) == [" ".join(text.split()) for text in image.masks]
        count += len(runs)
    assert count == 20_320


@given(
    labels=arrays(np.int64, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.integers(0, 3)),
    order=st.sampled_from(["row", "column"]),
    lines=st.integers(1, 4),
)
def test_runs_of_bands_are_those_of_the_whole(labels, order, lines):
    """Also those that go on from one band into the next."""
    expected, values = runs_from_labels(labels, order)
    across = labels if order == "row" else labels.T
    bands = [across[first : first + lines] for first in range(0, len(across), lines)]
    runs, found = runs_from_bands(bands, labels.shape, order)
    np.testing.assert_array_equal(found, values)
    for name in ("starts", "lengths", "offsets"):
        np.testing.assert_array_equal(getattr(runs, name), getattr(expected, name))


def test_bands_of_large_label_images(monkeypatch):
    monkeypatch.setattr("cellprep.core.rle.labels._BAND", 7)
    labels = np.random.default_rng(0).integers(0, 3, (20, 5))
    for order in ("row", "column"):
        runs, values = runs_from_labels(labels, order)
        assert format_rle(runs) == encode_rle([labels == value for value in values], order)
