"""The targets of Cellpose: flows to the centre of each cell, and cell probability."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.decode.flows import labels_of_flows
from cellprep.core.targets.family import Family
from cellprep.core.targets.flows import flows, steps_of
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Beyond, Done, Values, Vectors


def _flows(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    """Return the flows, (H, W, 2); the number of diffusion steps depends on the largest cell of the whole image."""
    return flows(cells.labels, None if cells.whole is None else steps_of(cells.whole.sizes))


def _probability(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    return (cells.labels > 0).astype(np.float32)


FLOWS = Vectors(
    name="cellpose_flows",
    compute=_flows,
    dtype="float32",
    channels=2,
    about="unit vector towards higher heat, which diffuses from the centre of the cell; components (y, x); 0 on the "
    "background",
    title="cellpose flows",
    rule="flows to the middle of cells",
    around=lambda _: 1,
    beyond=Beyond.CELLS,
    tolerance=1e-4,
)

PROBABILITY = Values(
    name="cellpose_probability",
    compute=_probability,
    dtype="float32",
    about="1 in cells, 0 on the background",
    title="cellpose probability",
    rule="pixels of cells",
)


@dataclass(frozen=True, slots=True)
class Cellpose(Family):
    """Flows and cell probability, as Cellpose 4 trains on them."""

    name = "cellpose"
    title = "Cellpose"
    about = (
        "Flows to the centre of each cell and a cell mask: the targets of Cellpose, as computed by "
        "`dynamics.labels_to_flows` of cellpose 4.2.1.1."
    )
    credit = (
        "flows are after Cellpose, Stringer et al., Nature Methods 18:100 (2021), as cellpose 4.2.1.1 computes them, "
        "https://github.com/MouseLand/cellpose"
    )
    targets = (FLOWS, PROBABILITY)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the cells formed by pixels that converge along the flows: (H, W) int32, 0 = background."""
        return labels_of_flows(arrays["cellpose_flows"], arrays["cellpose_probability"] > 0.5)
