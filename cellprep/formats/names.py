"""The table of names of files and folders: which hold images, which hold masks, and which are not data."""

import re

#: What the names of label images and masks end with, before the file's ending; longer ones first.
MASK_ENDS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg")

# What they begin with instead, or are called altogether: ``mask_<id>``, or ``mask`` in a folder of the image's name.
_MASK_STARTS = ("masks_", "mask_", "labels_", "label_")

#: What the names of images may end with where masks lie beside them.
IMAGE_ENDS = ("_image", "_img", ".ome")

#: What they may begin with, or be called altogether.
IMAGE_STARTS = ("image_", "img_")

# What Cellpose writes beside masks.
_BY_PRODUCTS = ("_flows", "_cp_flows", "_cp_output", "_cp_outlines", "_outlines")

# Folders, without regard to case, and with "_" and "-" as blanks.
_MASK_FOLDERS = {"mask", "masks", "label", "labels", "label masks", "ground truth", "groundtruth", "gt"}
_IMAGE_FOLDERS = {"image", "images", "img", "imgs", "raw", "raw images", "rawimages", "tissue images"}

#: The files in which predictions tell how images were read, and of which class most cells of each are.
RECORD, IMAGE_CLASSES = "cellprep-prediction.json", "cellprep-images.csv"

#: How the name of the table ends that says of which class each label of a label image is: ``<image>_classes.csv``.
TYPES_END = "_classes.csv"

_FOREIGN = re.compile(
    rf"{re.escape(RECORD)}|{re.escape(IMAGE_CLASSES)}|"
    r"\..*|__macosx|overlays|@eadir|icon\r|(eh)?thumbs(_vista)?\.db|desktop\.ini|(readme|licen[cs]e)(\.(txt|md|rst|html?|pdf))?",
    re.IGNORECASE,
)
_OUTPUT = re.compile(r"predictions(-\d+)?")
_TRUTH = re.compile(r"(\d\d+)_(GT|ST)", re.IGNORECASE)  # the Cell Tracking Challenge's, of sequence 01
_TRACKED = re.compile(r"man_seg(\d+)", re.IGNORECASE)  # the Cell Tracking Challenge's, of the image t<number>


def is_foreign(name: str) -> bool:
    """Return whether a file or folder is no part of any data: hidden, a system's own, a README, a record, or drawings.

    Examples
    --------
    >>> is_foreign("Thumbs.db"), is_foreign(".DS_Store"), is_foreign("README.txt"), is_foreign("masks.csv")
    (True, True, True, False)
    """
    return _FOREIGN.fullmatch(name) is not None


def is_output(name: str) -> bool:
    """Return whether a folder is called as `cellprep predict` calls its own by default: nothing to predict again.

    Examples
    --------
    >>> is_output("predictions"), is_output("predictions-2"), is_output("my predictions")
    (True, True, False)
    """
    return _OUTPUT.fullmatch(name) is not None


def tracked_sequence(name: str) -> tuple[str, str]:
    """Return the sequence whose truth is in a folder of the Cell Tracking Challenge, and which; else empty texts.

    Examples
    --------
    >>> tracked_sequence("01_GT"), tracked_sequence("01_st"), tracked_sequence("01")
    (('01', 'GT'), ('01', 'ST'), ('', ''))
    """
    found = _TRUTH.fullmatch(name)
    return (found[1], found[2].upper()) if found else ("", "")


def is_mask_folder(name: str) -> bool:
    """Return whether a folder is called as those of masks or label images are.

    Examples
    --------
    >>> is_mask_folder("Masks"), is_mask_folder("label"), is_mask_folder("train")
    (True, True, False)
    """
    return _plain(name) in _MASK_FOLDERS


def is_image_folder(name: str) -> bool:
    """Return whether a folder is called as those of images are."""
    return _plain(name) in _IMAGE_FOLDERS


def without_mask_end(stem: str) -> str | None:
    """Return the name of the image whose mask a file is by its name; None if the name says no such thing.

    It is empty if the file is called a mask and nothing else.

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
    """Return the name of the image whose mask a file may be by the start of its name; None if it has no such start.

    It is a mask only if there is this image: ``label_free_1`` may be a picture.

    Examples
    --------
    >>> [without_mask_start(name) for name in ("mask_a", "label-free_1", "a")]
    ['a', 'free_1', None]
    """
    return _without(stem.removesuffix(".ome"), (), _MASK_STARTS)


def without_image_end(stem: str) -> str | None:
    """Return an image's name without what only says that it is an image; None if its name does not say so.

    Examples
    --------
    >>> [without_image_end(name) for name in ("000_img", "image_000", "image", "a")]
    ['000', '000', '', None]
    """
    return "" if f"{stem.lower()}_" in IMAGE_STARTS else _without(stem, IMAGE_ENDS, IMAGE_STARTS)


def is_by_product(stem: str) -> bool:
    """Return whether a file is one of those that Cellpose writes beside masks, and that are neither image nor mask."""
    return _without(stem, _BY_PRODUCTS) is not None


def outlined_image(name: str) -> str:
    """Return the name of the image whose outlines Cellpose wrote into a text; empty text if a file is none.

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
