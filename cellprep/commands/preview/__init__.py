"""Pictures of a store's images and targets."""

from cellprep.commands.preview.picture import draw_targets
from cellprep.commands.preview.run import Preview, PreviewOptions, preview_store
from cellprep.commands.preview.sheet import draw_contact_sheet
from cellprep.commands.preview.view import Crop
from cellprep.core.colours import SEMSEG_COLOURS, grey_levels, grey_limits, vector_colours

__all__ = [
    "SEMSEG_COLOURS",
    "Crop",
    "Preview",
    "PreviewOptions",
    "draw_contact_sheet",
    "draw_targets",
    "grey_levels",
    "grey_limits",
    "preview_store",
    "vector_colours",
]
