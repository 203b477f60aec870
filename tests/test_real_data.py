"""Real images against the slow reference: exact equality."""

import numpy as np
import pytest
import reference
from conftest import THOROUGH
from joblib import Parallel, delayed

from cellprep import PUBLISHED_BINS, Recipe, compute_targets, open_source, resolve_overlaps


def differences(image, rule, width):
    """Names of what differs between the package and the reference."""
    runs = image.load().runs
    stack = np.stack([reference.decode(text, runs.shape, "row") for text in image.masks])
    cells = resolve_overlaps(runs, rule)
    targets = compute_targets(cells, Recipe(overlap=rule, wall_width=width))
    expected = {
        "semseg": reference.semseg(stack, runs.shape, rule, width),
        "area": reference.area(stack, runs.shape, rule),
        "labels": reference.labels(stack, runs.shape, rule),
    }
    found = {**targets, "labels": cells.labels}
    wrong = [name for name, array in expected.items() if not np.array_equal(found[name], array)]
    levels = np.digitize(targets["distance"].astype(np.float64) + 1e-5, np.array(PUBLISHED_BINS))
    return wrong + (["energy"] if not np.array_equal(levels, targets["energy"]) else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "width", "every"),
    [("smaller-on-top", 3, 6), ("smaller-on-top", 5, 16), ("later-on-top", 3, 16), ("background", 3, 16)],
)
def test_equal_to_the_authors_loop(sartorius, rule, width, every):
    images = list(open_source(sartorius).images())
    assert len(images) == 256
    images = images[:: every if THOROUGH else 3 * every]  # of each cell type
    wrong = Parallel(n_jobs=2)(delayed(differences)(image, rule, width) for image in images)
    assert not {image.image_id: names for image, names in zip(images, wrong, strict=True) if names}


@pytest.mark.slow
def test_vectors_of_a_real_image(sartorius):
    image = next(iter(open_source(sartorius).images()))
    targets = compute_targets(resolve_overlaps(image.load().runs))
    vectors = reference.unit_vectors(targets["distance"])
    vectors[targets["semseg"][..., 2] == 1] = 0
    np.testing.assert_array_equal(targets["uvec"], vectors)
