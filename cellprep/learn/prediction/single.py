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
        A file; or an array, (H, W), or with up to four channels before or after, of any real dtype.
    weights
        From `load_bundle`, which spares loading them for each of many images, or the file or files that it takes; those
        for fluorescent nuclei that come with the package unless given.
    mask
        A file or an array, (H, W), above 0 where there are cells; the semantic network tells unless given.
    options
        How it is predicted; no progress is shown unless they say so.
    **keywords
        The fields of `PredictionOptions` by name, such as ``tta=True``, in place of those of the options.

    Returns
    -------
    ndarray
        (H, W) uint16, or uint32 beyond 65,535 instances: 0 = background, then 1, 2, ... in the order in which rows
        read from the top first meet them. Instances of fewer pixels than the options or the weights say, 20 unless
        they do, are left out.

    Raises
    ------
    WeightsError
        If a file of weights cannot be read.
    ImageFileError
        If a file of the image or mask cannot be read.
    UsageError
        If image, mask and weights do not fit each other, there is neither a mask nor a semantic network, or the weights
        are of a ``dn`` alone, which tells vectors and no instances.

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
        As `segment` takes them; the weights hold a semantic network that learned classes.

    Returns
    -------
    Instances
        Its ``labels`` are what `segment` returns; its ``type_names`` the class of each instance, in the order of their
        numbers: that whose mean probability over the instance's pixels is highest; its ``type_scores`` this mean.

    Raises
    ------
    UsageError
        If the weights tell no classes; and as `segment` raises.
    WeightsError, ImageFileError
        As `segment` raises.
    """
    found = _segmented(image, weights, mask, options, keywords)
    if found.types is None:
        raise UsageError("the weights have no classes: give those of a semseg that was trained with `--classes`")
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
            "a dn alone tells vectors, no instances: give the weights of a wtn beside it; `predict` writes the vectors"
        )
    if mask is None and weights.semseg is None:
        raise UsageError("nothing tells where cells are: give a mask, or weights of a semseg beside the others")
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
    """Return an image as (C, H, W): an array as it is if it has so many channels in front; and its pixels' sides."""
    sides = None
    if isinstance(image, str | Path):
        file = ImageFile(as_place(image), options.orientation, planes=options.planes)
        pixels, sides = file.decode(), file.sides()
    else:
        if options.planes:
            raise UsageError(
                "image is an array: scene, channel, z, time and grey choose what is read of a file; index it"
            )
        right = "a file, or an array (H, W), or with up to four channels before or after"
        pixels = as_numbers(image, "image", right)
        if pixels.ndim not in (2, 3):
            raise UsageError(f"image must be {right}, not {described(pixels)}")
        if pixels.ndim == 3 and len(pixels) != channels:
            with suppress(ImageFileError):  # the weights are for other channels, which the predictor says
                pixels = place_channels(pixels)
    return pixels[None] if pixels.ndim == 2 else pixels, sides
