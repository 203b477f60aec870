"""A page that shows a data set, a training or predictions: one HTML file, which needs nothing else."""

from cellprep.commands.report.dataset import DatasetReport, ReportOptions, report_dataset
from cellprep.commands.report.training import TrainingReport, is_training, report_training

__all__ = ["DatasetReport", "ReportOptions", "TrainingReport", "is_training", "report_dataset", "report_training"]
