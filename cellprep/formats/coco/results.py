"""Reader of COCO results: predicted cells with scores, for images listed in another COCO file."""

import codecs
import hashlib
from pathlib import Path

from cellprep.errors import SourceError
from cellprep.formats.annotations.documents import read
from cellprep.formats.annotations.source import Source
from cellprep.formats.coco.document import AnnotationEntry, Document
from cellprep.formats.coco.loose import parse_results
from cellprep.formats.coco.reader import COCOJSON
from cellprep.system.files import open_file


class COCOResults(COCOJSON):
    """Predicted cells in a file of COCO results. A cell's row is its position in the file, from 1.

    Parameters
    ----------
    path
        The file: a list of cells, each with ``image_id``, ``category_id``, ``segmentation`` and ``score``.
    truth
        The COCO file that lists the images and categories.

    Raises
    ------
    SourceError
        If the file cannot be read or is not a file of COCO results; or if `truth` is not a COCO file.
    """

    def __init__(self, path: Path, truth: Source) -> None:
        Source.__init__(self, path)
        if not isinstance(truth, COCOJSON):
            raise SourceError(
                f"{path} has COCO results, which refer to images by the ids of a COCO JSON: give that as the truth, "
                f"not {truth.name}, of the format {truth.format}"
            )
        content = read(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._crowds = None
        entries = [
            AnnotationEntry(row, result.image_id, result.category_id, 0, result.segmentation, result.score)
            for row, result in enumerate(parse_results(content, path), start=1)
        ]
        known = truth.document
        self._take(Document(known.images, entries, known.categories, known.image_problems))


def is_coco_results(path: Path) -> bool:
    """Return whether a file looks like COCO results: a list, whereas a COCO file is an object."""
    try:
        if not COCOJSON.recognises(path):
            return False
        with open_file(path) as file:
            return file.read(100).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
