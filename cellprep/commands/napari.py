"""Images of a store as napari layers; napari itself is not needed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets import TARGETS
from cellprep.errors import UsageError
from cellprep.store import StoredImage
from cellprep.text.wording import described

#: Data, settings and kind of a layer: the arguments of ``napari.layers.Layer.create``.
LayerData = tuple[NDArray[Any], dict[str, Any], str]


def napari_layers(image: StoredImage, every: int = 4) -> list[LayerData]:
    r"""Return an image and its targets as napari layers, with the image at the bottom.

    Parameters
    ----------
    image
        From ``open_store(...)[image_id]``.
    every
        Show the vector of every n-th pixel in rows and columns, as napari is slow with all of them.

    Returns
    -------
    list of tuple
        The layers ``image`` if there is one, ``distance``, ``energy`` and ``area`` (hidden), ``semseg`` (hidden;
        1 cell, 2 wall), ``labels``, and ``uvec`` as arrows: (n, 2, 2), the start and the direction of each as (y, x).
        In micrometres if the pixel size is known.

    Raises
    ------
    UsageError
        If `every` is not at least 1.
    StoreError
        If the image is damaged.

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
    if not isinstance(image, StoredImage):
        raise UsageError(f"image is {described(image)}: give an image of a store, open_store(...)[image_id]")
    if every < 1:
        raise UsageError(f"every is {every}: give 1 or more")
    size = image.metadata.pixel_size
    common: dict[str, Any] = {"scale": (size or 1.0, size or 1.0), "units": "micrometer" if size else "pixel"}
    layers: list[LayerData] = []
    if "image" in image.arrays:
        layers += _channels(image.read("image"), common)
    labels = (image.read("labels"), {**common, "name": "labels", "opacity": 0.5}, "labels")
    there = [target for name, target in TARGETS.items() if name in image]
    targets = [_LAYERS[target.kind](image.read(target.name), target.name, common, every) for target in there]
    order = {"image": 0, "labels": 1, "vectors": 2}
    return [*layers, *sorted([*targets, labels], key=lambda layer: order[layer[2]])]


def _of_values(values: NDArray[Any], name: str, common: dict[str, Any], every: int) -> LayerData:
    layers = values if values.ndim == 2 else np.moveaxis(values, -1, 0)
    shown = layers.astype({"float16": "float32", "bool": "uint8"}.get(layers.dtype.name, layers.dtype), copy=False)
    settings = {**common, "name": name, "visible": False, "colormap": "viridis", "blending": "additive"}
    return shown, settings, "image"


def _of_classes(classes: NDArray[Any], name: str, common: dict[str, Any], every: int) -> LayerData:
    """Return the layer of classes, numbered from 1; the last class, the background, is 0."""
    return _numbers(classes), {**common, "name": name, "visible": False}, "labels"


def _numbers(classes: NDArray[Any]) -> NDArray[np.uint8]:
    numbers: NDArray[np.intp] = (classes.argmax(axis=2) + 1) % classes.shape[2]
    return numbers.astype(np.uint8)


def _of_vectors(vectors: NDArray[Any], name: str, common: dict[str, Any], every: int) -> LayerData:
    settings = {**common, "name": name, "vector_style": "arrow", "length": 0.8 * every, "edge_width": 0.15 * every}
    return _arrows(vectors, every), settings, "vectors"


# The layer of each kind of target.
_LAYERS: dict[str, Callable[[NDArray[Any], str, dict[str, Any], int], LayerData]] = {
    "values": _of_values,
    "levels": _of_values,
    "classes": _of_classes,
    "vectors": _of_vectors,
}


def _channels(pixels: NDArray[Any], common: dict[str, Any]) -> list[LayerData]:
    if pixels.ndim == 2:
        return [(pixels, {**common, "name": "image"}, "image")]
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
