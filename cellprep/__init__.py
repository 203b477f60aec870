"""Training targets for the Deep Watershed Transform from instance annotations of cells.

The steps for one image are `parse_rle` and `resolve_overlaps` (or `cells_from_labels`), then `compute_targets`;
for a whole data set `open_source`, `check_source` and `build_targets`. `open_store` reads what was built,
`describe_store` tells what it holds, `verify_store` whether it is whole, `fit_bins` fits energy bins to it,
`export_labels` gives its labels to other tools, `convert` any annotations or predictions, and `split_source` makes
folds. `evaluate` scores predicted cells against true ones; `score_image` and `summarise` do so without files.
`preview_store` draws what a store holds.
All is loaded when it is first asked for, from where `__init__.pyi` says; `cellprep.learn`, too.
"""

from cellprep.system.starting import begin  # noqa: F401 - before all that takes time to load

# isort: split
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
