"""The napari plugin: it opens stores, brings sample data, and predicts cells. ``napari.yaml`` declares it."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.build_targets import build_targets
from cellprep.commands.demo import write_dataset, write_nuclei
from cellprep.commands.napari import LayerData, napari_layers
from cellprep.formats.images.file import ImageFile
from cellprep.learn import require_torch
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS, SHIPPED, PredictionOptions
from cellprep.store import StoredImage, open_store
from cellprep.store.image import read_attributes
from cellprep.system.places import as_place


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """Return what reads a store, or an image of one; None if the path is of neither."""
    return read_layers if isinstance(path, str) and read_attributes(as_place(path)) else None


def read_layers(path: str) -> list[LayerData]:
    """Return the layers of a store, or of an image of one.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    place = as_place(path)
    is_image = "complete" in read_attributes(place)
    return napari_layers(StoredImage(place) if is_image else open_store(place))


def sample_cells() -> list[LayerData]:
    """Return synthetic cells of each type as phase contrast shows them, with their targets."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "data.zarr")
        build_targets(write_dataset(Path(folder), images_per_type=1), store, jobs=1, quiet=True)
        return [(np.asarray(data), settings, kind) for data, settings, kind in napari_layers(open_store(store))]


def sample_nuclei() -> list[LayerData]:
    """Return three images of synthetic fluorescent nuclei, which the weights of the package suit."""
    with tempfile.TemporaryDirectory() as folder:
        write_nuclei(Path(folder))
        images = [ImageFile(path).decode() for path in sorted(Path(folder, "nuclei").iterdir())]
    return [(np.stack(images), {"name": "nuclei", "axis_labels": ("image", "y", "x")}, "image")]


def predict_planes(
    pixels: Any, weights: Path | str, options: PredictionOptions, *, is_rgb: bool = False, shapes: Any = None
) -> Iterator[NDArray[Any]]:
    """Yield the cells of each plane of a stack.

    Parameters
    ----------
    pixels
        (..., H, W), or (..., H, W, 3 or 4) if it is RGB; whatever gives an array when it is indexed.
    weights
        A name of what comes with the package, or a file.
    options
        How cells are predicted.
    is_rgb
        Whether the last axis is colours.
    shapes
        (H, W) of the image in each plane of a stack that was padded below and on the right.

    Yields
    ------
    ndarray
        (H, W), 0 = background, then the cells.

    Raises
    ------
    CellprepError
        As `cellprep.learn.segment`.
    """
    from cellprep.learn import load_bundle, segment

    bundle = load_bundle(weights)
    stacked = pixels.shape[: -3 if is_rgb else -2]
    for number, index in enumerate(np.ndindex(*stacked)):
        plane = np.asarray(pixels[index])
        height, width = shapes[number] if shapes and len(stacked) == 1 else plane.shape[:2]
        labels = segment(plane[:height, :width, ..., :3] if is_rgb else plane[:height, :width], bundle, options=options)
        below, right = plane.shape[0] - height, plane.shape[1] - width
        yield np.pad(labels, ((0, below), (0, right)))


def predict_widget() -> Any:
    """Return the widget that predicts the cells of a layer in a thread, and adds them as a layer of labels.

    Raises
    ------
    MissingExtraError
        If the packages of the extra ``train`` are not installed.
    """
    require_torch("Predict")
    from magicgui import magicgui
    from napari import Viewer
    from napari.layers import Image
    from napari.qt.threading import create_worker

    def predict(
        viewer: Viewer, image: Image, weights: str = DEFAULT_WEIGHTS, file: Path | None = None, diameter: float = 0
    ) -> None:
        """Predict the cells of an image layer."""
        pixels = image.data[0] if image.multiscale else image.data
        planes = int(np.prod(pixels.shape[: -3 if image.rgb else -2]))
        options = PredictionOptions(quiet=True, diameter=diameter or None, pixel_size=_pixel_size(image, diameter))
        given = {"is_rgb": image.rgb, "shapes": image.metadata.get("shapes")}
        found: list[NDArray[Any]] = []

        def add() -> None:
            shape = pixels.shape[:-1] if image.rgb else pixels.shape
            place = {name: getattr(image, name) for name in ("scale", "translate", "units", "axis_labels")}
            viewer.add_labels(np.stack(found).reshape(shape), name=f"{image.name}, cells", **place)

        worker = create_worker(
            predict_planes, pixels, file or weights, options, **given, _start_thread=False, _progress={"total": planes}
        )
        worker.yielded.connect(found.append)
        worker.returned.connect(lambda _: add())
        worker.finished.connect(lambda: setattr(gui.call_button, "enabled", True))
        gui.call_button.enabled = False
        worker.start()

    gui = magicgui(
        predict,
        call_button="Predict",
        weights={"choices": [*SHIPPED], "tooltip": "Weights of the package."},
        file={"label": "own weights", "filter": "*.safetensors", "tooltip": "Taken instead, if given."},
        diameter={
            "max": 10_000.0,
            "tooltip": "Typical diameter of the cells, in pixels; 0: they are as large as those that weights know.",
        },
    )
    return gui


def _pixel_size(image: Any, diameter: float) -> float | None:
    """Return the side of a layer's pixels in micrometres; None if it is not known, or a diameter is given instead."""
    is_known = str(image.units[-1]) in {"micrometer", "micron"}
    return None if diameter or not is_known else float(image.scale[-1])
