"""Run-length encoding of masks: exact, vectorised over all annotations of an image, and strictly validated."""

from cellprep.core.rle.coco import has_no_pixel, parse_coco_counts, polygon_counts
from cellprep.core.rle.labels import runs_from_bands, runs_from_labels, runs_from_masks, with_all_labels
from cellprep.core.rle.runs import Order, Runs, touching_runs
from cellprep.core.rle.shrinking import shrink_runs
from cellprep.core.rle.text import check_order, decode_rle, encode_labels, encode_rle, format_rle, parse_rle
from cellprep.core.rle.windows import WindowedRuns, around

__all__ = [
    "Order",
    "Runs",
    "WindowedRuns",
    "around",
    "check_order",
    "decode_rle",
    "encode_labels",
    "encode_rle",
    "format_rle",
    "has_no_pixel",
    "parse_coco_counts",
    "parse_rle",
    "polygon_counts",
    "runs_from_bands",
    "runs_from_labels",
    "runs_from_masks",
    "shrink_runs",
    "touching_runs",
    "with_all_labels",
]
