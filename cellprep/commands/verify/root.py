"""Whether what a store says of itself is true."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cellprep.store.documents import CHECKSUM, group_document, guarded_document
from cellprep.store.reader import read_attributes
from cellprep.store.summary import is_summary
from cellprep.system.files import read_file

_FORMS: dict[str, type] = {"version": str, "recipe": dict, "source": dict}
_KEYS = {*_FORMS, "schema_version", "excluded", "summary", CHECKSUM}


def root_faults(store: Path, counted: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a store's own metadata.

    Parameters
    ----------
    store
        The store's folder.
    counted
        What a summary of its images counts, as far as that is known.
    """
    attributes = read_attributes(store)
    write = guarded_document if CHECKSUM in attributes else group_document
    if read_file(store / "zarr.json") != write({"cellprep": attributes}):
        yield "its zarr.json is not as cellprep wrote it"
    if unknown := sorted(attributes.keys() - _KEYS):
        yield f"its zarr.json has {unknown[0]!r}, which cellprep does not write"
    for key, form in _FORMS.items():
        if not isinstance(attributes.get(key), form):
            yield f"its zarr.json does not tell its {key}: cellprep build-targets writes it"
    if "summary" in attributes:
        yield from _summary_faults(attributes["summary"], counted)


def _summary_faults(told: Any, counted: dict[str, Any]) -> Iterator[str]:
    if not is_summary(told):
        yield "its summary is damaged"
    elif told["source_images_stored"] > min(told["source_images"], told["images"]):
        yield "its summary counts more images of the source than there are"
    else:
        for name, value in counted.items():
            if told[name] != value:
                yield f"its summary is not true: `{name}` is {told[name]} where the images say {value}"
