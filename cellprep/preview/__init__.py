"""Pictures of what a store holds."""

from cellprep.preview.colours import SEMSEG_COLOURS, grey_levels, grey_limits, vector_colours
from cellprep.preview.picture import Crop, draw_targets
from cellprep.preview.run import Preview, PreviewOptions, preview_store
from cellprep.preview.sheet import draw_contact_sheet

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
