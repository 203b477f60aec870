"""Label images as TIFF, as Fiji, QuPath and napari open them, each with a table of the classes of its cells."""

import io
from typing import Any

from cellprep.formats.annotations.content import Content
from cellprep.formats.label_images.types import encode_types
from cellprep.formats.names import TYPES_END
from cellprep.store.image_ids import file_uuid


def encode(content: Content) -> dict[str, bytes]:
    """Return ``<id>.tif``, and ``<id>_classes.csv`` if cells have types."""
    image = {f"{content.image_id}.tif": _encode_image(content)}
    if not any(content.cell_types):
        return image
    table = encode_types(content.visible, content.cell_types, content.type_scores)
    return {**image, f"{content.image_id}{TYPES_END}": table}


def _encode_image(content: Content) -> bytes:
    """Return the labels as an OME-TIFF, compressed with zlib; labels keep their numbers.

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
