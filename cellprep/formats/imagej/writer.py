"""ImageJ's regions of interest: one ``RoiSet.zip`` per image, for Fiji's ROI Manager.

https://imagej.net/ij/developer/source/ij/io/RoiDecoder.java.html
"""

import io
import re
import zipfile

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from cellprep.errors import UsageError
from cellprep.formats.annotations.content import Content, Outline

_LONGEST_SIDE = 2**15 - 1  # pixels; ImageJ stores corners in 16 bits
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a ZIP archive, so that equal cells give equal bytes
_PLAIN = re.compile(r"[^\W_][\w ,()#+=.\-]{0,99}")  # valid file names on every system that are not hidden
_MOVE, _LINE, _CLOSE = 0, 1, 4


def encode(content: Content) -> dict[str, bytes]:
    """Return ``<id>_rois.zip`` with one region per cell, and the picture.

    A connected cell without holes is a traced region along the edges of pixels; other cells are composites. Names are
    those of the source, or the labels. Type and score are properties, which ImageJ lists.

    Raises
    ------
    UsageError
        If the image has a side with more pixels than ImageJ supports.
    """
    if max(content.shape) > _LONGEST_SIDE:
        raise UsageError(f"ImageJ supports at most {_LONGEST_SIDE:,} pixels per side: choose another format (--to)")
    outlines = list(content.outlines())
    digits = max(4, len(str(max((outline.number for outline in outlines), default=0))))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        taken: set[str] = set()
        for outline in outlines:
            number = f"{outline.number:0{digits}}"
            region = _region(outline, outline.name or number)
            archive.writestr(zipfile.ZipInfo(_entry(outline.name, number, taken), _EPOCH), region.tobytes())
    return {f"{content.image_id}_rois.zip": file.getvalue(), **content.taken_picture()}


def _entry(name: str, number: str, taken: set[str]) -> str:
    """Return an unused name for a region's entry: its own if archives support it, otherwise a number."""
    free = name if _PLAIN.fullmatch(name) else number
    while free.lower() in taken:
        free = f"{free}-{number}"
    taken.add(free.lower())
    return f"{free}.roi"


def _region(outline: Outline, name: str) -> ImagejRoi:
    rings = [ring for polygon in outline.polygons for ring in polygon]
    corners = np.concatenate(rings)
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    region = ImagejRoi(left=left, top=top, right=right, bottom=bottom, name=name, props=_properties(outline))
    if len(rings) == 1:
        region.roitype = ROI_TYPE.TRACED
        region.integer_coordinates = (rings[0][:-1] - (left, top)).astype(np.int32)
        region.n_coordinates = len(region.integer_coordinates)
    else:
        region.roitype = ROI_TYPE.RECT  # as in composites
        region.multi_coordinates = np.concatenate([_path(ring) for ring in rings])
        region.shape_roi_size = len(region.multi_coordinates)
    return region


def _properties(outline: Outline) -> str:
    """Return the lines of a region's properties; line breaks in a type would be others."""
    numbers = {"Score": outline.score, "Class probability": outline.type_score}
    lines = [f"Class: {' '.join(outline.cell_type.split())}\n"] if outline.cell_type else []
    return "".join([*lines, *(f"{name}: {value:.4f}\n" for name, value in numbers.items() if value is not None)])


def _path(ring: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a ring as a Java path: move to the first corner, lines to the others, close."""
    corners = ring[:-1]
    steps = np.column_stack([np.full(len(corners), _LINE), corners]).astype(np.float32)
    steps[0, 0] = _MOVE
    return np.append(steps.ravel(), np.float32(_CLOSE))
