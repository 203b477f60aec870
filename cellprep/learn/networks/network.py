"""What all networks have in common."""

from torch import Tensor, nn

from cellprep.errors import UsageError
from cellprep.learn.settings import NetworkSettings


class Network(nn.Module):
    """A network that knows what it was built from; `build_network` makes one.

    Attributes
    ----------
    settings
        What it was built from.
    multiple
        Height and width of what it is given must be multiples of this.
    """

    def __init__(self, settings: NetworkSettings, multiple: int) -> None:
        super().__init__()
        self.settings = settings
        self.multiple = multiple

    def check(self, given: Tensor, channels: int) -> None:
        """Refuse what the network cannot see.

        Raises
        ------
        UsageError
            If `given` is not (N, channels, H, W) with H and W multiples of `multiple`.
        """
        good = given.ndim == 4 and given.shape[1] == channels and not any(n % self.multiple for n in given.shape[2:])
        if not good:
            raise UsageError(
                f"{self.settings.name} is given shape {tuple(given.shape)}: it should be (N, {channels}, H, W), "
                f"H and W multiples of {self.multiple}"
            )
