"""Documents of annotation tools, as these write them: of an image called a.png, 3 pixels high and 4 wide."""

import base64
import io
import json

import numpy as np
from PIL import Image

from cellprep import open_source

# What label-studio-converter 0.0.59 packs of this mask: encode_rle(numpy.repeat(255 * mask.ravel(), 4)).
MASK = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
PACKED = [0, 0, 0, 48, 57, 27, 252, 96, 19, 255, 219, 0, 143, 255, 9, 128, 0]

SHAPE = (3, 4)


def png(mask):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(mask, bool)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def only(path, format="auto"):  # noqa: A002
    (record,) = open_source(path, format).images()
    return record


SQUARE = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]


def feature(geometry="Polygon", coordinates=(SQUARE,), **properties):
    return {
        "type": "Feature",
        "id": "c8df3d44-8fbb-4b8a-a3c6-6f1a2f7d8d6a",
        "geometry": {"type": geometry, "coordinates": coordinates},
        "properties": {"objectType": "annotation", **properties},
    }


def collection(*features):
    return {"type": "FeatureCollection", "features": features}


QUPATH_CELL = {
    "type": "Feature",
    "id": "PathCellObject",
    "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
    "nucleusGeometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
    "properties": {"classification": {"name": "Tumor: Positive", "colorRGB": -377282}, "isLocked": False},
}


def labelme(*shapes, **changes):
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": 3,
        "imageWidth": 4,
        **changes,
    }


def drawn(kind, points, label="cell", group=None, **others):
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **others,
    }


def cvat(shapes, image='id="0" name="a.png" subset="default" task_id="1" width="4" height="3"'):
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <name>a &amp; b</name>\n    </task>\n  </meta>\n  <image {image}>\n{shapes}\n  </image>\n"
        "</annotations>\n"
    )


def polygon(points="0.00,0.00;2.00,0.00;2.00,2.00;0.00,2.00", label="a", **attributes):
    others = "".join(f' {name}="{value}"' for name, value in attributes.items())
    attribute = '<attribute name="note">x</attribute>'
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}"{others}>{attribute}</polygon>'


MASKED = (
    '<mask label="m" source="manual" occluded="0" rle="{}" left="1" top="0" width="2" height="2" z_order="0"></mask>'
)


def via_region(shape, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


VIA_SQUARE = {"name": "polygon", "all_points_x": [0, 2, 2, 0], "all_points_y": [0, 0, 2, 2]}


def via_csv(images):
    """As VIA writes it: texts in quotes, whose quotes are doubled."""
    lines = ["filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"]
    for image in images.values():
        for place, region in enumerate(image["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]):
            quoted = [json.dumps(region[name]).replace('"', '""') for name in ("shape_attributes", "region_attributes")]
            lines.append(
                f'{image["filename"]},{image["size"]},"{{}}",{len(image["regions"])},{place},"{quoted[0]}","{quoted[1]}"'
            )
    return "\n".join(lines) + "\n"


def region(kind, value, label="Cell", **changes):
    name = f"{kind}labels"
    return {
        "original_width": 4,
        "original_height": 3,
        "image_rotation": 0,
        "value": {**value, name: [label]},
        "id": "Dx_aB",
        "from_name": "label",
        "to_name": "image",
        "type": name,
        "origin": "manual",
        **changes,
    }


def task(*results, image="/data/upload/3/1f2e3d4c-a.png", **changes):
    annotation = {"id": 7, "completed_by": 1, "result": results, "was_cancelled": False, "ground_truth": False}
    return {"id": 1, "annotations": [annotation], "predictions": [], "data": {"image": image}, "project": 3, **changes}


PERCENT = [[0, 0], [50, 0], [50, 200 / 3], [0, 200 / 3]]
