"""Names of a COCO file's images: file names, with folders and extensions only where needed to distinguish them."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from cellprep.formats.coco.document import ImageEntry
from cellprep.store.image_ids import composed


def names_of(images: Sequence[ImageEntry]) -> list[str]:
    """Return a name for each image.

    The name is that of the file without folders and extension, or the image's id if there is no file name. Equal names
    are extended by their folders, otherwise by their extensions; names that are still equal stay short.

    Examples
    --------
    >>> names_of([ImageEntry(1, "a.png"), ImageEntry(2, "x/a.png"), ImageEntry(3, "b.png"), ImageEntry(4, "b.tif")])
    ['a', 'x_a', 'b.png', 'b.tif']
    """
    names = [_short(image) for image in images]
    alike = defaultdict(list)
    for place, name in enumerate(names):
        alike[name].append(place)
    taken = Counter(names)
    for places in alike.values():
        for longer in (_with_folders, _with_ending) if len(places) > 1 else ():
            found = [longer(images[place]) for place in places]
            if len(set(found)) == len(found) and all(taken[name] == 0 or name == names[places[0]] for name in found):
                for place, name in zip(places, found, strict=True):
                    names[place] = name
                    taken[name] += 1
                break
    return names


def _parts(image: ImageEntry) -> list[str]:
    parts = re.split(r"[/\\]", composed(image.file_name))
    return [*(part for part in parts[:-1] if part not in ("", ".", "..")), parts[-1]]


def _short(image: ImageEntry) -> str:
    name = _parts(image)[-1]
    return name.rpartition(".")[0] or name or composed(str(image.id))


def _with_folders(image: ImageEntry) -> str:
    return "_".join([*_parts(image)[:-1], _short(image)])


def _with_ending(image: ImageEntry) -> str:
    return _parts(image)[-1]
