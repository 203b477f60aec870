"""The networks: inputs, outputs and initialisation."""

import math
import pickle
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cellprep import learn
from cellprep.errors import UsageError, WeightsError
from cellprep.learn.networks import NETWORKS, NetworkSettings

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402

from cellprep.learn import build_network, direction_loss, energy_loss, load_vgg16, semseg_loss  # noqa: E402
from cellprep.learn.networks.batch_norm import BatchNorm2d  # noqa: E402
from cellprep.learn.networks.dn import MASK_VALUE  # noqa: E402
from cellprep.learn.networks.layers import Upsampling, initialise, unit_length  # noqa: E402
from cellprep.learn.networks.network import empty_network  # noqa: E402
from cellprep.learn.networks.shapes import describe_layers, layer_table  # noqa: E402
from cellprep.learn.processes import Processes  # noqa: E402

KINDS = [(name, arch) for name, kind in NETWORKS.items() for arch in kind.architectures]
kinds = pytest.mark.parametrize(("name", "arch"), KINDS, ids=[f"{name}-{arch}" for name, arch in KINDS])
masked_bodies = pytest.mark.parametrize("arch", NETWORKS["dn"].architectures)


def small(name, arch="", **settings):
    return NetworkSettings(name, arch, **{"base_channels": 2, **settings})


def given_to(settings, n=2, height=32, width=48, seed=0):
    """Random input: an image, a mask of a disc, unit vectors, as the network takes them."""
    random = torch.Generator().manual_seed(seed)
    image = torch.randn(n, settings.image_channels, height, width, generator=random)
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    mask = ((y**2 + x**2) < (height / 3) ** 2).float().expand(n, 1, height, width)
    uvec = unit_length(torch.randn(n, 2, height, width, generator=random))
    return {"semseg": (image,), "dn": (image, mask), "wtn": (uvec,), "wn": (image, mask)}[settings.name]


def without_dropout(network):
    """Return the network in training mode, except for its dropout, which is random."""
    for module in network.modules():
        module.train(not isinstance(module, torch.nn.Dropout))
    return network


def outputs(network, given):
    answer = network(*given)
    return answer if isinstance(answer, tuple) else (answer,)


@kinds
@pytest.mark.parametrize("masked", [True, False])
def test_answers_in_the_promised_shapes(name, arch, masked):
    settings = small(name, arch, image_channels=3, levels=5, masked=masked)
    given = given_to(settings)
    found = [tuple(answer.shape) for answer in outputs(build_network(settings, 0), given)]
    channels = {"semseg": [3], "dn": [2], "wtn": [5], "wn": [2, 5]}[name]
    assert found == [(2, count, 32, 48) for count in channels]


def test_the_signed_mask_is_that_of_the_authors_network_for_the_background():
    """He uses 32 inside and -32 outside with 8-bit intensities: here half the images' standard deviation."""
    network = build_network(small("dn", "unet", base_channels=16, masked=False, signed_mask=True), 0).eval()
    image, mask = given_to(network.settings)
    seen = []
    network.body.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    vectors = network(image, mask)
    assert torch.equal(seen[0], torch.cat([image, torch.where(mask > 0, 0.5, -0.5)], 1))
    assert vectors.norm(dim=1).min() > 0.99  # everywhere
    with pytest.raises(UsageError, match="masked and signed_mask contradict"):
        small("dn", signed_mask=True)


@kinds
def test_every_parameter_learns(name, arch):
    settings = small(name, arch, base_channels=4)
    network = build_network(settings, 0)
    random = torch.Generator().manual_seed(1)
    answers = outputs(network, given_to(settings))
    sum((answer * torch.randn(answer.shape, generator=random)).sum() for answer in answers).backward()
    for key, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.any(), key


@kinds
def test_small_ones_learn_from_nothing(name, arch):
    """One disc, by heart: the loss falls far below what an untrained network has."""
    settings = small(name, arch, base_channels=4, levels=3)
    network = without_dropout(build_network(settings, 0))
    image, mask = given_to(replace(settings, name="dn"), n=1, height=32, width=32)
    y, x = torch.meshgrid(torch.arange(32.0) - 16, torch.arange(32.0) - 16, indexing="ij")
    inside = mask[:, 0].bool()
    uvec = unit_length(torch.stack([-y, -x])[None]) * mask
    level = ((16 - (y**2 + x**2).sqrt()) / 6).clamp(0, 2).long()[None]
    area = inside.sum() * torch.ones(1, 32, 32)
    given = {"semseg": (mask + image / 10,), "wtn": (uvec,)}.get(name, (image / 10, mask))
    everywhere = torch.ones_like(inside)

    def loss():
        answers = outputs(network, given)
        if name == "semseg":
            return semseg_loss(*answers, 2 * (~inside).long(), everywhere)
        vectors = direction_loss(answers[0], uvec, area, inside) if name in ("dn", "wn") else 0
        return vectors + (energy_loss(answers[-1], level, area, inside) if name in ("wtn", "wn") else 0)

    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    values = []
    for _ in range(40):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert min(values[-5:]) < 0.6 * values[0]


@kinds
def test_a_seed_decides_the_first_weights(name, arch):
    settings = small(name, arch)
    before = torch.random.get_rng_state()
    first, again, other = (build_network(settings, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    torch.manual_seed(5)
    unseeded = build_network(settings).state_dict()
    assert any(not torch.equal(unseeded[key], build_network(settings).state_dict()[key]) for key in first)


@kinds
def test_no_tensor_is_left_without_a_value(name, arch):
    network = build_network(small(name, arch), 0)
    first = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for tensor in network.state_dict().values():
        tensor.fill_(math.nan if tensor.is_floating_point() else -1)
    initialise(network, torch.Generator().manual_seed(0))
    assert all(torch.equal(tensor, first[key]) for key, tensor in network.state_dict().items())


def test_convolutions_start_as_he_et_al_have_it():
    body = build_network(NetworkSettings("dn", base_channels=16), 0).body
    for module, fan_in in ((body.conv3[1], 9 * 64), (body.head4[0], 25 * 128), (body.fuse[0], 192)):
        assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.03)
        assert not module.bias.any()
    up = build_network(NetworkSettings("semseg", base_channels=16), 0).body.up[0]
    assert up.weight.std().item() == pytest.approx(math.sqrt(2 / up.in_channels), rel=0.03)


@pytest.mark.parametrize("factor", [2, 4])
def test_upsampling_starts_as_bilinear_interpolation(factor):
    given = torch.randn(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(given, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))  # beyond the edge are zeros
    torch.testing.assert_close(Upsampling(3, factor)(given)[inner], expected[inner])


def test_unit_vectors_have_finite_gradients_even_at_nothing():
    given = torch.tensor([[0.0, 0.0], [1e-30, 0.0], [3.0, 4.0]]).T.reshape(1, 2, 1, 3).requires_grad_()
    vectors = unit_length(given)
    (vectors * torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)).sum().backward()
    assert vectors[0, :, 0, 0].tolist() == [0, 0]
    assert vectors[0, :, 0, 2].tolist() == pytest.approx([0.6, 0.8])
    assert torch.isfinite(given.grad).all()


@masked_bodies
def test_dn_answers_in_its_mask_only(arch):
    settings = small("dn", arch, base_channels=16)
    image, mask = given_to(settings)
    lengths = build_network(settings, 0)(image, mask).norm(dim=1, keepdim=True)
    torch.testing.assert_close(lengths, mask)


@masked_bodies
def test_dn_sees_nothing_outside_its_mask(arch):
    settings = small("dn", arch)
    image, mask = given_to(settings)
    network = build_network(settings, 0).eval()
    assert torch.equal(network(image, mask), network(image + 5 * (1 - mask), mask))
    assert not torch.equal(network(image, mask), network(image + 5 * mask, mask))


def test_dn_is_given_the_mask_beside_the_image():
    settings = small("dn")
    image, mask = given_to(settings)
    network = build_network(settings, 0)
    seen = []
    network.body.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(image, mask)
    torch.testing.assert_close(seen[0], torch.cat([image * mask, 0.5 * mask], 1))
    assert MASK_VALUE == 0.5


@masked_bodies
def test_an_unmasked_dn_sees_and_answers_everywhere(arch):
    settings = small("dn", arch, base_channels=16, masked=False)
    image, mask = given_to(settings)
    network = build_network(settings, 0)
    assert torch.equal(network(image, mask), network(image, 1 - mask))
    torch.testing.assert_close(network(image, mask).norm(dim=1), torch.ones(2, 32, 48))


@kinds
def test_vectors_are_float32_and_close_under_autocast(name, arch):
    settings = small(name, arch, base_channels=8)
    network = without_dropout(build_network(settings, 0))
    given = given_to(settings)
    with torch.no_grad():
        exact = outputs(network, given)
        with torch.autocast("cpu", torch.bfloat16):
            quick = outputs(network.to(memory_format=torch.channels_last), given)
        if name == "wn":  # its second part is held to what it should make of the vectors that it was given
            exact = exact[0], network.wtn(quick[0])
    assert all((a - b).abs().mean() < 0.05 * (1 + b.abs().mean()) for a, b in zip(quick, exact, strict=True))
    if name in ("dn", "wn"):
        assert quick[0].dtype == torch.float32
        torch.testing.assert_close(quick[0].norm(dim=1, keepdim=True), given[1])


@kinds
@pytest.mark.parametrize("wrong", ["channels", "height", "width", "axes"])
def test_refuses_other_shapes(name, arch, wrong):
    settings = small(name, arch)
    network = build_network(settings, 0)
    m = network.multiple
    channels = 2 if name == "wtn" else 1
    shape = {
        "channels": (1, channels + 1, m, m),
        "height": (1, channels, m + 1, m),
        "width": (1, channels, m, m + 2),
        "axes": (channels, m, m),
    }[wrong]
    given = [torch.zeros(shape)] * len(given_to(settings))
    with pytest.raises(UsageError, match=rf"\(N, {channels}, H, W\), with H and W multiples of {m}$"):
        network(*given)


def test_refuses_a_mask_of_several_channels():
    image, mask = given_to(small("dn"))
    with pytest.raises(UsageError, match=r"\(N, 1, H, W\)"):
        build_network(small("dn"), 0)(image, mask.expand(-1, 2, -1, -1))


@kinds
def test_multiples_are_enough(name, arch):
    settings = small(name, arch)
    network = build_network(settings, 0)
    m = network.multiple
    assert m == (4 if name == "wtn" else 16)
    assert outputs(network.eval(), given_to(settings, height=m, width=3 * m))[0].shape[2:] == (m, 3 * m)


def test_dropout_is_for_training_only():
    settings = small("wtn")
    network, given = build_network(settings, 0), given_to(settings)
    assert not torch.equal(network(*given), network(*given))
    network.eval()
    assert torch.equal(network(*given), network(*given))


@pytest.mark.parametrize("arch", NETWORKS["wn"].architectures)
def test_wn_is_dn_and_then_wtn(arch):
    settings = small("wn", arch, image_channels=3, levels=5)
    dn = build_network(replace(settings, name="dn", levels=17), 1).eval()
    wtn = build_network(replace(settings, name="wtn", image_channels=1), 2).eval()
    wn = build_network(settings, 3).eval()
    wn.start_from(dn, wtn)
    given = given_to(settings)
    uvec, logits = wn(*given)
    assert torch.equal(uvec, dn(*given))
    assert torch.equal(logits, wtn(uvec))
    with torch.no_grad():
        next(wn.dn.parameters()).zero_()
    assert torch.equal(uvec, dn(*given)), "the weights are copies"


@pytest.mark.parametrize(
    ("dn", "wtn"),
    [
        (small("dn", "unet"), small("wtn")),
        (small("dn", base_channels=4), small("wtn")),
        (small("dn", masked=False), small("wtn")),
        (small("dn"), small("wtn", levels=4)),
        (small("wtn"), small("dn")),
    ],
)
def test_wn_starts_from_its_like_only(dn, wtn):
    wn = build_network(small("wn"), 0)
    before = {key: tensor.clone() for key, tensor in wn.state_dict().items()}
    with pytest.raises(UsageError, match="wn cannot start from"):
        wn.start_from(build_network(dn, 1), build_network(wtn, 1))
    assert all(torch.equal(tensor, before[key]) for key, tensor in wn.state_dict().items())


# (kernel, inputs, outputs) as in the authors' code, whose transposed convolutions have no bias.
PUBLISHED = {
    "dn": [
        *[(3, 2, 64), (3, 64, 64), (3, 64, 128), (3, 128, 128), (3, 128, 256), (3, 256, 256), (3, 256, 256)],
        *[(3, 256, 512), (3, 512, 512), (3, 512, 512), (3, 512, 512), (3, 512, 512), (3, 512, 512)],
        *[(5, 512, 512), (1, 512, 512), (1, 512, 256), (5, 512, 512), (1, 512, 512), (1, 512, 256)],
        *[(5, 256, 256), (1, 256, 256), (1, 256, 256), (1, 768, 512), (1, 512, 512), (1, 512, 2)],
        *[(8, 256, 256, 0), (4, 256, 256, 0), (8, 2, 2, 0)],
    ],
    "wtn": [
        *[(5, 2, 64), (5, 64, 128), (5, 128, 128), (5, 128, 128), (5, 128, 128), (5, 128, 128)],
        *[(1, 128, 128), (1, 128, 17), (8, 17, 17, 0)],
    ],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_has_the_published_size(name):
    found = sorted(layer.parameters for layer in describe_layers(empty_network(NetworkSettings(name))))
    expected = sorted(k * k * i * o + (o if not rest else 0) for k, i, o, *rest in PUBLISHED[name])
    assert [count for count in found if count] == expected


def test_the_encoder_is_vgg16():
    network = empty_network(NetworkSettings("dn", image_channels=3, masked=False))
    encoder = [layer for layer in describe_layers(network, 224) if layer.name.startswith("conv")]
    assert sum(layer.parameters for layer in encoder) == 14_714_688
    assert encoder[-1].shape == (512, 14, 14)


@kinds
def test_layers_are_all_described(name, arch):
    settings = small(name, arch)
    network = empty_network(settings)
    layers = describe_layers(network, 32)
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in network.parameters())
    assert layers[-1].shape == tuple(outputs(build_network(settings, 0), given_to(settings, 1, 32, 32))[-1].shape[1:])


def normalised(kind, given, gradient):
    """Yield the outputs, buffers and gradients of a batch normalisation, each as (name, values)."""
    layer = kind(3).to(given.dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
        layer.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    given = given.clone().requires_grad_()
    answer = layer(given)
    answer.backward(gradient)
    found = {"answer": answer.detach(), "input": given.grad, "weight": layer.weight.grad, "bias": layer.bias.grad}
    return found | dict(layer.named_buffers())


def batch_of_channels(dtype):
    """Many pixels, channels last, whose mean is large for their spread."""
    rng = torch.Generator().manual_seed(0)
    values, gradient = (torch.randn((4, 3, 128, 128), generator=rng, dtype=torch.float64) for _ in range(2))
    values = 10 + values * torch.tensor([1.0, 3.0, 0.1])[:, None, None]
    return tuple(tensor.to(dtype).contiguous(memory_format=torch.channels_last) for tensor in (values, gradient))


@pytest.fixture
def one_of_many(monkeypatch):
    """As if there were more processes, none of which has a share of the batch."""
    monkeypatch.setattr("cellprep.learn.networks.batch_norm.processes", lambda: Processes(0, 2))


def test_batch_normalisation_is_torch_s(one_of_many):
    given, gradient = batch_of_channels(torch.float64)
    ours, theirs = (normalised(kind, given, gradient) for kind in (BatchNorm2d, torch.nn.BatchNorm2d))
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-9, atol=1e-9, msg=name)


def test_batch_normalisation_is_exact_in_float32(one_of_many):
    """As torch's own is not: on processors its answers here are off by some 1e-4 of what they should be."""
    given, gradient = batch_of_channels(torch.float32)
    exact = normalised(torch.nn.BatchNorm2d, given.double(), gradient.double())
    for name, found in normalised(BatchNorm2d, given, gradient).items():
        assert (found - exact[name]).double().norm() <= 2e-5 * exact[name].double().norm(), name


def test_batch_normalisation_needs_no_bias():
    for name, arch in KINDS:
        modules = list(empty_network(small(name, arch)).modules())
        for first, second in pairwise(modules):
            if isinstance(second, torch.nn.BatchNorm2d):
                assert first.bias is None


DOCUMENT = Path(__file__).parents[1] / "docs" / "networks.md"


@kinds
def test_the_documentation_has_the_tables_of_the_code(name, arch):
    tables = dict(re.findall(r"<!-- layers of (\w+ \w+) -->\n(.*?)\n\n", DOCUMENT.read_text(), re.DOTALL))
    if name == "wn":
        total = sum(parameter.numel() for parameter in empty_network(NetworkSettings(name, arch)).parameters())
        assert f"{total:,}" in DOCUMENT.read_text()
    else:
        assert tables[f"{name} {arch}"] == layer_table(empty_network(NetworkSettings(name, arch)))


# ---- VGG-16 -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vgg16():
    """A state dictionary in torchvision's layout: every tensor has a value of its own, and the first is random."""
    state = {"classifier.0.bias": torch.zeros(3)}
    widths, inputs = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}, 3
    for place in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28):
        width = widths.get(place, 512)
        state[f"features.{place}.weight"] = torch.full((width, inputs, 3, 3), 1.0 + place)
        state[f"features.{place}.bias"] = torch.full((width,), 0.5 + place)
        inputs = width
    state["features.0.weight"] = torch.randn(64, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    return state


@pytest.fixture(scope="module")
def vgg16_file(vgg16, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(vgg16, path)
    return path


@pytest.mark.parametrize(("channels", "masked"), [(1, True), (3, True), (1, False)])
def test_vgg16_is_what_the_network_first_sees(vgg16, vgg16_file, channels, masked):
    network = build_network(NetworkSettings("dn", image_channels=channels, masked=masked), 0)
    load_vgg16(network, vgg16_file)
    body, image = network.body, torch.randn(1, channels, 16, 16)
    colour = image if channels == 3 else image.expand(1, 3, 16, 16)
    given = torch.cat([image, torch.ones(1, 1, 16, 16)], 1) if masked else image
    expected = torch.conv2d(colour, vgg16["features.0.weight"], vgg16["features.0.bias"], padding=1).relu()
    torch.testing.assert_close(body.conv1[0](given), expected)
    rest = [module for stage in (body.conv1, body.conv2, body.conv3, body.conv4, body.conv5) for module in stage][1:]
    for place, module in zip((2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), rest, strict=True):
        assert (module.weight == 1 + place).all()
        assert (module.bias == 0.5 + place).all()


def test_vgg16_may_be_safetensors_and_starts_wn_too(vgg16, tmp_path):
    path = tmp_path / "vgg16.safetensors"
    safetensors.torch.save_file(vgg16, path)
    network = build_network(NetworkSettings("wn"), 0)
    load_vgg16(network, path)
    assert (network.dn.body.conv5[2].weight == 29).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (small("dn"), "64 base channels"),
        (small("semseg"), "published dn or wn"),
        (small("dn", "unet"), "published dn or wn"),
        (small("wtn"), "published dn or wn"),
        (small("dn", base_channels=64, image_channels=2), "1 or 3 channels"),
    ],
)
def test_vgg16_fits_the_published_direction_network_only(settings, words, vgg16_file):
    with pytest.raises(UsageError, match=words):
        load_vgg16(empty_network(settings), vgg16_file)


class Code:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def spoilt(state, **changes):
    return {**state, **{key.replace("_", "."): value for key, value in changes.items()}}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.pth", None, "cannot be read"),
        ("none.safetensors", None, "cannot be read"),
        ("text.pth", lambda _: b"what", "cannot be read"),
        ("text.safetensors", lambda _: b"what", "cannot be read"),
        ("code.pth", lambda _: pickle.dumps(Code()), "cannot be read"),
        ("list.pth", lambda _: [1], "no named tensors"),
        ("lacks.pth", lambda state: {k: v for k, v in state.items() if "28" not in k}, r"features\.28\.weight"),
        ("shape.pth", lambda s: spoilt(s, features_5_bias=torch.zeros(3)), r"features\.5\.bias of shape \(128,\)"),
        ("whole.pth", lambda s: spoilt(s, features_5_bias=torch.ones(128).long()), r"no tensor features\.5\.bias"),
        ("nan.pth", lambda s: spoilt(s, features_5_bias=torch.full((128,), math.nan)), "not finite"),
    ],
)
def test_other_files_are_no_vgg16(name, content, words, vgg16, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = build_network(NetworkSettings("dn", base_channels=64), 0) if name == "shape.pth" else None
    before = network and network.body.conv1[0].weight.clone()
    if content:
        made = content(vgg16)
        Path(name).write_bytes(made) if isinstance(made, bytes) else torch.save(made, name)
    with pytest.raises(WeightsError, match=f"^{re.escape(name)}.*{words}") as caught:
        load_vgg16(network or empty_network(NetworkSettings("dn")), Path(name))
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()
    if network:
        assert torch.equal(network.body.conv1[0].weight, before)


def test_every_public_name_is_there():
    assert all(getattr(learn, name).__module__.startswith("cellprep.") for name in learn.__all__)
