"""The report of a conversion."""

from dataclasses import dataclass, field

import numpy as np

from cellprep.commands.convert.image import ImageConverted
from cellprep.commands.export.report import WrittenReport
from cellprep.commands.export.writing import Written
from cellprep.system.executor import Failed


@dataclass
class ConvertReport(WrittenReport):
    """The outcome for every image of a source.

    Attributes
    ----------
    overlap
        The rule that resolves overlaps if the format cannot hold them.
    mean_iou, min_iou
        Mean and lowest IoU of simplified outlines and exact cells; 1 if outlines are exact.
    """

    overlap: str = ""
    min_iou: float = 1.0
    _sum_of_ious: float = field(default=0.0, repr=False)
    _simplified: int = field(default=0, repr=False)

    @property
    def mean_iou(self) -> float:
        """Mean IoU of simplified outlines and exact cells; 1 if outlines are exact."""
        return self._sum_of_ious / self._simplified if self._simplified else 1.0

    def add(self, image_id: str, outcome: Written | Failed) -> None:
        """Count one image."""
        super().add(image_id, outcome)
        if isinstance(outcome, ImageConverted):
            self._sum_of_ious += float(outcome.ious.sum())
            self._simplified += len(outcome.ious)
            self.min_iou = min(self.min_iou, float(np.min(outcome.ious, initial=1)))

    def _rule(self) -> str:
        return self.overlap

    def _summary(self) -> list[str]:
        simplified = f"IoU of simplified outlines and exact cells: mean {self.mean_iou:.4f}, lowest {self.min_iou:.4f}"
        return [*([simplified] * bool(self._simplified)), *super()._summary()]
