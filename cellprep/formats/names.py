"""Names of files and folders: those of images, of masks, and of files that are not data."""

import re

#: Suffixes of label images and masks, before the extension; longer ones first.
MASK_ENDS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg")

# Prefixes, or complete names: ``mask_<id>``, or ``mask`` in a folder with the image's name.
_MASK_STARTS = ("masks_", "mask_", "labels_", "label_")

#: Suffixes of images that have masks next to them.
IMAGE_ENDS = ("_image", "_img", ".ome")

#: Prefixes, or complete names.
IMAGE_STARTS = ("image_", "img_")

# Other files that Cellpose writes with masks.
_BY_PRODUCTS = ("_flows", "_cp_flows", "_cp_output", "_cp_outlines", "_outlines")

# Folders, ignoring case, with "_" and "-" as spaces.
_MASK_FOLDERS = {"mask", "masks", "label", "labels", "label masks", "ground truth", "groundtruth", "gt"}
_IMAGE_FOLDERS = {"image", "images", "img", "imgs", "raw", "raw images", "rawimages", "tissue images"}

#: Files of a prediction: how images were read, and the class of most cells of each image.
RECORD, IMAGE_CLASSES = "cellprep-prediction.json", "cellprep-images.csv"

#: Suffix of the table of the classes of a label image's labels: ``<image>_classes.csv``.
TYPES_END = "_classes.csv"

_FOREIGN = re.compile(
    rf"{re.escape(RECORD)}|{re.escape(IMAGE_CLASSES)}|"
    r"\..*|__macosx|overlays|@eadir|icon\r|(eh)?thumbs(_vista)?\.db|desktop\.ini|(readme|licen[cs]e)(\.(txt|md|rst|html?|pdf))?",
    re.IGNORECASE,
)
_OUTPUT = re.compile(r"predictions(-\d+)?")
_TRUTH = re.compile(r"(\d\d+)_(GT|ST)", re.IGNORECASE)  # truth of sequence 01 in the Cell Tracking Challenge
_TRACKED = re.compile(r"man_seg(\d+)", re.IGNORECASE)  # label image of t<number> in the Cell Tracking Challenge


def is_foreign(name: str) -> bool:
    """Return whether an entry is not data: hidden, created by an operating system, a README, a record, or drawings.

    Examples
    --------
    >>> is_foreign("Thumbs.db"), is_foreign(".DS_Store"), is_foreign("README.txt"), is_foreign("masks.csv")
    (True, True, True, False)
    """
    return _FOREIGN.fullmatch(name) is not None


def is_output(name: str) -> bool:
    """Return whether a folder has the default name of the output of `cellprep predict`, which is not predicted again.

    Examples
    --------
    >>> is_output("predictions"), is_output("predictions-2"), is_output("my predictions")
    (True, True, False)
    """
    return _OUTPUT.fullmatch(name) is not None


def tracked_sequence(name: str) -> tuple[str, str]:
    """Return the sequence of a truth folder in the Cell Tracking Challenge, and its kind; otherwise empty strings.

    Examples
    --------
    >>> tracked_sequence("01_GT"), tracked_sequence("01_st"), tracked_sequence("01")
    (('01', 'GT'), ('01', 'ST'), ('', ''))
    """
    found = _TRUTH.fullmatch(name)
    return (found[1], found[2].upper()) if found else ("", "")


def is_mask_folder(name: str) -> bool:
    """Return whether a folder has a typical name for masks or label images.

    Examples
    --------
    >>> is_mask_folder("Masks"), is_mask_folder("label"), is_mask_folder("train")
    (True, True, False)
    """
    return _plain(name) in _MASK_FOLDERS


def is_image_folder(name: str) -> bool:
    """Return whether a folder has a typical name for images."""
    return _plain(name) in _IMAGE_FOLDERS


def without_mask_end(stem: str) -> str | None:
    """Return the name of the image of a mask by removing its suffix; None if there is no such suffix.

    It is empty if nothing else is left.

    Examples
    --------
    >>> [without_mask_end(name) for name in ("a_Masks", "man_seg012", "mask", "label_a", "a")]
    ['a', 't012', '', None, None]
    """
    if tracked := _TRACKED.fullmatch(stem):
        return f"t{tracked[1]}"
    plain = stem.removesuffix(".ome")
    return "" if f"{plain.lower()}_" in _MASK_STARTS else _without(plain, MASK_ENDS)


def without_mask_start(stem: str) -> str | None:
    """Return the name of the image of a possible mask by removing its prefix; None if there is no such prefix.

    The file is a mask only if this image exists: ``label_free_1`` may be a picture.

    Examples
    --------
    >>> [without_mask_start(name) for name in ("mask_a", "label-free_1", "a")]
    ['a', 'free_1', None]
    """
    return _without(stem.removesuffix(".ome"), (), _MASK_STARTS)


def without_image_end(stem: str) -> str | None:
    """Return an image's name without a prefix or suffix for images; None if there is none.

    Examples
    --------
    >>> [without_image_end(name) for name in ("000_img", "image_000", "image", "a")]
    ['000', '000', '', None]
    """
    return "" if f"{stem.lower()}_" in IMAGE_STARTS else _without(stem, IMAGE_ENDS, IMAGE_STARTS)


def is_by_product(stem: str) -> bool:
    """Return whether Cellpose writes such a file with masks, which is neither image nor mask."""
    return _without(stem, _BY_PRODUCTS) is not None


def outlined_image(name: str) -> str:
    """Return the name of the image of a text file of outlines written by Cellpose; an empty string for other files.

    Examples
    --------
    >>> outlined_image("a_cp_outlines.txt"), outlined_image("a_outlines.TXT"), outlined_image("outlines.txt")
    ('a', 'a', '')
    """
    found = re.fullmatch(r"(.+?)(_cp)?_outlines\.txt", name, re.IGNORECASE)
    return found[1] if found else ""


def _without(stem: str, ends: tuple[str, ...], starts: tuple[str, ...] = ()) -> str | None:
    plain = stem.lower().replace("-", "_")
    if end := next((end for end in ends if plain.endswith(end) and len(plain) > len(end)), None):
        return stem[: -len(end)]
    if start := next((start for start in starts if plain.startswith(start) and len(plain) > len(start)), None):
        return stem[len(start) :]
    return None


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ").strip()
