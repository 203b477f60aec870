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
        The rule that resolves overlaps, where the format cannot hold them.
    mean_iou, min_iou
        How well simplified outlines agree with the exact cells; 1 if they are exact.
    """

    overlap: str = ""
    min_iou: float = 1.0
    _sum_of_ious: float = field(default=0.0, repr=False)
    _simplified: int = field(default=0, repr=False)

    @property
    def mean_iou(self) -> float:
        """How well simplified outlines agree with the exact cells on average."""
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
        simplified = (
            f"simplified outlines agree with the exact cells by an IoU of {self.mean_iou:.4f} on average, "
            f"{self.min_iou:.4f} at least"
        )
        return [*([simplified] * bool(self._simplified)), *super()._summary()]
