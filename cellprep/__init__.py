"""Training targets for the Deep Watershed Transform from instance annotations of cells.

The steps for one image are `parse_rle` and `resolve_overlaps` (or `cells_from_labels`), then `compute_targets`.
The steps for a data set are `open_source`, `check_source` and `build_targets`. `open_store` reads a built store,
`describe_store` summarises it, `verify_store` checks it, and `fit_bins` fits energy bins to it. `export_labels` writes
its labels in other formats, `convert` converts any annotations or predictions, and `split_source` makes folds.
`evaluate` scores predicted cells against true ones; `score_image` and `summarise` do so without files.
`preview_store` draws the contents of a store. Modules are loaded on first use, including `cellprep.learn`;
`__init__.pyi` says where each name is defined.
"""

from cellprep.system.starting import begin  # noqa: F401 - before anything that is slow to load

# isort: split
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
