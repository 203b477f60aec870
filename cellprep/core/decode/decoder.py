"""The base of all decoders: the values of its options, and a call that decodes maps by them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from cellprep.core.decode.components import Labels
from cellprep.core.decode.maps import Maps
from cellprep.core.tuning import Tuned


@dataclass(frozen=True, slots=True)
class Decoder(Tuned, ABC):
    """Base of all decoders. A subclass is a frozen dataclass whose fields are its options, and decodes when called.

    Raises
    ------
    RecipeError
        If an option has a value that it cannot have.
    """

    tuned_kind = "decoder"

    @abstractmethod
    def __call__(self, maps: Maps) -> Labels:
        """Return (H, W) int32: 0 = background, instances in any numbers."""
