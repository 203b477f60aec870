"""Scores of predicted cells against true ones: exact, sparse, and named as by their authors."""

from cellprep.core.scores.classes import ClassScores, score_classes, summarise_by_class
from cellprep.core.scores.image import IOU_THRESHOLDS, ImageScore, score_image
from cellprep.core.scores.matching import match_cells
from cellprep.core.scores.pairs import Pairs, find_pairs
from cellprep.core.scores.summary import summarise, summarise_by_type
from cellprep.core.scores.verdicts import CellVerdicts, judge_cells

__all__ = [
    "IOU_THRESHOLDS",
    "CellVerdicts",
    "ClassScores",
    "ImageScore",
    "Pairs",
    "find_pairs",
    "judge_cells",
    "match_cells",
    "score_classes",
    "score_image",
    "summarise",
    "summarise_by_class",
    "summarise_by_type",
]
