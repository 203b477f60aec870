"""The store of targets. Its layout on disk is private to this package."""

from cellprep.store.image import StoredImage
from cellprep.store.reader import SCHEMA_VERSION, Store, StoreLike, as_store, open_store, store_place
from cellprep.store.summary import Summary
from cellprep.store.writer import ImageContent, StoreWriter, write_image

__all__ = [
    "SCHEMA_VERSION",
    "ImageContent",
    "Store",
    "StoreLike",
    "StoreWriter",
    "StoredImage",
    "Summary",
    "as_store",
    "open_store",
    "store_place",
    "write_image",
]
