"""The losses against slow loops that follow their formulas."""

import math

import numpy as np
import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from cellprep.learn import direction_loss, energy_loss, semseg_loss  # noqa: E402

few = settings(max_examples=examples(25))


@st.composite
def batches(draw, classes=None):
    """A small batch as numpy arrays; some pixels do not count, and some have no vector."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, h, w = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    levels = classes or draw(st.integers(2, 7))
    angle = rng.uniform(-math.pi, math.pi, (2, n, h, w))
    target = np.stack([np.sin(angle[0]), np.cos(angle[0])], 1) * (rng.random((n, 1, h, w)) < 0.8)
    return {
        "predicted": np.stack([np.sin(angle[1]), np.cos(angle[1])], 1),
        "uvec": target,
        "logits": rng.normal(0, draw(st.sampled_from([0.1, 1, 10])), (n, levels, h, w)),
        "level": rng.integers(0, levels, (n, h, w)),
        "area": rng.integers(1, 5000, (n, h, w)).astype(float),
        "counts": rng.random((n, h, w)) < draw(st.sampled_from([0, 0.5, 1])),
    }


def tensors(batch, *names):
    return [torch.tensor(batch[name]) for name in names]


def direction_reference(batch):
    total = weights = 0.0
    for n, y, x in zip(*np.nonzero(batch["counts"]), strict=True):
        p, t = batch["predicted"][n, :, y, x], batch["uvec"][n, :, y, x]
        if t.any():
            weight = 1 / math.sqrt(batch["area"][n, y, x])
            total += weight * math.acos(np.clip(p @ t, -1, 1)) ** 2
            weights += weight
    return total / weights if weights else 0.0


def softmax(z):
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def energy_reference(batch):
    total = weights = 0.0
    for n, y, x in zip(*np.nonzero(batch["counts"]), strict=True):
        p = softmax(batch["logits"][n, :, y, x])
        weight = 1 / math.sqrt(batch["area"][n, y, x])
        for k in range(len(p)):
            c = [3, 3, 3, 2][k] if k < 4 else 1
            hit = k == batch["level"][n, y, x]
            total -= weight * c * math.log(p[k] if hit else np.delete(p, k).sum())
        weights += weight
    return total / weights if weights else 0.0


def semseg_reference(batch):
    entropy, weights, dice = [], [], []
    for n, y, x in zip(*np.nonzero(batch["counts"]), strict=True):
        entropy.append(-math.log(softmax(batch["logits"][n, :, y, x])[batch["level"][n, y, x]]))
        weights.append([1, 5, 1][batch["level"][n, y, x]])
    for k in range(3):
        both = either = present = 0.0
        for n, y, x in zip(*np.nonzero(batch["counts"]), strict=True):
            p, t = softmax(batch["logits"][n, :, y, x])[k], batch["level"][n, y, x] == k
            both, either, present = both + p * t, either + p + t, present + t
        if present:
            dice.append(1 - 2 * both / either)
    return np.average(entropy, weights=weights) + np.mean(dice) if entropy else 0.0


@few
@given(batches())
def test_direction_loss_is_its_formula(batch):
    found = direction_loss(*tensors(batch, "predicted", "uvec", "area", "counts")).item()
    assert found == pytest.approx(direction_reference(batch), rel=1e-6, abs=1e-9)


@few
@given(batches())
def test_energy_loss_is_its_formula(batch):
    found = energy_loss(*tensors(batch, "logits", "level", "area", "counts")).item()
    assert found == pytest.approx(energy_reference(batch), rel=1e-6, abs=1e-9)


@few
@given(batches(classes=3))
def test_semseg_loss_is_its_formula(batch):
    found = semseg_loss(*tensors(batch, "logits", "level", "counts")).item()
    assert found == pytest.approx(semseg_reference(batch), rel=1e-6, abs=1e-9)


@pytest.fixture
def batch():
    rng = np.random.default_rng(3)
    angle = rng.uniform(-math.pi, math.pi, (2, 2, 3, 3))
    return {
        "predicted": 0.8 * np.stack([np.sin(angle[0]), np.cos(angle[0])], 1),
        "uvec": np.stack([np.sin(angle[1]), np.cos(angle[1])], 1),
        "logits": rng.normal(0, 2, (2, 3, 3, 3)),
        "level": rng.integers(0, 3, (2, 3, 3)),
        "area": rng.integers(1, 5000, (2, 3, 3)).astype(float),
        "counts": rng.random((2, 3, 3)) < 0.7,
    }


ARGUMENTS = {
    direction_loss: ("predicted", "uvec", "area", "counts"),
    energy_loss: ("logits", "level", "area", "counts"),
    semseg_loss: ("logits", "level", "counts"),
}
losses = pytest.mark.parametrize("loss", ARGUMENTS, ids=lambda loss: loss.__name__)


@losses
def test_gradients_are_those_of_the_value(batch, loss):
    given, *others = (tensor[..., :2, :2] for tensor in tensors(batch, *ARGUMENTS[loss]))
    assert torch.autograd.gradcheck(lambda values: loss(values, *others), given.clone().requires_grad_())


@losses
def test_is_zero_with_zero_gradient_where_nothing_counts(batch, loss):
    given, *others, counts = tensors(batch, *ARGUMENTS[loss])
    value = loss(given.requires_grad_(), *others, torch.zeros_like(counts))
    value.backward()
    assert value.item() == 0
    assert not given.grad.any()


@losses
def test_pixels_that_do_not_count_change_nothing(batch, loss):
    given, *others, counts = tensors(batch, *ARGUMENTS[loss])
    changed = torch.where(counts[:, None], given, 7 * given + 1).requires_grad_()
    emptied = [torch.where(counts, other, 0) if other.ndim == 3 else other for other in others]
    value = loss(changed, *emptied, counts)
    value.backward()
    assert value.item() == pytest.approx(loss(given, *others, counts).item())
    assert torch.isfinite(changed.grad).all()
    assert not changed.grad.movedim(1, -1)[~counts].any()


@pytest.mark.parametrize("loss", [direction_loss, energy_loss])
def test_a_batch_is_the_mean_of_all_its_pixels(batch, loss):
    """Not of its images: one with few counted pixels has little to say."""
    given = tensors(batch, *ARGUMENTS[loss])
    weights = (given[3] / given[2].sqrt()).sum((1, 2))
    alone = torch.stack([loss(*(tensor[n : n + 1] for tensor in given)) for n in range(2)])
    assert loss(*given).item() == pytest.approx(((weights * alone).sum() / weights.sum()).item())
    assert weights[0].item() != pytest.approx(weights[1].item())


@losses
def test_is_computed_in_float32_under_autocast(batch, loss):
    given, *others = tensors(batch, *ARGUMENTS[loss])
    half, others = given.bfloat16(), [other.float() if other.is_floating_point() else other for other in others]
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half, *others)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(half.double(), *others).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("predicted", "degrees"),
    [((1, 0), 0), ((-1, 0), 180), ((0, 1), 90), ((0, -1), 90), ((3, 3), 45), ((0, 0), 90), ((1e-30, 0), 90)],
)
def test_direction_loss_has_finite_gradients_at_every_angle(predicted, degrees):
    given = torch.tensor(predicted, dtype=torch.float32).reshape(1, 2, 1, 1).requires_grad_()
    target = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    one = torch.ones(1, 1, 1)
    value = direction_loss(given, target, one, one.bool())
    value.backward()
    assert value.item() == pytest.approx(math.radians(degrees) ** 2, rel=1e-6)
    assert torch.isfinite(given.grad).all()


@pytest.mark.parametrize("sure", [0, 20, 100, 1e4])
@pytest.mark.parametrize("level", [0, 1, 4])
def test_energy_loss_is_exact_for_very_sure_networks(sure, level):
    """Of level 0 the network is sure; in float32 its softmax is then 1, and 1 minus it nothing."""
    logits = torch.zeros(1, 5, 1, 1)
    logits[0, 0] = sure
    one = torch.ones(1, 1, 1)
    found = energy_loss(logits.requires_grad_(), torch.full((1, 1, 1), level), one, one.bool())
    found.backward()
    log_sum = sure + math.log1p(4 * math.exp(-sure))
    log_yes = [sure - log_sum] + [-log_sum] * 4
    log_no = [math.log(4) - log_sum] + [math.log1p(-math.exp(-log_sum))] * 4
    terms = [c * (log_yes if k == level else log_no)[k] for k, c in enumerate([3, 3, 3, 2, 1])]
    assert found.item() == pytest.approx(-sum(terms), rel=1e-5, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_small_cells_have_more_weight():
    uvec = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).T.reshape(1, 2, 1, 2)
    predicted = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).T.reshape(1, 2, 1, 2)
    right_small, right_large = torch.tensor([[[[16.0, 400.0]]], [[[400.0, 16.0]]]])
    all_count = torch.ones(1, 1, 2).bool()
    quarter = (math.pi / 2) ** 2
    assert direction_loss(predicted, uvec, right_small, all_count).item() == pytest.approx(quarter * 4 / 24)
    assert direction_loss(predicted, uvec, right_large, all_count).item() == pytest.approx(quarter * 20 / 24)


def test_vectors_that_are_no_numbers_are_seen_in_the_loss():
    up = torch.tensor([-1.0, 0.0]).reshape(1, 2, 1, 1)
    one = torch.ones(1, 1, 1)
    assert torch.isnan(direction_loss(up * torch.nan, up, one, one.bool()))
