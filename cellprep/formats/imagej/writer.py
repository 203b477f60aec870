"""ImageJ's regions of interest: a ``RoiSet.zip`` per image, which Fiji's ROI Manager opens.

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

_LONGEST_SIDE = 2**15 - 1  # pixels; ImageJ keeps corners in 16 bits
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of a ZIP archive, so that the same cells give the same bytes
_PLAIN = re.compile(r"[^\W_][\w ,()#+=.\-]{0,99}")  # names that are files' names anywhere, and not hidden
_MOVE, _LINE, _CLOSE = 0, 1, 4


def encode(content: Content) -> dict[str, bytes]:
    """Return ``<id>_rois.zip`` with a region per cell, and the picture.

    A cell of one piece without holes is a traced region, which runs along the edges of pixels; any other a composite.
    Names are those of the source, or else the labels. Type and score are properties, which ImageJ lists.

    Raises
    ------
    UsageError
        If a side of the image has more pixels than ImageJ counts.
    """
    if max(content.shape) > _LONGEST_SIDE:
        raise UsageError(f"ImageJ counts {_LONGEST_SIDE:,} pixels a side at most: choose another format (--to)")
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
    """Return the name of a region's entry, which none has `taken`: its own, where archives can hold it, or a number."""
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
        region.roitype = ROI_TYPE.RECT  # as composites have it
        region.multi_coordinates = np.concatenate([_path(ring) for ring in rings])
        region.shape_roi_size = len(region.multi_coordinates)
    return region


def _properties(outline: Outline) -> str:
    """Return the lines of a region's properties; line breaks in a type would be others."""
    numbers = {"Score": outline.score, "Class probability": outline.type_score}
    lines = [f"Class: {' '.join(outline.cell_type.split())}\n"] if outline.cell_type else []
    return "".join([*lines, *(f"{name}: {value:.4f}\n" for name, value in numbers.items() if value is not None)])


def _path(ring: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a ring as a path of Java's: move to the first corner, lines to the others, close."""
    corners = ring[:-1]
    steps = np.column_stack([np.full(len(corners), _LINE), corners]).astype(np.float32)
    steps[0, 0] = _MOVE
    return np.append(steps.ravel(), np.float32(_CLOSE))
