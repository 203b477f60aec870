"""Base class of decoders: options, and a call that decodes maps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from cellprep.core.decode.components import Labels
from cellprep.core.decode.maps import Maps
from cellprep.core.tuning import Tuned


@dataclass(frozen=True, slots=True)
class Decoder(Tuned, ABC):
    """Base class of decoders. A subclass is a frozen dataclass whose fields are its options; instances are callable.

    Raises
    ------
    RecipeError
        If an option has an invalid value.
    """

    tuned_kind = "decoder"

    @abstractmethod
    def __call__(self, maps: Maps) -> Labels:
        """Return (H, W) int32: 0 = background, instances in any numbers."""
