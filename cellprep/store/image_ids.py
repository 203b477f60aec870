"""Valid image ids: the rule shared by readers and the store."""

import unicodedata
import uuid

_LONGEST_ID = 200  # bytes


def composed(name: str) -> str:
    r"""Return a name with composed accents (Unicode NFC), so that names that look the same are equal.

    macOS and some archives decompose file names: there, ü is u followed by two dots, while annotations have one letter.

    Examples
    --------
    >>> composed("zu\u0308ge") == "z\u00fcge"
    True
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def id_problem(image_id: str) -> str | None:
    """Return why an id cannot name an image in a store; None if it can.

    Examples
    --------
    >>> id_problem("0e12")
    >>> id_problem("../train")
    "image id '../train' is refused: it begins with a dot"
    """
    problem = None
    if not image_id:
        return "the image id is empty"
    if image_id.startswith("."):
        problem = "it begins with a dot"
    elif image_id.startswith("__"):
        problem = "it begins with two underscores"
    elif image_id == "zarr.json":
        problem = "that file name is reserved for the store"
    elif "/" in image_id or "\\" in image_id:
        problem = "it contains a slash or backslash"
    elif any(unicodedata.category(char) in ("Cc", "Cs") for char in image_id):
        problem = "it contains a control character or half of a character"
    elif len(image_id.encode()) > _LONGEST_ID:
        problem = f"it is longer than {_LONGEST_ID} bytes"
    return problem and f"image id {image_id!r} is refused: {problem}"


def file_uuid(image_id: str) -> str:
    """Return the UUID of an image's label TIFF, by which cellprep recognises its own files regardless of content.

    Examples
    --------
    >>> file_uuid("a")
    'ee9cb6ba-019c-58a8-bf85-fcd8ba8b0ae2'
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cellprep:{image_id}"))
