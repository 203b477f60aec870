"""The targets of the Deep Watershed Transform, used by the networks of this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cellprep.core.targets.area import AREA
from cellprep.core.targets.distance import DISTANCE
from cellprep.core.targets.energy import ENERGY
from cellprep.core.targets.family import Family
from cellprep.core.targets.semseg import SEMSEG
from cellprep.core.targets.uvec import UVEC

#: Origin of the walls, vectors and bins of the default recipe, recorded in stores.
CREDIT = (
    "walls, vectors and the bins called sartorius are after qAp, "
    "https://github.com/qAp/sartorius_cell_instance_segmentation_kaggle"
)


@dataclass(frozen=True, slots=True)
class DeepWatershed(Family):
    """Walls, directions and energy levels; their options are those of the recipe."""

    name = "dwt"
    title = "Deep Watershed"
    about = (
        "Cells with walls between them, directions away from the border and levels of the distance to it: the targets "
        "of the networks of `cellprep train`."
    )
    credit = CREDIT
    targets = (SEMSEG, DISTANCE, UVEC, ENERGY, AREA)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Decode with the default decoder of `cellprep.energy_to_labels`, using the walls."""
        from cellprep.core.decode import energy_to_labels  # it imports this package

        return energy_to_labels(arrays)
