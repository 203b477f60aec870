"""Reports on a data set, a training or predictions: one self-contained HTML file each."""

from cellprep.commands.report.dataset import DatasetReport, ReportOptions, report_dataset
from cellprep.commands.report.finetuning import is_finetuning, report_finetuning
from cellprep.commands.report.training import TrainingReport, is_training, report_training

__all__ = [
    "DatasetReport",
    "ReportOptions",
    "TrainingReport",
    "is_finetuning",
    "is_training",
    "report_dataset",
    "report_finetuning",
    "report_training",
]
