"""Reader of folders of label images: next to, above or below their images, or without images."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cellprep.core.rle import Order
from cellprep.errors import SourceError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import FolderSource
from cellprep.formats.images import IMAGE_FORMATS, LABEL_FORMATS
from cellprep.formats.images.file import ImageFile
from cellprep.formats.label_images.class_folders import ClassFoldersImage
from cellprep.formats.label_images.file import LabelFileImage
from cellprep.formats.layouts.groups import Pair
from cellprep.formats.layouts.layout import Layout, listed
from cellprep.formats.layouts.listing import hash_of_listing
from cellprep.formats.names import TYPES_END
from cellprep.store.image_ids import composed, id_problem
from cellprep.text.wording import count, printable


class LabelFolder(FolderSource):
    """Annotations in one label image per image, in one of many layouts.

    ``masks/<id>.*`` next to ``images/<id>.*`` (StarDist), or in a subfolder of the images; ``<id>_masks.*``,
    ``mask_<id>.*`` and similar names next to ``<id>.*`` (Cellpose); ``mask.*`` next to ``image.*`` in a folder called
    ``<id>``; any of these in subfolders; or label images without images, which may be elsewhere.
    `cellprep.formats.names` has all names. If images of several folders have the same name, the names of their folders
    are prepended: ``train_a``.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    SourceError
        If the folder cannot be read, or contains no label image.
    """

    format = "label-folder"
    has_numbers = True

    def __init__(self, path: Path, _order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        layout = layout or Layout(path)
        pairs = layout.pairs()
        self._pairs: dict[str, Pair] = {}
        for image_id, (group, pair) in zip(layout.ids(pairs), pairs, strict=True):
            if pair.masks:
                known = self._pairs.setdefault(image_id, Pair(image_id))
                known.masks += pair.masks
                known.images += pair.images
            else:
                self.unannotated += ["/".join([*group.parts, file.name]) for file in pair.images]
        self._pairs = dict(sorted(self._pairs.items()))
        problem = layout.problem()
        if problem or not self._pairs:
            folders = [str(folder) for group in layout.groups for folder in group.mask_folders]
            nothing = f"{listed(folders) or path} contains no label image ({', '.join(LABEL_FORMATS)})"
            raise SourceError(problem or nothing)
        self._image_folders = [str(folder) for group in layout.groups for folder in group.image_folders]
        self._files = {composed(file.stem): file for group in layout.groups for file in group.images}
        self._layout = layout
        self._classes: dict[str, dict[str, Path]] = {}
        self._types = {file for group in layout.groups for file in group.types}
        self.notes = layout.notes()
        self.sha256 = hash_of_listing([file for pair in self._pairs.values() for file in pair.masks], path)

    def take_folders_as_classes(self) -> None:
        """Treat the folders of label images as classes: an image has the cells of all files with its name.

        Raises
        ------
        SourceError
            If a label image is not in a folder of a class, or a folder contains two label images of an image.
        """
        pairs = self._layout.pairs()
        images = {pair.id: pair.images for _, pair in pairs if pair.images}
        files: dict[str, dict[str, Path]] = defaultdict(dict)
        for group, pair in pairs:
            for mask in pair.masks:
                name = group.parts[-1] if group.parts else ""
                if not name or name in files[pair.id]:
                    problem = (
                        f"is a second label image of {pair.id} in {name}" if name else "is not in the folder of a class"
                    )
                    raise SourceError(
                        f"{mask} {problem}: each class needs a folder with one label image per image, <class>/<id>.*"
                    )
                files[pair.id][name] = mask
        self._classes = {image_id: files[image_id] for image_id in sorted(files)}
        self._pairs = {
            name: Pair(name, [*found.values()], images.get(name, [])) for name, found in self._classes.items()
        }
        self.unannotated = [str(file) for name, found in images.items() if name not in self._pairs for file in found]
        every = sorted({name for found in self._classes.values() for name in found})
        self.notes = [f"folders as classes: {', '.join(map(printable, every))}"]
        for name in every:
            if missing := sum(name not in found for found in self._classes.values()):
                self.notes.append(f"note: {count(missing, 'image')} without a label image of {printable(name)}")

    @classmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether a folder contains label images."""
        return layout.has_labels

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, sorted."""
        return list(self._pairs)

    @property
    def has_pixels(self) -> bool:
        """True if there are images with the label images."""
        return bool(self._image_folders) or any(pair.images for pair in self._pairs.values())

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, pair in self._pairs.items():
            if problem := id_problem(image_id):
                yield FaultyImage(image_id, f"{pair.masks[0]}: {problem}")
            elif image_id in self._classes:
                yield ClassFoldersImage(
                    image_id=image_id,
                    source=self.name,
                    files=tuple(sorted(self._classes[image_id].items())),
                    components=self.components,
                    pixels=ImageFile(pair.images[0]) if len(pair.images) == 1 else None,
                )
            elif problem := self._problem(pair):
                yield FaultyImage(image_id, problem)
            else:
                pixels = ImageFile(pair.images[0]) if pair.images else None
                types = pair.masks[0].with_name(f"{pair.masks[0].stem}{TYPES_END}")
                yield LabelFileImage(
                    image_id=image_id,
                    source=self.name,
                    path=pair.masks[0],
                    pixels=pixels,
                    may_be_picture=self.is_chosen,
                    components=self.components,
                    types=types if types in self._types and not self.components else None,
                )

    def _problem(self, pair: Pair) -> str:
        for what, files in (("label images", pair.masks), ("image files", pair.images)):
            if len(files) > 1:
                return f"several {what} have this id: {', '.join(map(str, files))}; keep one"
        if pair.images or not self.has_pixels:
            return ""
        ends = ", ".join(IMAGE_FORMATS)
        if unreadable := self._files.get(pair.id) or self._files.get(composed(pair.masks[0].stem)):
            problem = f"{unreadable} is not a supported image ({ends}): export it as TIFF, for example with Fiji"
            return ImageFile(unreadable).format_problem() or problem
        return f"there is no image file {pair.id}.* in {listed(self._image_folders) or self.path} ({ends})"
