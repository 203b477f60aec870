"""Writing the arrays of a huge image block by block, so that no array is ever in memory as a whole."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from cellprep.core.windows import Window, within
from cellprep.store.arrays import array_path, begin_array, file_regions, make_folders
from cellprep.store.documents import chunk_shapes, spatial_axis
from cellprep.store.shards import Shape, encode_chunks, join_chunks
from cellprep.system.progress import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

FileGroup = tuple[tuple[Path, Window], ...]  # one file of each array, and the part of the array in it
Chunks = dict[str, dict[Shape, bytes]]  # by array name, and by position in the file

_CHUNKS_A_SIDE = 2  # chunks along each side of a block


class ArrayForm(NamedTuple):
    """Shape and dtype of an array that is written block by block."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Blocks:
    """Source of the values of huge arrays.

    Attributes
    ----------
    compute
        Takes rows and columns of the image, and returns that part of every array by name. It is called from several
        threads.
    threads
        Number of threads.
    title
        Name of the image in the progress bar; no bar is shown without one.
    """

    compute: Callable[[slice, slice], dict[str, NDArray[Any]]]
    threads: int
    title: str = ""


def write_blocks(folder: Path, forms: dict[str, ArrayForm], blocks: Blocks) -> int:
    """Write the huge arrays of an image into its folder, and return the size of their chunks in bytes.

    The files are the same as those of `write_array`.

    Parameters
    ----------
    folder
        The image's folder.
    forms
        Shape and dtype by array name.
    blocks
        Source of the values.
    """
    for name, form in forms.items():
        begin_array(folder / array_path(name), name, form.shape, form.dtype)
    files = [file_regions(folder / array_path(name), name, form.shape) for name, form in forms.items()]
    groups: list[FileGroup] = list(zip(*files, strict=True))
    size = 0
    with ThreadPoolExecutor(blocks.threads) as pool, _bar(blocks.title, len(groups)) as bar:
        try:
            for group, chunks in _one_ahead(pool, forms, blocks, groups):
                for (path, _), (name, form) in zip(group, forms.items(), strict=True):
                    make_folders(path, folder / array_path(name))
                    size += path.write_bytes(join_chunks(chunks[name], *_file_and_chunk(name, form)))
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)
    return size


def _bar(title: str, total: int) -> "tqdm[Any]":
    """Return a progress bar below the bar of all images."""
    return progress_bar(total, "part", quiet=not title, desc=title, position=1, leave=False)


def _one_ahead(
    pool: ThreadPoolExecutor, forms: dict[str, ArrayForm], blocks: Blocks, groups: Iterable[FileGroup]
) -> Iterator[tuple[FileGroup, Chunks]]:
    """Yield the files of the same part of each array, with their chunks, while the next ones are computed."""
    waiting: list[tuple[FileGroup, list[Future[Chunks]]]] = []
    for group in groups:
        waiting.append((group, [pool.submit(_make, blocks, forms, *block) for block in _blocks(forms, group)]))
        if len(waiting) > 1:
            yield _made(*waiting.pop(0))
    for last in waiting:
        yield _made(*last)


def _made(group: FileGroup, blocks: list[Future[Chunks]]) -> tuple[FileGroup, Chunks]:
    made: Chunks = {}
    for block in blocks:
        for name, chunks in block.result().items():
            made.setdefault(name, {}).update(chunks)
    return group, made


def _blocks(forms: dict[str, ArrayForm], group: FileGroup) -> Iterator[tuple[Window, Window]]:
    """Yield the rows and columns of each block of a group of files, in the image and relative to the files."""
    name, form = next(iter(forms.items()))
    axis = spatial_axis(name, form.shape)
    part = group[0][1][axis : axis + 2]
    side = _CHUNKS_A_SIDE * _file_and_chunk(name, form)[1][axis]
    steps = [range(along.start, along.stop, side) for along in part]
    for top, left in product(*steps):
        block = (slice(top, min(top + side, part[0].stop)), slice(left, min(left + side, part[1].stop)))
        yield block, within(block, part)


def _make(blocks: Blocks, forms: dict[str, ArrayForm], block: Window, in_file: Window) -> Chunks:
    arrays = blocks.compute(*block)
    made: Chunks = {}
    for name, form in forms.items():
        file, chunk = _file_and_chunk(name, form)
        axis = spatial_axis(name, form.shape)
        shift = [0] * len(form.shape)
        shift[axis : axis + 2] = [along.start // chunk[axis] for along in in_file]
        chunks = encode_chunks(arrays.pop(name), file, chunk)
        made[name] = {tuple(map(add, place, shift)): content for place, content in chunks.items()}
    return made


def _file_and_chunk(name: str, form: ArrayForm) -> tuple[Shape, Shape]:
    file, chunk = chunk_shapes(name, form.shape)
    assert chunk, "only huge arrays are written in blocks"
    return file, chunk
