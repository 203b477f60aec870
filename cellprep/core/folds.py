"""Folds for cross-validation: images distributed evenly, with related images kept together."""

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError

_MOST_QUANTILES = 4


def check_folds(folds: int) -> None:
    """Refuse an invalid number of folds.

    Raises
    ------
    UsageError
        If it is below 2.
    """
    if folds < 2:
        raise UsageError(f"cannot make {folds} folds: give 2 or more")


def strata_of(types: NDArray[np.int64], cells: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Divide images into strata: by type, and within each type by number of cells.

    Parameters
    ----------
    types
        (n,) int64: the type of each image.
    cells
        (n,) int64: number of cells of each image.
    folds
        Number of folds that each stratum will be distributed to.

    Returns
    -------
    ndarray
        (n,) int64 from 0. Each type is divided at its quartiles, or into fewer strata if they would contain fewer
        images than folds. Images with equal numbers of cells stay together.

    Examples
    --------
    >>> strata_of(np.array([0, 0, 0, 0, 1]), np.array([9, 2, 3, 8, 5]), folds=2)
    array([1, 0, 0, 1, 2])
    """
    pairs = np.zeros((len(types), 2), np.int64)
    for kind in np.unique(types):
        members = np.flatnonzero(types == kind)
        parts = int(np.clip(len(members) // folds, 1, _MOST_QUANTILES))
        cuts = np.quantile(cells[members], np.arange(1, parts) / parts)
        pairs[members] = np.stack([types[members], np.searchsorted(cuts, cells[members])], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def assign_folds(classes: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign images to folds so that each fold has its share of every class, and no group is split.

    Groups are assigned one by one, the largest first and ties in random order. Each goes to the fold with the smallest
    share of its classes, which minimises the variance of the shares between folds. Without groups, folds differ by at
    most one image in each class of the first column.

    Parameters
    ----------
    classes
        (n, c) int64 from 0: the class of each image by c criteria, the most important first; later ones resolve ties.
        Remaining ties are resolved by the number of images.
    groups
        (n,) int64: the group of each image.
    folds
        Number of folds, at least 2.
    seed
        Seed of the random order, from 0.

    Returns
    -------
    ndarray
        (n,) int64: the fold of each image, from 0. No fold is empty.

    Raises
    ------
    UsageError
        If there are fewer groups than folds, or fewer than 2 folds.

    Notes
    -----
    The greedy method is that of scikit-learn's ``StratifiedGroupKFold``
    (https://scikit-learn.org/stable/modules/generated/sklearn.model_selection.StratifiedGroupKFold.html), with two
    changes: it minimises the variance instead of the mean standard deviation, which needs only one matrix product, and
    it resolves ties.

    Examples
    --------
    >>> assign_folds(np.array([[0], [0], [1], [1]]), np.array([0, 1, 2, 3]), folds=2)
    array([1, 0, 0, 1])
    >>> assign_folds(np.array([[0], [0], [1], [1]]), np.array([0, 1, 0, 1]), folds=2)
    array([0, 1, 0, 1])
    """
    check_folds(folds)
    names, places = np.unique(groups, return_inverse=True)
    if len(names) < folds:
        raise UsageError(f"{folds} folds need {folds} groups of images, but there are {len(names)}: give fewer folds")
    criteria = [_per_group(column, places, len(names)) for column in (*classes.T, np.zeros_like(groups))]
    weights = [counts / counts.sum(axis=0) ** 2 for counts in criteria]
    fold_of = np.zeros(len(names), np.int64)
    held = [np.zeros((folds, counts.shape[1]), np.int64) for counts in criteria]
    for group in _order(criteria[0], seed):
        # Rounded, so that ties do not depend on the machine.
        costs = [np.round((sums * weight[group]).sum(axis=1), 12) for sums, weight in zip(held, weights, strict=True)]
        fold = fold_of[group] = np.lexsort(costs[::-1])[0]
        for sums, counts in zip(held, criteria, strict=True):
            sums[fold] += counts[group]
    return fold_of[places]


def _per_group(classes: NDArray[np.int64], groups: NDArray[np.intp], number: int) -> NDArray[np.int64]:
    """Return the number of images of each class in each group: (groups, classes)."""
    values, places = np.unique(classes, return_inverse=True)
    counts = np.zeros((number, len(values)), np.int64)
    np.add.at(counts, (groups, places), 1)
    return counts


def _order(counts: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
    """Return the groups in order of assignment."""
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    weight = (counts**2).sum(axis=1)
    return shuffled[np.argsort(-weight[shuffled], kind="stable")]
