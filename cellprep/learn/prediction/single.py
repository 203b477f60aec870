"""Predicting the instances of one image: an array or a file."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_numbers
from cellprep.errors import ImageFileError, UsageError
from cellprep.formats.images.file import ImageFile
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.raster import place_channels
from cellprep.learn.prediction.bundle import Bundle, as_bundle, load_bundle
from cellprep.learn.prediction.diameter import look_first
from cellprep.learn.prediction.instances import Instances, find_typed_instances
from cellprep.learn.prediction.masks import classes_of_mask
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS, PredictionOptions
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.weights import Weights
from cellprep.system.options import options_of, takes
from cellprep.system.places import as_place
from cellprep.text.wording import described


@takes(PredictionOptions)
def segment(
    image: ArrayLike | Path | str,
    weights: Bundle | Weights | Path | str | Iterable[Path | str] = DEFAULT_WEIGHTS,
    mask: ArrayLike | Path | str | None = None,
    options: PredictionOptions | None = None,
    **keywords: Any,
) -> NDArray[Any]:
    """Predict the instances of an image; `segment_types` also returns their classes.

    Parameters
    ----------
    image
        A file, or an array (H, W), optionally with up to four channels first or last, of any real dtype.
    weights
        From `load_bundle`, to load them once for many images, or files or names as it takes them; by default the
        bundled weights for fluorescent nuclei.
    mask
        A file or an array (H, W), above 0 in cells; by default predicted by the semantic network.
    options
        The options of the prediction; by default no progress is shown.
    **keywords
        Fields of `PredictionOptions` by name, such as ``tta=True``, which replace those in `options`.

    Returns
    -------
    ndarray
        (H, W) uint16, or uint32 beyond 65,535 instances: 0 = background, instances 1, 2, ... in raster order.
        Instances below the minimum area of the options or the weights, by default 20 pixels, are removed.

    Raises
    ------
    WeightsError
        If a file of weights cannot be read.
    ImageFileError
        If a file of the image or mask cannot be read.
    UsageError
        If image, mask and weights do not match, there is neither a mask nor a semantic network, or the weights are of a
        ``dn`` alone, which predicts vectors, but no instances.

    Examples
    --------
    >>> import numpy as np
    >>> from cellprep.learn import Bundle, NetworkSettings, Normalisation, Weights, build_network
    >>> network = build_network(NetworkSettings("wn", base_channels=1), seed=0)
    >>> weights = Bundle(Weights(network, Normalisation("dataset", low=(100,), high=(150,))))
    >>> image = np.zeros((20, 30), np.uint8)
    >>> segment(image, weights, mask=image, min_area=50).max()
    np.uint16(0)
    """
    return _segmented(image, weights, mask, options, keywords).labels


@takes(PredictionOptions)
def segment_types(
    image: ArrayLike | Path | str,
    weights: Bundle | Weights | Path | str | Iterable[Path | str],
    mask: ArrayLike | Path | str | None = None,
    options: PredictionOptions | None = None,
    **keywords: Any,
) -> Instances:
    """Predict the instances of an image, and the class of each.

    Parameters
    ----------
    image, weights, mask, options, **keywords
        As in `segment`; the weights must contain a semantic network with classes.

    Returns
    -------
    Instances
        ``labels`` are those of `segment`. ``type_names`` are the classes of the instances, in the order of their
        numbers: the class with the highest mean probability over the instance's pixels; ``type_scores`` are these.

    Raises
    ------
    UsageError
        If the weights have no classes; and as in `segment`.
    WeightsError, ImageFileError
        As in `segment`.
    """
    found = _segmented(image, weights, mask, options, keywords)
    if found.types is None:
        raise UsageError("the weights have no classes: give those of a semseg trained with `--classes`")
    return found


def _segmented(
    image: ArrayLike | Path | str,
    weights: Bundle | Weights | Path | str | Iterable[Path | str],
    mask: ArrayLike | Path | str | None,
    options: PredictionOptions | None,
    keywords: Mapping[str, Any],
) -> Instances:
    options = options_of(PredictionOptions, options, keywords if options is not None else {"quiet": True, **keywords})
    if isinstance(weights, Weights):
        weights = as_bundle([weights])
    if not isinstance(weights, Bundle):
        weights = load_bundle(weights)
    if not weights.tells_instances:
        raise UsageError(
            "a dn alone predicts vectors, not instances: also give the weights of a wtn, or use `predict` for vectors"
        )
    if mask is None and weights.semseg is None:
        raise UsageError("there is no mask of cells: give one, or add the weights of a semseg")
    pixels, sides = _pixels(image, weights.channels, options)
    predictor = Predictor(weights, options)
    scale = predictor.scale(pixels, sides)
    if isinstance(mask, str | Path):
        mask = ImageFile(as_place(mask), options.orientation).decode_labels()
    classes = None if mask is None else classes_of_mask(mask)
    maps = None
    if options.diameter == "auto":
        scale, maps, _ = look_first(predictor, pixels, classes, scale)
    maps = maps or predictor.look(pixels, classes, scale)
    found = find_typed_instances(maps, predictor.decoding_at(scale))
    return found if scale is None else found.at_scale_of_image(scale)[0]


def _pixels(
    image: ArrayLike | Path | str, channels: int, options: PredictionOptions
) -> tuple[NDArray[Any], Sides | None]:
    """Return an image as (C, H, W), and its pixels' sides; arrays with the channels first are not changed."""
    sides = None
    if isinstance(image, str | Path):
        file = ImageFile(as_place(image), options.orientation, planes=options.planes)
        pixels, sides = file.decode(), file.sides()
    else:
        if options.planes:
            raise UsageError(
                "image is an array: scene, channel, z, time and grey are only for files; index the array instead"
            )
        right = "a file, or an array (H, W), optionally with up to four channels first or last"
        pixels = as_numbers(image, "image", right)
        if pixels.ndim not in (2, 3):
            raise UsageError(f"image must be {right}, not {described(pixels)}")
        if pixels.ndim == 3 and len(pixels) != channels:
            with suppress(ImageFileError):  # the weights are for other channels, which the predictor reports
                pixels = place_channels(pixels)
    return pixels[None] if pixels.ndim == 2 else pixels, sides
