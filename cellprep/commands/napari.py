"""Images of a store as napari layers; napari itself is not needed."""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cellprep.core.colours import vector_colours
from cellprep.core.targets import TARGETS
from cellprep.errors import MissingExtraError, StoreError, UsageError
from cellprep.store import Store, StoredImage
from cellprep.text.wording import described

if TYPE_CHECKING:
    import dask.array

#: Data, what napari is told of them, and the kind of layer: what ``napari.layers.Layer.create`` takes.
LayerData = tuple[Any, dict[str, Any], str]


def napari_layers(image: StoredImage | Store, every: int = 4) -> list[LayerData]:
    r"""Return an image and its targets, or all images of a store, as layers of napari, the image lowest.

    Parameters
    ----------
    image
        From ``open_store(...)[image_id]``, or a store.
    every
        Show the vector of every n-th pixel in rows and columns, as napari is slow with all of them.

    Returns
    -------
    list of tuple
        The layers ``image`` if there is one, ``distance``, ``energy`` and ``area`` (hidden), ``semseg`` (hidden;
        1 cell, 2 wall), ``labels``, and ``uvec`` as arrows: (n, 2, 2), where each begins and how far it goes, as
        (y, x). In micrometres if the size of pixels is known.
        Of a store with several images, each layer is a stack, (images, H, W), in the order of the ids, which a layer
        of points shows. Smaller images are padded with zeros below and on the right. Planes are read when they are
        shown. Vectors are drawn as colours, and targets with several channels are left out.

    Raises
    ------
    UsageError
        If `every` is not at least 1, or `image` is neither.
    StoreError
        If an image is damaged, or the store has none.
    MissingExtraError
        If the store has several images, and Dask is not installed; it comes with napari.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from cellprep import build_targets, open_source, open_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\na,8 4 14 4 20 4,6,5")
    ...     report = build_targets(open_source(csv), Path(folder, "data.zarr"))
    ...     layers = napari_layers(open_store(Path(folder, "data.zarr"))["a"], every=1)
    >>> [(settings["name"], kind) for _, settings, kind in layers]  # doctest: +NORMALIZE_WHITESPACE
    [('distance', 'image'), ('energy', 'image'), ('area', 'image'), ('semseg', 'labels'), ('labels', 'labels'),
     ('uvec', 'vectors')]

    In napari::

        viewer = napari.Viewer()
        for layer in cellprep.napari_layers(cellprep.open_store("data.zarr")["round-1"]):
            viewer.add_layer(napari.layers.Layer.create(*layer))
    """
    if not isinstance(image, StoredImage | Store):
        raise UsageError(f"image is {described(image)}: give a store, or one of its images: open_store(...)[image_id]")
    if every < 1:
        raise UsageError(f"every is {every}: give 1 or more")
    if isinstance(image, StoredImage):
        return _of_image(image, every)
    images = [*image.values()]
    if not images:
        raise StoreError(f"{image.path} has no images")
    return _of_image(images[0], every) if len(images) == 1 else _of_images(images)


class _Look(NamedTuple):
    """Display of a kind of target: the drawing of an array, the settings, and the kind of layer."""

    draw: Callable[[NDArray[Any]], NDArray[Any]]
    settings: dict[str, Any]
    layer: str


def _values(values: NDArray[Any]) -> NDArray[Any]:
    layers = values if values.ndim == 2 else np.moveaxis(values, -1, 0)
    return layers.astype({"float16": "float32", "bool": "uint8"}.get(layers.dtype.name, layers.dtype), copy=False)


def _numbers(classes: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the classes from 1, and the last, which is the background, as 0."""
    numbers: NDArray[np.intp] = (classes.argmax(axis=2) + 1) % classes.shape[2]
    return numbers.astype(np.uint8)


_VALUES = _Look(_values, {"visible": False, "colormap": "viridis", "blending": "additive"}, "image")
_LABELS = _Look(lambda labels: labels, {"opacity": 0.5}, "labels")
# By the kind of target, how it is shown; vectors of many images, as arrows of all of them are too many.
_LOOKS = {
    "values": _VALUES,
    "levels": _VALUES,
    "classes": _Look(_numbers, {"visible": False}, "labels"),
    "vectors": _Look(vector_colours, {"visible": False, "rgb": True}, "image"),
}
_ORDER = ["image", "labels", "vectors", "points"]


def _of_image(image: StoredImage, every: int) -> list[LayerData]:
    size = image.metadata.pixel_size
    common: dict[str, Any] = {"scale": (size or 1.0, size or 1.0), "units": "micrometer" if size else "pixel"}
    layers: list[LayerData] = []
    if "image" in image.arrays:
        pixels = image.read("image")
        layers += _channels(pixels[None] if pixels.ndim == 2 else pixels, common)
    found: list[LayerData] = [(image.read("labels"), {**common, "name": "labels", **_LABELS.settings}, "labels")]
    for name, target in TARGETS.items():
        if name not in image:
            continue
        values, settings = image.read(name), {**common, "name": name}
        if target.kind == "vectors":
            settings |= {"vector_style": "arrow", "length": 0.8 * every, "edge_width": 0.15 * every}
            found.append((_arrows(values, every), settings, "vectors"))
        else:
            look = _LOOKS[target.kind]
            found.append((look.draw(values), settings | look.settings, look.layer))
    return [*layers, *_sorted(found)]


def _sorted(layers: Iterable[LayerData]) -> list[LayerData]:
    # What has no place among the targets, such as labels, comes last of its kind.
    return sorted(layers, key=lambda layer: (_ORDER.index(layer[2]), layer[1]["name"] == "labels"))


def _channels(pixels: Any, common: dict[str, Any]) -> list[LayerData]:
    """Return a layer for each channel of (C, ..., H, W)."""
    if len(pixels) == 1:
        return [(pixels[0], {**common, "name": "image"}, "image")]
    return [
        (channel, {**common, "name": f"image, channel {number}", "blending": "additive"}, "image")
        for number, channel in enumerate(pixels)
    ]


def _arrows(vectors: NDArray[np.float32], every: int) -> NDArray[np.float32]:
    """Return the start and the direction of the arrow of each vector that is not 0."""
    half = every // 2
    y, x = np.mgrid[half : vectors.shape[0] : every, half : vectors.shape[1] : every]
    shown = vectors[y, x]
    there = (shown != 0).any(axis=-1)
    starts = np.stack([y[there], x[there]], axis=-1)
    arrows: NDArray[np.float32] = np.stack([starts, shown[there]], axis=1).astype(np.float32)
    return arrows


def _of_images(images: list[StoredImage]) -> list[LayerData]:
    sizes = {image.metadata.pixel_size for image in images}
    size = sizes.pop() if len(sizes) == 1 else None
    unit = "micrometer" if size else "pixel"
    common: dict[str, Any] = {
        "scale": (1.0, size or 1.0, size or 1.0),
        "units": ("pixel", unit, unit),
        "axis_labels": ("image", "y", "x"),
        "metadata": {"ids": [image.id for image in images], "shapes": [image.shape for image in images]},
    }
    with_pixels = [image for image in images if "image" in image.arrays]
    layers: list[LayerData] = []
    if with_pixels:
        forms = [image.form("image") for image in with_pixels]
        channels = max(1 if len(shape) == 2 else shape[0] for shape, _ in forms)
        kind = reduce(np.promote_types, (dtype for _, dtype in forms))
        layers += _channels([_stack(images, "image", _channel(number), kind) for number in range(channels)], common)
    looks = {name: _LOOKS[target.kind] for name, target in TARGETS.items()}
    found: list[LayerData] = []
    for name, look in {"labels": _LABELS, **looks}.items():
        if first := next((image for image in images if name in image), None):
            shape, _ = first.form(name)
            kind = np.dtype(reduce(np.promote_types, (image.form(name)[1] for image in images if name in image)))
            sample = look.draw(np.zeros((1, 1, *shape[2:]), kind))
            if sample.ndim == 2 or "rgb" in look.settings:
                stack = _stack(images, name, look.draw, sample.dtype, sample.shape[2:])
                found.append((stack, {**common, "name": name, **look.settings}, look.layer))
    text = {"string": "{id}", "anchor": "upper_left", "color": "white", "size": 12}
    ids = {"name": "id", "features": {"id": common["metadata"]["ids"]}, "text": text, "size": 1, "opacity": 0.8}
    places = np.zeros((len(images), 3))
    places[:, 0] = np.arange(len(images))
    return [*layers, *_sorted([*found, (places, {**common, **ids}, "points")])]


def _channel(number: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what draws a channel of (C, H, W), of which (H, W) is the first; one that is not there is empty."""

    def draw(pixels: NDArray[Any]) -> NDArray[Any]:
        channels = pixels[None] if pixels.ndim == 2 else pixels
        return channels[number] if number < len(channels) else np.zeros_like(channels[0])

    return draw


def _stack(
    images: list[StoredImage],
    name: str,
    draw: Callable[[NDArray[Any]], NDArray[Any]],
    dtype: DTypeLike,
    colours: tuple[int, ...] = (),
) -> "dask.array.Array":
    """Return what is drawn of an array of each image, (images, H, W, *colours), read when it is computed."""
    try:
        import dask.array
    except ImportError as error:
        raise MissingExtraError("a stack of images", "dask", "napari") from error
    shape = (*np.max([image.shape for image in images], axis=0).tolist(), *colours)

    def plane(block_info: Any = None) -> NDArray[Any]:
        image = images[block_info[None]["chunk-location"][0]]
        padded = np.zeros((1, *shape), dtype)
        if name in image:
            drawn = draw(image.read(name))
            padded[0, : drawn.shape[0], : drawn.shape[1]] = drawn
        return padded

    chunks = ((1,) * len(images), *((side,) for side in shape))
    meta = np.empty((0,) * len(chunks), dtype)  # else Dask would call the function to learn what it returns
    stack: dask.array.Array = dask.array.map_blocks(plane, chunks=chunks, dtype=dtype, meta=meta)
    return stack
