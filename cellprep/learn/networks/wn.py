"""DN and WTN in a row, to be trained end to end."""

from dataclasses import replace

from torch import Tensor

from cellprep.errors import UsageError
from cellprep.learn.networks.dn import DirectionNetwork
from cellprep.learn.networks.network import Network
from cellprep.learn.networks.wtn import WatershedTransformNetwork
from cellprep.learn.settings import NetworkSettings


class WatershedNetwork(Network):
    """Image and mask to unit vectors and logits of the energy levels.

    Attributes
    ----------
    dn, wtn
        The two networks.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        dn = DirectionNetwork(replace(settings, name="dn"))
        super().__init__(settings, dn.multiple)
        self.dn = dn
        self.wtn = WatershedTransformNetwork(replace(settings, name="wtn"))

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors (N, 2, H, W) and logits (N, levels, H, W), as the two networks do."""
        uvec = self.dn(image, mask)
        return uvec, self.wtn(uvec)

    def start_from(self, dn: Network, wtn: Network) -> None:
        """Take over the weights of two networks that were trained on their own.

        Raises
        ------
        UsageError
            If they were built from other settings than this network's two; what one of them does not use may differ.
        """
        mine = self.settings
        given = (
            (self.dn, dn, replace(dn.settings, levels=mine.levels)),
            (self.wtn, wtn, _as_seen(wtn.settings, mine)),
        )
        for part, network, settings in given:
            if settings != part.settings:
                raise UsageError(f"wn cannot start from {network.settings}: it needs {part.settings}")
        for part, network, _ in given:
            part.load_state_dict(network.state_dict())


def _as_seen(settings: NetworkSettings, other: NetworkSettings) -> NetworkSettings:
    """Return settings with what is seen of images and masks, which a WTN does not see, as others have it."""
    seen = {name: getattr(other, name) for name in ("image_channels", "masked", "signed_mask")}
    return replace(settings, **seen)
