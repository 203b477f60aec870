"""Scores against the formulas and packages that define them."""

import pickle
import warnings
from collections import Counter

import numpy as np
import peer_scores as peers
import pytest
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st

from cellprep import encode_rle, open_source, parse_rle, resolve_overlaps
from cellprep.core.rle import Runs, runs_from_labels
from cellprep.core.scores import (
    IOU_THRESHOLDS,
    Pairs,
    find_pairs,
    judge_cells,
    score_classes,
    score_image,
    summarise,
    summarise_by_class,
    summarise_by_type,
)
from cellprep.core.scores.matches import list_matches
from cellprep.core.scores.matching import assign, match_cells
from cellprep.errors import UsageError


def runs_of(stack, order="row"):
    """The runs of masks, empty ones included."""
    shape = stack.shape[1:]
    parts = [runs_from_labels(mask.astype(int), order)[0] for mask in stack]
    counts = [len(part.starts) for part in parts]
    joined = [
        np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, np.int64)])
        for name in ("starts", "lengths")
    ]
    return Runs(*joined, np.concatenate(([0], np.cumsum(counts, dtype=np.int64))), shape, order)


def draw_labels(rng, count, side=96):
    """A label image of discs, the later ones on top, and one in which they have moved, grown, vanished and merged."""
    y, x = np.mgrid[:side, :side]
    truth, moved = np.zeros((side, side), np.int32), np.zeros((side, side), np.int32)
    for label in range(1, count + 1):
        cy, cx, radius = [*rng.uniform(0, side, 2), rng.uniform(2, 9)]
        truth[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = label
        if rng.random() < 0.85:
            dy, dx, growth = rng.normal(0, 1, 3)
            number = label if rng.random() < 0.9 else max(label - 1, 1)
            moved[(y - cy - dy) ** 2 + (x - cx - dx) ** 2 <= max(radius + growth, 1) ** 2] = number
    return truth, moved


@st.composite
def two_sides(draw):
    """Masks of both sides of an image, overlapping as they like, and pixels to ignore."""
    truth = draw(masks(max_count=5))
    shape = truth.shape[1:]
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    predicted = [np.roll(mask, rng.integers(-1, 2), axis=rng.integers(2)) for mask in truth if rng.random() < 0.8]
    predicted += [rng.random(shape) < 0.5 for _ in range(draw(st.integers(0, 2)))]
    return truth, np.array(predicted, bool).reshape(-1, *shape), rng.random(shape) < 0.2


def without_blank(stack):
    return stack[stack.any((1, 2))]


@given(two_sides(), st.sampled_from(["row", "column"]), st.sampled_from(["row", "column"]))
def test_pairs_are_those_of_masks(sides, order, other):
    truth, predicted, _ = sides
    pairs = find_pairs(runs_of(predicted, order), runs_of(truth, other).in_order(order))
    table = np.zeros((len(predicted), len(truth)), int)
    table[pairs.predicted, pairs.truth] = pairs.pixels
    np.testing.assert_array_equal(table, peers.overlap_matrix(truth, predicted)[0].T)
    assert (pairs.pixels > 0).all()


@given(two_sides(), st.integers(1, 5))
def test_pieces_make_no_difference(sides, size):
    """Of runs, of which a huge image has too many to look at all of them at once."""
    truth, predicted = (runs_of(masks) for masks in sides[:2])
    pairs, jaccard = find_pairs(predicted, truth), score_image(predicted, truth).aji_cellpose
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.core.scores.pairs.RUNS_AT_ONCE", size)
        patch.setattr("cellprep.core.scores.jaccard.RUNS_AT_ONCE", size)
        for name in Pairs.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(find_pairs(predicted, truth), name), getattr(pairs, name))
        assert score_image(predicted, truth).aji_cellpose == jaccard


@given(two_sides(), st.sampled_from(["row", "column"]))
def test_orders_and_regions_of_runs(sides, order):
    stack, _, region = sides
    runs = runs_of(stack, order)
    for changed in (runs.in_order("row"), runs.in_order("column")):
        np.testing.assert_array_equal(changed.to_masks(), stack)
        again = runs_of(stack, changed.order)
        np.testing.assert_array_equal(changed.starts, again.starts)
        np.testing.assert_array_equal(changed.offsets, again.offsets)
    np.testing.assert_array_equal(runs.outside(region).to_masks(), stack & ~region)


@given(two_sides(), st.booleans())
def test_every_score_is_that_of_dense_formulas(sides, ignoring):
    """Overlapping cells on both sides; nothing here depends on how ties are broken."""
    truth, predicted, region = sides
    region = region if ignoring else None
    score = score_image(runs_of(predicted, "column"), runs_of(truth), region)
    if ignoring:
        truth, predicted = truth & ~region, predicted & ~region
    assert (score.blank_truth, score.blank_predicted) == tuple((~side.any((1, 2))).sum() for side in (truth, predicted))
    truth, predicted = without_blank(truth), without_blank(predicted)
    ious = peers.iou_matrix(truth, predicted)
    assert (score.truth, score.predicted) == (len(truth), len(predicted))
    assert list(score.matched) == [best_count(ious, threshold) for threshold in IOU_THRESHOLDS]
    assert score.aji == pytest.approx(peers.hovernet_aji(truth, predicted))
    assert score.kaggle_precision == pytest.approx(peers.kaggle(ious))
    assert (score.merged, score.split) == (peers.merged(truth, predicted), peers.merged(predicted, truth))


def best_count(ious, threshold):
    """The most matches that there can be."""
    from scipy.optimize import linear_sum_assignment

    good = (ious >= threshold).astype(int)
    rows, columns = linear_sum_assignment(-good)
    return good[rows, columns].sum()


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_equal_to_stardist_cellpose_and_hovernet(seed, count):
    """On label images, as these take them."""
    truth, predicted = draw_labels(np.random.default_rng(seed), count)
    score = score_image(predicted, truth)
    true_masks, predicted_masks = peers.masks_of(truth), peers.masks_of(predicted)
    ious = peers.iou_matrix(true_masks, predicted_masks)
    expected = [peers.stardist(ious, threshold) for threshold in IOU_THRESHOLDS]
    assert list(score.matched) == [matched for matched, _ in expected]
    assert list(score.matched) == [peers.cellpose_true_positives(ious, threshold) for threshold in IOU_THRESHOLDS]
    assert score.matched_iou == pytest.approx(expected[0][1])
    assert score.aji == pytest.approx(peers.hovernet_aji(true_masks, predicted_masks))
    assert score.aji_cellpose == pytest.approx(peers.cellpose_aji(true_masks, predicted_masks))


def stardist_matching():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("stardist.matching")


def assert_equal_to_stardist(theirs, found):
    for name, expected in zip(found["ap"], theirs, strict=True):
        assert found["ap"][name] == pytest.approx(expected.accuracy, abs=1e-6)
        assert found["f1"][name] == pytest.approx(expected.f1, abs=1e-6)
    first = theirs[0]
    assert found["pq"] == pytest.approx(first.panoptic_quality, abs=1e-6)  # StarDist's IoUs are float32
    assert (found["matched"], found["false"], found["missed"]) == (first.tp, first.fp, first.fn)


def test_equal_to_the_package_of_stardist():
    matching = stardist_matching()
    rng = np.random.default_rng(0)
    images = [draw_labels(rng, count) for count in (0, 1, 5, 30, 60)]
    theirs = matching.matching_dataset(*zip(*images, strict=True), thresh=IOU_THRESHOLDS, show_progress=False)
    assert_equal_to_stardist(theirs, summarise([score_image(predicted, truth) for truth, predicted in images]))


def other_annotations(runs, seed):
    """Label images of real cells, and of the same moved a little, with a tenth of them gone."""
    rng = np.random.default_rng(seed)
    truth = resolve_overlaps(runs).labels.astype(np.int32)
    predicted = np.roll(truth, rng.integers(-2, 3, 2), (0, 1))
    predicted[np.isin(predicted, rng.choice(len(runs) + 1, len(runs) // 10))] = 0
    return truth, predicted


def test_equal_to_stardist_on_real_cells(sartorius):
    matching = stardist_matching()
    records = list(open_source(sartorius).images())[::16]
    images = [other_annotations(record.load().runs, seed) for seed, record in enumerate(records)]
    theirs = matching.matching_dataset(*zip(*images, strict=True), thresh=IOU_THRESHOLDS, show_progress=False)
    assert_equal_to_stardist(theirs, summarise([score_image(predicted, truth) for truth, predicted in images]))


def test_real_annotations_that_overlap_are_scored_as_annotated(sartorius):
    """One image of those annotated twice, against itself moved by a pixel: as Kaggle's formula has it, mask by mask."""
    for record in open_source(sartorius).images():
        if record.image_id in ("ce5d0de993bd", "0030fd0e6378"):
            runs = record.load().runs
            truth = runs.to_masks()
            predicted = np.roll(truth, 1, axis=2)
            ious = peers.iou_matrix(truth, predicted)
            score = score_image(runs_of(predicted), runs)
            assert score.kaggle_precision == pytest.approx(peers.kaggle(ious))
            assert list(score.matched) == [best_count(ious, threshold) for threshold in IOU_THRESHOLDS]
            resolved = score_image(runs_of(predicted), resolve_overlaps(runs).labels)
            assert resolved.kaggle_precision != score.kaggle_precision


@given(st.lists(two_sides(), min_size=1, max_size=4), st.booleans(), st.integers(0, 2**32 - 1))
def test_coco_is_that_of_cocoeval(images, ignoring, seed):
    rng = np.random.default_rng(seed)
    cases, scores = [], []
    for truth, predicted, region in images:
        truth, predicted = without_blank(truth), without_blank(predicted)  # noqa: PLW2901
        sure = rng.integers(0, 4, len(predicted)) / 4  # with ties
        cases.append((truth, predicted, sure, region if ignoring and region.any() else None))
        scores.append(score_image(runs_of(predicted), runs_of(truth), cases[-1][3], sure))
    found = summarise(scores)
    if not any(score.predicted for score in scores) or not any(len(truth) for truth, *_ in cases):
        assert found["coco_ap"] is None
    else:
        assert (found["coco_ap"], found["coco_ap50"], found["coco_ap75"]) == pytest.approx(peers.coco(cases))


def test_coco_has_no_cap_of_100_detections(sartorius):
    records = [record for record in open_source(sartorius).images() if len(record.masks) > 300][:2]
    rng = np.random.default_rng(0)
    cases, scores = [], []
    for record in records:
        truth = record.load().runs.to_masks()
        predicted = np.roll(truth, 1, axis=1)
        sure = rng.random(len(predicted))
        cases.append((truth, predicted, sure, None))
        scores.append(score_image(runs_of(predicted), runs_of(truth), None, sure))
    found = summarise(scores)
    assert (found["coco_ap"], found["coco_ap50"], found["coco_ap75"]) == pytest.approx(peers.coco(cases))
    assert found["coco_ap50"] > 0.9


@given(st.lists(two_sides(), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_classes_are_scored_as_coco_does_and_counted_pair_by_pair(images, seed):
    rng = np.random.default_rng(seed)
    cases, classes, found = [], [], []
    for truth, predicted, region in images:
        truth, predicted = without_blank(truth), without_blank(predicted)  # noqa: PLW2901
        of_truth, of_ours = (rng.integers(1, 4, len(side)).tolist() for side in (truth, predicted))
        sure = rng.integers(0, 4, len(predicted)) / 4
        named = [list(map(str, side)) for side in (of_ours, of_truth)]
        found.append(score_classes(runs_of(predicted), runs_of(truth), *named, None, sure))
        cases.append((truth, predicted, sure, None))
        classes.append((of_truth, of_ours))
        ignoring = score_classes(runs_of(predicted), runs_of(truth), *named, region)
        expected = Counter()
        for match in list_matches(runs_of(predicted), runs_of(truth), region):
            if match.verdict != "ignored":
                known = "" if match.truth is None else named[1][match.truth]
                expected[known, "" if match.predicted is None else named[0][match.predicted]] += 1
        assert ignoring.pairs == expected
    summary = summarise_by_class(found)
    if not any(len(predicted) for _, predicted, *_ in cases) or not any(len(truth) for truth, *_ in cases):
        assert not summary["coco_map"]
    else:
        assert summary["coco_map"] == pytest.approx(peers.coco(cases, classes)[0])
    table = np.array(summary["confusion"]["table"])
    assert table.sum(axis=1)[:-1].tolist() == [summary["by_class"][name]["truth"] for name in summary["by_class"]]
    assert table.sum(axis=0)[:-1].tolist() == [summary["by_class"][name]["predicted"] for name in summary["by_class"]]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((["a"], ["a", "b"]), "there are 2 classes, but 1 true cells: each needs one"),
        ((["a"], [""]), "1 of 1 true cells have no class: each needs one"),
        (([""], ["a"]), "1 of 1 predicted cells have no class: each needs one"),
        (("a", ["a"]), "classes of predicted cells are the text 'a': give a list"),
        ((["a"], [3]), "a class of true cells is the int 3: give strings"),
    ],
)
def test_cells_without_a_class_are_refused(classes, message):
    with pytest.raises(UsageError, match=message):
        score_classes(ONE, ONE, *classes)


ONE = [[1, 1, 1, 1], [0, 0, 0, 0]]
NONE = [[0, 0, 0, 0], [0, 0, 0, 0]]
# Predicted cells, true cells, and metrics that follow.
CASES = {
    "perfect": (ONE, ONE, {"kaggle_map": 1, "pq": 1, "aji": 1, "aji_cellpose": 1, "missed": 0, "false": 0}),
    "nothing there, nothing found": (NONE, NONE, {"kaggle_map": 1, "pq": 0, "aji": None, "aji_cellpose": None}),
    "nothing there": (ONE, NONE, {"kaggle_map": 0, "pq": 0, "aji": 0, "aji_cellpose": 0, "missed": 0, "false": 1}),
    "nothing found": (NONE, ONE, {"kaggle_map": 0, "pq": 0, "aji": 0, "aji_cellpose": 0, "missed": 1, "false": 0}),
    "half, which is not enough for Kaggle": (
        [[1, 1, 0, 0], [0, 0, 0, 0]],
        ONE,
        {"kaggle_map": 0, "pq": 0.5, "aji": 0.5, "aji_cellpose": 0.5, "missed": 0, "false": 0},
    ),
    "merged": (
        ONE,
        [[1, 1, 2, 2], [0, 0, 3, 3]],
        {"merged": 1, "split": 0, "matched": 1, "missed": 2, "false": 0},
    ),
    "two good ones for one cell, of which Kaggle counts none": (
        parse_rle(["1 4", "1 4"], (2, 4)),
        ONE,
        {"kaggle_map": 0, "matched": 1, "false": 1, "split": 1},
    ),
    "one lies in another, and both are found": (
        parse_rle(["1 3 5 4", "4 1"], (2, 4)),
        parse_rle(["1 8", "4 1"], (2, 4)),
        {"merged": 0, "split": 0, "matched": 2},
    ),
    "half of a cell merges nothing": ([[1, 1, 1, 0], [0, 0, 0, 0]], [[1, 1, 2, 2], [0, 0, 0, 0]], {"merged": 0}),
    "split": ([[1, 2, 3, 3], [0, 2, 0, 3]], ONE, {"merged": 0, "split": 1, "matched": 0, "missed": 1, "false": 3}),
}


@pytest.mark.parametrize(("predicted", "truth", "expected"), CASES.values(), ids=CASES.keys())
def test_drawn_by_hand(predicted, truth, expected):
    found = summarise([score_image(predicted, truth)])
    assert {name: found[name] for name in expected} == {
        name: value if value is None else pytest.approx(value) for name, value in expected.items()
    }


def test_pixels_to_ignore_count_for_nobody():
    """A false cell and a missed one lie there, and so do the wrong pixels of the third."""
    predicted = [[1, 1, 1, 0], [0, 0, 0, 2]]
    truth = [[1, 1, 0, 0], [0, 3, 0, 0]]
    ignore = np.array([[0, 0, 1, 0], [0, 1, 0, 1]], bool)
    score = score_image(predicted, truth, ignore)
    assert (score.truth, score.predicted, score.matched, score.kaggle_precision) == (1, 1, (1,) * 10, 1.0)
    assert (score.blank_truth, score.blank_predicted) == (1, 1)
    verdicts = judge_cells(predicted, truth, ignore)
    assert verdicts.counts_truth.tolist() == [True, False]
    assert not verdicts.missed.any()
    assert not verdicts.false.any()


@pytest.mark.parametrize(("truth", "counts"), [([[0, 0, 0, 0, 0]], False), ([[0, 0, 0, 1, 1]], True)])
def test_predicted_cells_mostly_in_regions_to_ignore_are_right_or_left_out(truth, counts):
    ignore = [[1, 1, 1, 0, 0]]
    score = score_image([[2, 2, 2, 2, 2]], truth, ignore)
    assert (score.predicted, score.blank_predicted, score.matched[0]) == (counts, not counts, counts)
    assert [match.verdict for match in list_matches([[2, 2, 2, 2, 2]], truth, ignore)] == (
        ["matched"] if counts else ["ignored"]
    )
    assert score_image([[0, 0, 2, 2, 2]], [[0, 0, 0, 0, 0]], ignore).false == 1


@given(two_sides())
def test_verdicts_are_what_is_counted(sides):
    truth, predicted, ignore = sides
    score = score_image(runs_of(predicted), runs_of(truth), ignore)
    verdicts = judge_cells(runs_of(predicted), runs_of(truth), ignore)
    counted = [verdicts.counts_truth, verdicts.counts_predicted, verdicts.missed, verdicts.false]
    counted += [verdicts.merged, verdicts.split]
    expected = [score.truth, score.predicted, score.missed, score.false, score.merged, score.split]
    assert [flags.sum() for flags in counted] == expected


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_heaviest_pairs_are_chosen(rows, columns, seed):
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(seed)
    table = rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.6)
    truth, predicted = np.nonzero(table)
    chosen = assign(predicted, truth, table[truth, predicted])
    assert len(set(truth[chosen])) == len(set(predicted[chosen])) == chosen.sum()
    assert table[truth, predicted][chosen].sum() == pytest.approx(table[linear_sum_assignment(-table)].sum())


@given(two_sides(), st.sampled_from([0.05, 0.2, 0.5]))
def test_of_the_most_matches_those_with_the_largest_sum_of_ious_are_chosen(sides, threshold):
    truth, predicted, _ = sides
    pairs = find_pairs(runs_of(predicted), runs_of(truth))
    sets = [(0, 0.0, frozenset(), frozenset())]
    for a, b, iou in zip(pairs.predicted, pairs.truth, pairs.ious, strict=True):
        if iou >= threshold:
            sets += [
                (count + 1, total + iou, ours | {a}, theirs | {b})
                for count, total, ours, theirs in sets
                if a not in ours and b not in theirs
            ]
    chosen = match_cells(pairs, threshold)
    most, total = max(one[:2] for one in sets)
    assert len(chosen) == len(set(pairs.predicted[chosen])) == len(set(pairs.truth[chosen])) == most
    assert pairs.ious[chosen].sum() == pytest.approx(total)


def test_scores_by_type_and_of_nothing():
    scores = [score_image(ONE, ONE), score_image(NONE, ONE), score_image(ONE, ONE)]
    found = summarise_by_type(scores, ["round", "long", ""])
    assert found["images"] == 3
    assert list(found["by_cell_type"]) == ["long", "round"]
    assert found["by_cell_type"]["long"]["kaggle_map"] == 0
    assert found["overall"]["kaggle_map"] == pytest.approx(2 / 3)
    assert found["overall"]["coco_ap"] is None  # no scores


def test_an_image_without_predictions_needs_no_scores():
    found = summarise([score_image(ONE, ONE, scores=[0.5]), score_image(NONE, ONE)])
    assert found["coco_ap50"] == pytest.approx(51 / 101)  # of the recalls from 0 to 1, those up to 0.5
    assert summarise([score_image(ONE, ONE, scores=[0.5]), score_image(ONE, ONE)])["coco_ap50"] is None


def test_what_a_worker_sends_back_is_small(sartorius):
    record = next(iter(open_source(sartorius).images()))
    runs = record.load().runs
    score = score_image(runs, runs, scores=[0.5] * len(runs))
    assert len(pickle.dumps(score)) < 2000 + 30 * len(runs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ONE, [[1]]), "the predicted cells have 2 x 4 pixels, the true cells 1 x 1"),
        ((ONE, ONE, np.zeros((2, 3), bool)), "the regions to ignore have 2 x 3 pixels, the true cells 2 x 4"),
        ((ONE, ONE, None, [0.1, 0.2]), "there are 2 scores, but 1 predicted cells"),
        (([[0.5]], ONE), "predicted must be"),
    ],
)
def test_sides_that_do_not_fit(arguments, message):
    with pytest.raises(UsageError, match=message):
        score_image(*arguments)


def test_text_masks_are_scored_too():
    truth = parse_rle(encode_rle(np.array([ONE], bool)), (2, 4))
    assert score_image(truth, ONE).matched[-1] == 1
