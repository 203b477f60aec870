"""Values of ``segmentation`` in a COCO file: polygons or counts, and known deviations of tools."""

from itertools import chain
from typing import Any, TypeGuard

import msgspec

from cellprep.core.rle import has_no_pixel, polygon_counts
from cellprep.errors import RLEError
from cellprep.formats.drawings.shapes import outside


class _Counts(msgspec.Struct):
    size: tuple[int, int]
    counts: str | list[int]


_FAR = 1e15  # beyond all pixels
_Polygons = list[list[float]]
_masks = msgspec.json.Decoder(_Polygons | _Counts | None)


def mask_counts(mask: bytes, shape: tuple[int, int]) -> bytes | list[int]:
    """Return the counts of an annotation's mask.

    Parameters
    ----------
    mask
        The value of ``segmentation``, as JSON.
    shape
        (H, W) of the image, in pixels.

    Raises
    ------
    RLEError
        If it is not a mask of an image of this size. Its `place` is 0.

    Examples
    --------
    >>> mask_counts(b'{"size": [2, 3], "counts": [1, 2, 3]}', (2, 3))
    [1, 2, 3]
    """
    content = _decoded(mask)
    if not content:
        raise RLEError(0, "it has no segmentation; a box alone is not a mask")
    if isinstance(content, list):
        return _rasterised(content, shape)
    if content.size != shape:
        height, width = content.size
        turned = "; COCO gives the height first" if (width, height) == shape else ""
        problem = f"its mask is {height} x {width} (height x width), but its image is {shape[0]} x {shape[1]}{turned}"
        raise RLEError(0, problem)
    return content.counts.encode(errors="replace") if isinstance(content.counts, str) else content.counts


def _decoded(mask: bytes) -> _Polygons | _Counts | None:
    try:
        try:
            content: _Polygons | _Counts | None = _masks.decode(mask)
            return content
        except msgspec.ValidationError:
            return _as_meant(msgspec.json.decode(mask))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RLEError(0, "its segmentation is not valid JSON") from error


def _rasterised(polygons: _Polygons, shape: tuple[int, int]) -> bytes:
    if len(polygons) > 2 and all(len(part) == 2 for part in polygons):
        polygons = [list(chain.from_iterable(polygons))]  # a list of points, not of polygons
    if polygons[0] and max(polygons[0]) <= 1 and _is_normalised(polygons):
        raise RLEError(
            0,
            "its polygon is between 0 and 1: COCO uses pixels, so multiply x by the image's width and y by its height",
        )
    counts = polygon_counts(polygons, shape)
    if has_no_pixel(counts) and (where := _where_outside(polygons, shape)):
        size = f"{shape[1]} x {shape[0]} (width x height)"
        raise RLEError(0, f"its polygon, {where}, is outside its image, {size}: correct it, or exclude it (--exclude)")
    return counts


def _is_normalised(polygons: _Polygons) -> bool:
    """Return whether points are relative to the image's size: less than a pixel, and not the corners of one."""
    numbers = list(chain.from_iterable(polygons))
    return min(numbers) >= 0 and max(numbers) <= 1 and any(number not in (0, 1) for number in numbers)


def _where_outside(polygons: _Polygons, shape: tuple[int, int]) -> str:
    xs = list(chain.from_iterable(part[0::2] for part in polygons))
    ys = list(chain.from_iterable(part[1::2] for part in polygons))
    return outside(min(xs), min(ys), max(xs), max(ys), shape)


def _as_meant(content: Any) -> _Polygons | _Counts | None:
    """Return the meaning of a segmentation in another form, if it is certain.

    Raises
    ------
    RLEError
        If it is not; the message describes the form.
    """
    if isinstance(content, dict):
        return _counts_as_meant(content)
    if isinstance(content, list):
        if _are_numbers(content):
            if len(content) == 4:
                raise RLEError(0, "its segmentation is a box of four numbers: a polygon needs at least three points")
            return [content]
        if any(number is None for part in content if isinstance(part, list) for number in part) or None in content:
            raise RLEError(0, "its polygon has a coordinate that is null or NaN: coordinates must be numbers of pixels")
        parts = [_flat_points(part) for part in content]
        if all(map(_are_numbers, parts)):
            return parts
    raise RLEError(0, "its segmentation is neither polygons ([[x, y, x, y, ...]]) nor counts ({size, counts})")


def _counts_as_meant(content: dict[str, Any]) -> _Counts:
    size, counts = content.get("size"), content.get("counts")
    if not (_are_numbers(size) and len(size) == 2 and all(float(side).is_integer() for side in size)):
        raise RLEError(0, "its segmentation needs a size, [height, width], in whole pixels")
    if _are_numbers(counts) and all(float(number).is_integer() for number in counts):
        return _Counts((int(size[0]), int(size[1])), list(map(int, counts)))
    if isinstance(counts, str):
        return _Counts((int(size[0]), int(size[1])), counts)
    raise RLEError(0, "its segmentation needs counts: a compressed string or a list of whole numbers")


def _flat_points(part: Any) -> Any:
    """Flatten a list of points [[x, y], ...] to x, y, ...; other values are unchanged."""
    if isinstance(part, list) and part and all(_are_numbers(point) and len(point) == 2 for point in part):
        return list(chain.from_iterable(part))
    return part


def _are_numbers(content: Any) -> TypeGuard[list[float]]:
    return isinstance(content, list) and all(type(number) in (int, float) and abs(number) < _FAR for number in content)
