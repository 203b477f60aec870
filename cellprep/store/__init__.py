"""The store of targets: nothing outside this package knows how it lies on disk."""

from cellprep.store.reader import SCHEMA_VERSION, Store, StoredImage, open_store
from cellprep.store.summary import Summary
from cellprep.store.writer import ImageContent, StoreWriter, write_image

__all__ = [
    "SCHEMA_VERSION",
    "ImageContent",
    "Store",
    "StoreWriter",
    "StoredImage",
    "Summary",
    "open_store",
    "write_image",
]
