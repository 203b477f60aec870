"""Label images as TIFF, for Fiji, QuPath and napari."""

import io
from typing import Any

from cellprep.formats.annotations.content import Content
from cellprep.store.image_ids import file_uuid


def encode(content: Content) -> bytes:
    """Return the labels as an OME-TIFF, compressed with zlib, with unchanged numbers.

    The pixel size, if known, is written twice: in the OME-XML, for Bio-Formats and QuPath, and as the resolution of the
    TIFF, for ImageJ.
    """
    # The UUID that tifffile generates would differ from run to run.
    metadata: dict[str, Any] = {
        "axes": "YX",
        "UUID": file_uuid(content.image_id),
    }
    resolution: dict[str, Any] = {}
    if size := content.pixel_size:
        metadata |= {"PhysicalSizeX": size, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": size, "PhysicalSizeYUnit": "µm"}
        resolution = {"resolution": (1e4 / size, 1e4 / size), "resolutionunit": "CENTIMETER"}
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, content.labels, ome=True, compression="zlib", metadata=metadata, **resolution)
    return file.getvalue()
