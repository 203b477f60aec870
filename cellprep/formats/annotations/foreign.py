"""Files that no reader supports: their formats by content, and how to make them readable."""

import re
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from cellprep.formats.annotations.json_kinds import format_of_json, shallow
from cellprep.formats.images import IMAGE_FORMATS
from cellprep.system.files import open_file, read_file
from cellprep.text.wording import printable

LOOKS_LIKE_A_TABLE = "this looks like a table: if it is a CSV of annotations, rename it to .csv"

_HEAD = 65_536  # bytes by which a file is identified
_MOST_FILES = 50  # files of a folder that are examined

_AS_COCO = "export the annotations as COCO JSON, with polygons or masks"
_TO_LABELS = "convert its cells to label images, with one number per cell, and give their folder"

# Keys that must all be in the object of a format, its name, and a remedy.
_OBJECTS: list[tuple[set[str], str, str]] = [
    ({"project", "config", "view"}, "a project of VIA 3", "annotate images in VIA 2, whose regions are read"),
    (
        {"image", "annotations"},
        "an SA-1B file, SAM's masks of one image",
        "merge the files into one COCO JSON: `image` becomes an entry of the list `images`, with its image_id as `id` "
        "and the image_id of each annotation",
    ),
    ({"item", "annotations"}, "a V7 Darwin file", f"in V7, {_AS_COCO}"),
    ({"categories", "items"}, "a Datumaro file", "convert it to COCO with `datum convert -f coco`"),
    ({"objects", "size"}, "a Supervisely file", f"in Supervisely, {_AS_COCO}"),
    ({"nuc"}, "HoVer-Net's JSON of nuclei", f"{_TO_LABELS}: `contour` is the outline of a cell"),
]

_ENTRIES: list[tuple[set[str], str, str]] = [
    ({"segmentation", "predicted_iou"}, "SAM's everything-mode JSON, masks without their image", _TO_LABELS),
    ({"segmentation", "stability_score"}, "SAM's everything-mode JSON, masks without their image", _TO_LABELS),
    (
        {"image_id", "segmentation"},
        "a list of COCO results",
        "pass it to `cellprep evaluate` as PREDICTED, with the COCO JSON that lists the images as TRUTH, or to "
        "`cellprep convert` with that COCO JSON as --truth",
    ),
    ({"data", "completions"}, "an export from a Label Studio version before 1.0", "export it as JSON from a later one"),
    ({"annotation_id", "annotator"}, "a Label Studio export of the kind JSON-MIN", "export it as JSON"),
]

# Text found at the beginning of XML files of one format only.
_XML: list[tuple[str, str, str]] = [
    (r"<annotations>.*(<version>|<meta>|<image |<track )", "CVAT XML", "rename it to .xml"),
    (r"<annotation\b.*<(object|size|filename)>", "a Pascal VOC file, boxes without masks", _TO_LABELS),
    (r"<ASAP_Annotations", "an ASAP file", _TO_LABELS),
    (r"<Annotations\b", "Aperio ImageScope's XML", _TO_LABELS),
    (r"<(TrackMate|PcGts|svg)\b", "an XML file of another program", _TO_LABELS),
]

# Magic bytes of file formats.
_MAGIC: list[tuple[bytes, str, str]] = [
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself with `git lfs pull`"),
    (b"<!DOCTYPE html", "a web page", "download the file itself"),
    (b"<html", "a web page", "download the file itself"),
    (b"PAR1", "a Parquet file", "rename it to .parquet"),
    (b"ARROW1", "a Feather file", "save the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel table (.xls)", "save it as CSV"),
    (b"\x89HDF", "an HDF5 file", _TO_LABELS),
    (b"MATLAB 5.0", "a MATLAB file", f"{_TO_LABELS}, such as its `inst_map`"),
    (b"Iout", "an ImageJ ROI", "rename it to .roi"),
    (b"\x80\x04", "a Python pickle, which may run code", _TO_LABELS),
    (b"\x1f\x8b", "a gzip file", "unpack it and give its content, or rename a table to .csv.gz"),
    (b"BZh", "a bzip2 file", "unpack it and give its content"),
    (b"\xfd7zXZ", "an xz file", "unpack it and give its content"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and give its content"),
    (b"Rar!", "a RAR archive", "unpack it and give its content"),
    (b"%PDF", "a PDF file", "give annotations"),
]


def kind_of(path: Path) -> str:
    """Describe an unsupported file or folder, with a remedy; an empty string if nothing is known."""
    try:
        return _kind_of_folder(path) if path.is_dir() else _kind_of_file(path)
    except OSError:
        return ""


def ends_of(path: Path) -> str:
    """Return the extensions of a folder's files; an empty string if it is not a folder."""
    try:
        ends = sorted({printable(file.suffix.lower() or file.name) for file in _files_in(path)})
    except OSError:
        return ""
    return f"its files end in {', '.join(ends[:5])}{' ...' if len(ends) > 5 else ''}"


def json_kind(content: bytes) -> str:
    """Describe the format of a JSON document, with a remedy; an empty string if it is unknown.

    Examples
    --------
    >>> json_kind(b'{"type": "FeatureCollection", "features": []}')
    'this is a file of the format geojson: use --format geojson, or no --format'
    """
    if name := format_of_json(content):
        return _said(f"a file of the format {name}", f"use --format {name}, or no --format")
    top = shallow(content)
    if isinstance(top, list):
        first = shallow(bytes(top[0])) if top else None
        return _kind_of_object(first, _ENTRIES) if isinstance(first, dict) else ""
    return _kind_of_object(top, _OBJECTS) if isinstance(top, dict) else ""


def _said(name: str, step: str) -> str:
    return f"this is {name}: {step}"


def _kind_of_object(found: dict[str, msgspec.Raw], known: list[tuple[set[str], str, str]]) -> str:
    for keys, name, step in known:
        if keys <= found.keys():
            return _said(name, step)
    return ""


def _kind_of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    with open_file(path) as file:
        head = file.read(_HEAD)
    if not head.strip():
        return "it is empty"
    if suffix in IMAGE_FORMATS or suffix in (".npy", ".npz", ".bmp"):
        return "this is an image file: give the folder of all label images or masks"
    for magic, name, step in _MAGIC:
        if head.startswith(magic):
            return _said(name, step)
    if head.startswith(b"PK"):
        return _kind_of_archive(path)
    if head[257:262] == b"ustar" or tarfile.is_tarfile(path):
        return _said("a tar archive", "unpack it and give its content")
    return _kind_of_text(path, head.decode("utf-8-sig", "replace"))


def _kind_of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "this is a damaged ZIP archive: copy it again"
    if any(name.endswith(".roi") for name in names):
        return _said("a ZIP archive with ImageJ ROIs and other files", "keep only .roi files in it")
    few = ", ".join(map(repr, names[:3])) + (" ..." if len(names) > 3 else "")
    return f"this is a ZIP archive with {few}: unpack it and give its content"


def _kind_of_text(path: Path, text: str) -> str:
    start = text.lstrip()
    if start.startswith("<"):
        for pattern, name, step in _XML:
            if re.search(pattern, text, re.DOTALL):
                return _said(name, step)
        return _said("an XML file of another program", _AS_COCO)
    if start.startswith(("{", "[")):
        kind = json_kind(read_file(path))
        return kind or "this looks like JSON: if it is COCO JSON, rename it to .json"
    return _kind_of_lines([line.strip() for line in start.splitlines()[:20] if line.strip()])


def _kind_of_lines(lines: list[str]) -> str:
    words = [line.split() for line in lines]
    if words and all(map(is_yolo, words)):
        return _said("a YOLO label", "rename it to .txt, and give the folder of all labels")
    if lines and all(re.fullmatch(r"\d+(,\d+){5,}", line) for line in lines):
        return _said(
            "Cellpose's outlines",
            "rename it to <id>_cp_outlines.txt, and put the image <id>.* next to it",
        )
    if lines and re.search(r"[,;\t]", lines[0]):
        return LOOKS_LIKE_A_TABLE
    return ""


def is_yolo(words: Sequence[str]) -> bool:
    """Return whether the words of a line are a class and numbers between 0 and 1, as for a box or an outline.

    Examples
    --------
    >>> is_yolo("0 .5 .5 .1 .2".split()), is_yolo("1 2 3 4 5".split())
    (True, False)
    """
    if len(words) < 5 or not re.fullmatch("[0-9]{1,9}", words[0]):
        return False
    try:
        return all(0 <= float(word) <= 1 for word in words[1:])
    except ValueError:
        return False


def _kind_of_folder(path: Path) -> str:
    files = sorted(_files_in(path), key=lambda file: (file.suffix.lower() in IMAGE_FORMATS, file.name))
    if not files:
        return "it contains no files"
    for file in files[:_MOST_FILES]:
        if _may_be_whole(file):
            return f"it contains {printable(file.name)}: if this file has the annotations, give the file itself"
        if file.suffix.lower() in (".json", ".geojson", ".xml", ".txt", ".roi", ".mat", ".h5", ".zip") and (
            kind := _kind_of_file(file)
        ):
            return f"it contains {printable(file.name)}: {kind}"
    return ""


def _may_be_whole(file: Path) -> bool:
    """Return whether a file may have the annotations of several images, and should be given itself."""
    suffix = file.suffix.lower()
    if suffix == ".json":
        content = read_file(file)
        return not json_kind(content) or format_of_json(content) in ("via", "label-studio")
    if suffix == ".xml":
        return "CVAT XML" in _kind_of_file(file)
    return suffix in (".csv", ".tsv", ".parquet", ".xlsx")


def _files_in(path: Path) -> Iterator[Path]:
    """Yield the files of a folder, or of its subfolders if it has none of its own."""
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    own = [entry for entry in entries if entry.is_file()]
    yield from own or (file for entry in entries if entry.is_dir() for file in entry.iterdir() if file.is_file())
