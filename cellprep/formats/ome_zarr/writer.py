"""OME-Zarr 0.5: an image with its label image, for napari and other programs.

https://ngff.openmicroscopy.org/0.5/
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.formats.annotations.content import Content
from cellprep.store.arrays import array_path, encode_array
from cellprep.store.documents import ome_documents


def encode(content: Content) -> dict[str, bytes]:
    """Return the files of ``<id>.ome.zarr``: the picture, if included, and ``labels/instances``.

    Types and scores are properties of the labels.
    """
    image = content.picture.decode() if content.picture and content.picture.pixels else None
    arrays = {"labels": content.labels} if image is None else {"image": image, "labels": content.labels}
    documents = ome_documents(
        content.image_id, None if image is None else image.ndim, content.pixel_size, _properties(content)
    )
    root = Path(f"{content.image_id}.ome.zarr")
    files = {(root / group / "zarr.json").as_posix(): document for group, document in documents.items()}
    return files | {(root / path).as_posix(): part for path, part in _arrays(arrays)}


def _arrays(arrays: dict[str, NDArray[Any]]) -> Iterator[tuple[Path, bytes]]:
    for name, array in arrays.items():
        yield from encode_array(Path(array_path(name)), name, np.ascontiguousarray(array))


def _properties(content: Content) -> list[dict[str, Any]]:
    """Return the properties of each label; empty if there are none."""
    if content.scores is None and not any(content.cell_types):
        return []
    scores = [{}] * len(content.visible) if content.scores is None else [{"score": round(s, 4)} for s in content.scores]
    types: list[dict[str, Any]] = [{"class": name} if name else {} for name in content.cell_types]
    if content.type_scores is not None:
        pairs = zip(types, content.type_scores, strict=True)
        types = [{**kind, "class_probability": round(value, 4)} for kind, value in pairs]
    return [
        {"label-value": label, **kind, **score}
        for label, kind, score in zip(content.visible, types, scores, strict=True)
    ]
