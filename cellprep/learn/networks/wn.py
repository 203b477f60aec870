"""DN and WTN in sequence, for end-to-end training: image and mask to unit vectors and logits of energy levels."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cellprep.learn.networks.dn import DN
from cellprep.learn.networks.kind import NetworkKind, NetworkSettings
from cellprep.learn.networks.wtn import WTN

if TYPE_CHECKING:
    from torch import Tensor


def _forward(
    _: NetworkSettings, dn: Callable[..., "Tensor"], wtn: Callable[..., "Tensor"], image: "Tensor", mask: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """Return the unit vectors (N, 2, H, W) and logits (N, levels, H, W) of the two networks."""
    uvec = dn(image, mask)
    return uvec, wtn(uvec)


# Only the energy is in the loss, as in the paper; the vectors between the two parts are measured.
WN = NetworkKind(
    name="wn",
    about="image and mask -> unit vectors and energy levels: DN and WTN, end to end",
    inputs=DN.inputs,
    maps={**DN.maps, **WTN.maps},
    architectures=DN.architectures,
    parts=(DN.name, WTN.name),
    options=DN.options,
    needs_cells=True,
    forward=_forward,
    loss=WTN.loss,
    measure=lambda its, maps, batch: WTN.measure(its, maps, batch) | DN.measure(its, maps, batch),
    panels=lambda its, found, true: DN.panels(its, found, true) | WTN.panels(its, found, true),
)
