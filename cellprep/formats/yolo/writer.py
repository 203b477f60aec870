"""YOLO's data sets for segmentation, for training with Ultralytics.

https://docs.ultralytics.com/datasets/segment/
"""

import json
from collections.abc import Sequence

import numpy as np

from cellprep.core.outlines import join_rings
from cellprep.formats.annotations.content import Content, Listed, Whole

_UNTYPED = "cell"
_PARTS = 1e6  # precision of coordinates; rounded up, as Ultralytics truncates to whole pixels


def encode(content: Content) -> dict[str, bytes]:
    """Return ``labels/<fold>/<id>.txt``, and the picture in ``images/<fold>/``.

    A line is the class and one outline, relative to the image's width and height. Holes and components are connected to
    it by lines of no width.
    """
    height, width = content.shape
    classes = {name: number for number, name in enumerate(content.types)}
    lines = []
    for outline in content.outlines():
        corners = join_rings([ring for polygon in outline.polygons for ring in polygon]) / (width, height)
        corners = np.ceil(corners * _PARTS - 1e-6) / _PARTS
        # In one call, as there may be millions of points.
        points = " %.6f" * corners.size % tuple(corners.ravel().tolist())
        lines.append(f"{classes[outline.cell_type]}{points}\n")
    pictures = {f"images/{content.fold}/{name}": picture for name, picture in content.taken_picture().items()}
    return {f"labels/{content.fold}/{content.image_id}.txt": "".join(lines).encode(), **pictures}


def finish(whole: Whole, images: Sequence[Listed]) -> dict[str, bytes]:
    """Return ``data.yaml``; without folds, the validation images are the training images."""
    folds = sorted({image.fold for image in images})
    of = {name: name if name in folds else folds[0] for name in ("train", "val")}
    names = [f"  {number}: {json.dumps(name or _UNTYPED)}" for number, name in enumerate(whole.types)]  # JSON is YAML
    lines = [*(f"{name}: images/{fold}" for name, fold in of.items()), "names:", *names]
    return {"data.yaml": ("\n".join(lines) + "\n").encode()}
