"""TIFF, read with tifffile and imagecodecs, interpreted independently of the compression."""

import math
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC

from cellprep.errors import ImageFileError
from cellprep.formats.images.codestreams import JPEG2000S, JPEGS, check_codestream, has_codestream
from cellprep.formats.images.orientation import as_orientation
from cellprep.formats.images.pixel_size import Sides, sides_of_imagej, sides_of_ome_images
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.images.raster import Raster, Tags, UnnamedAxesError, check_dtype, place_channels
from cellprep.formats.images.stacks import Stack, place_of_scene, read_planes
from cellprep.system.memory import check_memory

_MOST_PAGES = 10_000
_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_COLOURED = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
_ALPHA = {tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA}
_LARGE_SEGMENT = 2**24  # pixels of a strip or tile that are acceptable regardless of the image's size


def decode_tiff(stream: IO[bytes], options: StackOptions | None = None) -> Raster:
    """Decode the single image of a file, or the selection from a stack; None for labels, which have no selection.

    Raises
    ------
    ImageFileError
        If it contains a stack without a complete selection, colours other than grey, RGB and a palette, or lacks
        a part.
    """
    _check_pages(stream)
    with _opened(stream) as tiff:
        page = tiff.pages.first
        _check_parts(tiff)
        place = _place_of_series(tiff, options)
        series = tiff.series[place]
        page = page if place == 0 else series.keyframe
        stack = Stack(series.axes, series.shape, _channel_names(tiff, series, place))
        stack = stack.told(options) if options else stack
        is_named = bool(set(stack.axes) & set("TCZ") or (stack.names and stack.size("S") == 1))
        is_chosen = options is not None and options.chooses and is_named
        if not is_chosen:
            _check_axes(series, stack, options)
        _check_colours(page)
        check_dtype(series.dtype)
        if options is not None and is_chosen:
            return _chosen(tiff, place, stack, options)
        sizes = " x ".join(map(str, series.shape))
        check_memory(series.nbytes, f"an image of {sizes} values")
        for one in series.pages:
            _check_segments(tiff, one, len(series.pages))
        raster = _raster(page, _channels_first(series))
        return raster if options is None else replace(raster, to_choose=replace(options, scene=None))


def _place_of_series(tiff: tifffile.TiffFile, options: StackOptions | None) -> int:
    """Return the index of the selected image in a file."""
    own, chosen = _own_series(tiff), None if options is None else options.scene
    if len(own) > 1 and options is None:
        raise ImageFileError(f"it contains {len(own)} images of different kinds: one is expected")
    names = [tiff.series[place].name for place in own] if len(own) > 1 else [""]
    return own[place_of_scene(names, chosen)]


def _own_series(tiff: tifffile.TiffFile) -> list[int]:
    """Return the indices of the images that begin in this file, as OME-XML may also list those of other files."""
    series = tiff.series
    own = [place for place, one in enumerate(series) if one.keyframe.parent.filehandle is tiff.filehandle]
    return own or [*range(len(series))]


def tags_of_tiff(stream: IO[bytes]) -> Tags:
    """Read the tags of the first page, and the names of other files with parts of the image."""
    with _opened(stream) as tiff:
        page = tiff.pages.first
        orientation = _orientation(page)
        parts = tuple(Path(tiff.filehandle.dirname, name) for name in _other_files(tiff))
        reading = 2 if orientation != 1 or parts or _is_read_anew(page) else 1
        tags = Tags(orientation, reading, parts, page.is_micromanager or _names_files(_ome(tiff)))
        with suppress(Exception):  # damage in these does not affect the others
            scenes, sides = _scenes_and_sides(tiff)
            tags = replace(tags, scenes=scenes, sides=sides)
        return tags


def _scenes_and_sides(tiff: tifffile.TiffFile) -> tuple[tuple[str, ...], tuple[Sides | None, ...]]:
    """Return the names of images, if there are several, and the sides of a pixel of each, from OME-XML or ImageJ.

    A TIFF resolution without these is a printing resolution.
    """
    root = _ome(tiff)
    if root is None:
        tags = tiff.pages.first.tags
        resolution = [tags.valueof(283), tags.valueof(282)]
        return (), (sides_of_imagej(tiff.imagej_metadata or {}, resolution),) if tiff.is_imagej else ()
    sides = sides_of_ome_images(root)
    if len(sides) < 2:
        return (), tuple(sides)
    own = _own_series(tiff)
    names = tuple(tiff.series[place].name for place in own) if len(own) > 1 else ()
    return names, tuple(sides[place] for place in own)


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[tifffile.TiffFile]:
    """Open a file, under the name in its OME-XML if it was renamed."""
    with _without_log():
        with tifffile.TiffFile(stream) as tiff:
            name = _former_name(tiff)
            if not name:
                yield tiff
                return
        stream.seek(0)
        with tifffile.TiffFile(stream, name=name) as tiff:
            yield tiff


def _former_name(tiff: tifffile.TiffFile) -> str:
    """Return the name of an OME-TIFF before it was renamed; an empty string if it was not, or is one of several files.

    The OME-XML of a renamed file names one file, which is not this one, with no more planes than this one has.
    """
    root = _ome(tiff)
    if root is None or root.get("UUID"):
        return ""
    named = {(element.text, element.get("FileName")) for element in root.iter() if element.tag.endswith("UUID")}
    images = [element for element in root.iter() if element.tag.endswith("Pixels")]
    if len(named) != 1 or len(images) != 1:
        return ""
    sizes = [images[0].get(f"Size{axis}", "") for axis in "CZT"]
    samples = [element.get("SamplesPerPixel", "1") for element in images[0] if element.tag.endswith("Channel")][:1]
    if not all(map(str.isdecimal, [*sizes, *samples])):
        return ""
    planes = math.prod(map(int, sizes)) // max(1, *map(int, samples), 1)
    return (next(iter(named))[1] or "") if len(tiff.pages) >= planes else ""


@contextmanager
def _without_log() -> Iterator[None]:
    """Silence tifffile's messages about damaged tags: the caller raises one error."""
    log = tifffile.logger()
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def _check_pages(stream: IO[bytes]) -> None:
    """Refuse endless lists of pages before tifffile reads each."""
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = head[2:4] in (b"+\x00", b"\x00+")
    counted, entry, pointer = ("Q", 20, "Q") if is_big else ("H", 12, "I")
    seen: set[int] = set()
    with suppress(struct.error, OSError, OverflowError):  # tifffile reports other damage
        (place,) = struct.unpack_from(order + pointer, head, 8 if is_big else 4)
        while place and place not in seen:
            seen.add(place)
            if len(seen) > _MOST_PAGES:
                raise ImageFileError(f"it is a stack of more than {_MOST_PAGES:,} pages: an image is one plane")
            stream.seek(place)
            (entries,) = struct.unpack(order + counted, stream.read(struct.calcsize(counted)))
            stream.seek(entries * entry, 1)
            (place,) = struct.unpack(order + pointer, stream.read(struct.calcsize(pointer)))
    stream.seek(0)


def _other_files(tiff: tifffile.TiffFile) -> list[str]:
    """Return the names of the other files of a multi-file OME-TIFF."""
    root = _ome(tiff)
    own = {root.get("UUID")} if root is not None else set()
    names = set()
    for element in root.iter() if root is not None else ():
        if element.tag.endswith("UUID") and element.text not in own and (name := element.get("FileName")):
            names.add(name)
    return sorted(names - {tiff.filename})


def _names_files(root: ElementTree.Element | None) -> bool:
    return root is not None and any(element.get("FileName") for element in root.iter())


def _ome(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    description = tiff.pages.first.description
    if not description[-10:].strip().endswith("OME>"):
        return None
    try:
        return ElementTree.fromstring(description)
    except ElementTree.ParseError:
        return None


def _check_parts(tiff: tifffile.TiffFile) -> None:
    for name in _other_files(tiff):
        if not re.fullmatch(r"[^/\\:]+", name) or name in (".", ".."):
            raise ImageFileError(f"it refers to {name!r} as another part: all parts must be in the same folder")
        if not tiff.filehandle.is_file or not Path(tiff.filehandle.dirname, name).is_file():
            raise ImageFileError(
                f"it is part of an OME-TIFF of several files, of which {name} is missing: keep them in one folder, or "
                "save the image as one file"
            )
    root = _ome(tiff)
    for element in root.iter() if root is not None else ():
        for key, value in element.attrib.items():
            counts = key in ("IFD", "PlaneCount", "NumPlanes") or key.startswith("First")
            if counts and value.isdigit() and int(value) > _MOST_PAGES:
                raise ImageFileError(f"it is damaged, or a stack: its OME-XML says {key} {value}")


def _check_axes(series: tifffile.TiffPageSeries, stack: Stack, options: StackOptions | None) -> None:
    """Refuse stacks before they are read, if their axes are named."""
    named = [axis for axis, size in zip(series.axes, series.shape, strict=True) if size > 1 or axis in "YX"]
    unnamed = [axis for axis in named if axis == "Q"]
    if unnamed and len(named) == 3:
        try:
            place_channels(np.broadcast_to(np.uint8(0), series.shape))
        except UnnamedAxesError as error:
            advice = "" if options is None else ", or define its pages with --z, --channel or --time"
            raise UnnamedAxesError(f"{error}{advice}", error.sizes) from None
    elif "".join(named) not in ("YX", "YXS", "SYX", "CYX", "YXC"):
        raise ImageFileError(stack.problem(options))


def _channel_names(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, place: int) -> tuple[str, ...]:
    """Return the names of the channels, from OME-XML or ImageJ's labels; empty unless each has one."""
    number = series.shape[series.axes.index("C")] if "C" in series.axes else 1
    names: list[str] = []
    if (root := _ome(tiff)) is not None:
        pixels = [element for element in root.iter() if element.tag.endswith("Pixels")][place : place + 1]
        names = [element.get("Name") or "" for one in pixels for element in one if element.tag.endswith("Channel")]
    elif tiff.is_imagej and isinstance(labels := (tiff.imagej_metadata or {}).get("Labels"), list):
        names = labels[:number]  # labels of the planes; channels come first
        if any(label != names[place % number] for place, label in enumerate(labels)):
            names = []
    return tuple(names) if len(names) == number and all(names) else ()


def _chosen(tiff: tifffile.TiffFile, place: int, stack: Stack, options: StackOptions) -> Raster:
    """Read the selection from a stack; if the planes of a file are pages, one channel at a time."""
    series = tiff.series[place]
    page = tiff.pages.first if place == 0 else series.keyframe
    if (
        page.photometric not in (PHOTOMETRIC.MINISBLACK, *_COLOURED)
        and isinstance(options.z, str)
        and stack.size("Z") > 1
    ):
        raise ImageFileError(f"its values are not intensities, so --z {options.z} is not possible: give a number")
    leading = [number for number, axis in enumerate(stack.axes) if axis not in "YXS"]
    if leading != [*range(len(leading))]:
        raise ImageFileError(stack.problem(options))
    lengths, form, axes = stack.shape[: len(leading)], stack.shape[len(leading) :], stack.axes[len(leading) :]
    is_alone = all(one is None or one.parent.filehandle is tiff.filehandle for one in series.pages)
    by_page = is_alone and len(series.pages) == math.prod(lengths)  # tifffile closes the other files of an image
    everything: list[NDArray[Any]] = []

    def read(places: Sequence[dict[str, int]]) -> NDArray[Any]:
        numbers = [0] * len(places)
        for axis, length in zip(stack.axes, lengths, strict=False):
            numbers = [number * length + at.get(axis, 0) for number, at in zip(numbers, places, strict=True)]
        planes = len(numbers) if by_page else math.prod(lengths)
        needed = planes * math.prod(form) * series.dtype.itemsize
        check_memory(needed, f"{planes:,} planes of {' x '.join(map(str, form))} values")
        for number in numbers if by_page else range(len(series.pages)):
            _check_segments(tiff, series.pages[number], len(series.pages))
        if by_page:
            found = tiff.asarray(key=numbers, series=place).reshape(len(numbers), *form)
        else:
            everything[:] = everything or [series.asarray().reshape(math.prod(lengths), *form)]
            found = everything[0][numbers]
        if "S" not in axes:
            return found
        found = np.moveaxis(found, 1 + axes.index("S"), -1)
        return found if stack.size("S") > 1 else found[..., 0]

    values = read_planes(stack, options, read)
    has_samples = stack.size("S") > 1
    left = replace(options, scene=None, channel=options.channel if has_samples else (), z=None, time=None)
    return replace(_raster(page, np.moveaxis(values, 2, 0) if has_samples else values), to_choose=left)


def _check_colours(page: tifffile.TiffPage) -> None:
    colours, compression = page.photometric, page.compression
    name = getattr(colours, "name", str(colours)).lower()
    if colours == PHOTOMETRIC.YCBCR and compression not in JPEGS:
        raise ImageFileError("its colours are ycbcr without JPEG: save it as RGB")
    if colours == PHOTOMETRIC.PALETTE and page.colormap is None:
        raise ImageFileError("it is damaged: its tags refer to a palette that is missing")
    if colours not in (*_GREY, *_COLOURED, PHOTOMETRIC.PALETTE):
        raise ImageFileError(
            f"its colours are {name}: only grey, RGB and palettes are supported; save it as one of these"
        )
    if page.bitspersample == 1 and (page.predictor != 1 or page.samplesperpixel > 1):
        raise ImageFileError("its values are single bits with several channels or a predictor: save it with 8 bits")
    if compression == COMPRESSION.LERC and page.predictor != 1:
        raise ImageFileError("its compression, LERC, has a predictor, which is undefined: save it with Deflate")
    if compression in JPEG2000S and page.dtype is not None and page.dtype.itemsize > 2:
        raise ImageFileError("it has 32-bit values in JPEG 2000, which is lossy for these: save it with Deflate")
    if compression != COMPRESSION.NONE:
        try:
            tifffile.TIFF.DECOMPRESSORS[compression]
        except KeyError:
            name = getattr(compression, "name", str(compression))
            raise ImageFileError(
                f"its compression, {name}, cannot be read: save it uncompressed, or with Deflate or LZW"
            ) from None


def _check_segments(tiff: tifffile.TiffFile, page: Any, planes: int) -> None:
    """Refuse files that lack a strip or tile, and implausible sizes of these."""
    if page is None:
        raise ImageFileError(f"it lacks some of its {planes:,} planes")
    key = page.keyframe
    depth, height, width = (key.tiledepth, key.tilelength, key.tilewidth) if key.is_tiled else (1, key.rowsperstrip, 0)
    height = min(height, key.imagelength) if not key.is_tiled else height
    pixels = depth * height * (width or key.imagewidth)
    if pixels > max(_LARGE_SEGMENT, 4 * key.imagelength * key.imagewidth * key.imagedepth):
        raise ImageFileError(
            f"it is damaged: its tiles have {height} x {width} pixels, but the image has {key.imagelength} x "
            f"{key.imagewidth}"
        )
    offsets, counts = np.asarray(page.dataoffsets, np.uint64), np.asarray(page.databytecounts, np.uint64)
    expected = int(np.prod(key.chunked, dtype=np.int64))
    if min(len(offsets), len(counts)) < expected or not offsets[:expected].all() or not counts[:expected].all():
        raise ImageFileError(f"it is damaged: some of its {expected:,} strips or tiles are missing")
    handle = page.parent.filehandle
    if handle is not tiff.filehandle:  # tifffile closes the other files of an image
        return
    if not key.is_contiguous and (offsets[:expected] + counts[:expected]).max() > handle.size:
        raise ImageFileError("it is damaged: it is truncated")
    if has_codestream(key.compression) and key.jpegheader is None:  # NDPI's tiles are parts of one stream
        for offset, count in zip(offsets[:expected].tolist(), counts[:expected].tolist(), strict=True):

            def segment(most: int, offset: int = offset, count: int = count) -> bytes:
                handle.seek(offset)
                return handle.read(count if most < 0 else min(count, most))

            check_codestream(key.compression, segment, height, width or key.imagewidth)


def _channels_first(series: tifffile.TiffPageSeries) -> NDArray[Any]:
    """Read the values as (H, W) or (C, H, W)."""
    values = series.asarray()
    axes = series.axes
    if values.shape != series.shape:
        values = values.reshape(series.shape)
    single = tuple(place for place, axis in enumerate(axes) if values.shape[place] == 1 and axis not in "YX")
    values = values.squeeze(single)
    axes = "".join(axis for place, axis in enumerate(axes) if place not in single)
    if "Q" in axes:
        return place_channels(values)
    return np.moveaxis(values, 2, 0) if axes in ("YXS", "YXC") else values


def _raster(page: tifffile.TiffPage, values: NDArray[Any]) -> Raster:
    alphas = [extra in _ALPHA for extra in page.extrasamples]
    alpha = None
    if values.ndim == 3 and any(alphas) and len(values) == page.samplesperpixel:
        first = len(values) - len(alphas)
        alpha = values[first + alphas.index(True)]
        kept = [True] * first + [not is_alpha for is_alpha in alphas]
        values = values[kept] if sum(kept) > 1 else values[0]
    palette = None
    if page.photometric == PHOTOMETRIC.PALETTE:
        assert page.colormap is not None
        is_deep = page.colormap.max() > 255  # some programs write 8 bits although the format has 16
        palette = np.ascontiguousarray((page.colormap >> 8 if is_deep else page.colormap).astype(np.uint8).T)
    return Raster(
        values=values,
        is_rgb=page.photometric in _COLOURED,
        alpha=alpha,
        palette=palette,
        white_is_zero=page.photometric == PHOTOMETRIC.MINISWHITE,
        bits=page.bitspersample if isinstance(page.bitspersample, int) else 0,
        is_plain_array=page.bitspersample == 1 and page.is_shaped,  # tifffile writes bool arrays as WhiteIsZero
        orientation=_orientation(page),
    )


def _orientation(page: tifffile.TiffPage) -> int:
    return as_orientation(page.tags.valueof(274, 1))


def _is_read_anew(page: tifffile.TiffPage) -> bool:
    """Return whether earlier versions decoded such files to other values or zeros."""
    if page.photometric == PHOTOMETRIC.MINISWHITE or 0 in page.databytecounts or 0 in page.dataoffsets:
        return True
    if page.photometric in _GREY and len(page.extrasamples) == 1 and page.samplesperpixel == 2:
        return True
    if page.samplesperpixel not in (1, 3):
        return False
    deflate = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
    if page.compression in (COMPRESSION.NONE, *deflate, COMPRESSION.LZMA, COMPRESSION.PACKBITS) and page.predictor != 3:
        return False
    if page.compression not in (COMPRESSION.LZW, COMPRESSION.JPEG, *deflate):
        return True
    is_plain = page.photometric in _COLOURED or page.bitspersample in (32, 64)
    is_interleaved = page.planarconfig == 1 or page.bitspersample == 8
    return page.samplesperpixel == 3 and not (is_plain and is_interleaved)
