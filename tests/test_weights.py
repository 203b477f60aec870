"""Files of weights: networks are restored exactly, and no other content is accepted."""

import json
import math
import pickle
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import cellprep
from cellprep.core.targets import Recipe
from cellprep.errors import OutputError, WeightsError
from cellprep.learn.networks import NETWORKS, NetworkSettings
from cellprep.learn.normalisation import Normalisation

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402

from cellprep.learn import Weights, build_network, load_weights, save_weights  # noqa: E402

KINDS = [(name, arch) for name, kind in NETWORKS.items() for arch in kind.architectures]


def make(name="wtn", arch="", **others):
    network = build_network(NetworkSettings(name, arch, base_channels=2, levels=4), seed=1)
    return Weights(
        network,
        **{
            "normalisation": Normalisation("dataset", (1.5,), (2.1,)),
            "recipe": Recipe(wall_width=5, bins=(0.955, 1.91, 10)),
            "mask": "cells",
            "training": {"epochs": 3, "loss": 0.1, "note": "ä"},
            **others,
        },
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.fixture
def saved(path):
    save_weights(path, make())
    return path


def answers(network, name):
    random = torch.Generator().manual_seed(0)
    image, uvec = torch.randn(1, 1, 32, 16, generator=random), torch.randn(1, 2, 32, 16, generator=random)
    given = {"semseg": (image,), "wtn": (uvec,)}.get(name, (image, torch.ones(1, 1, 32, 16)))
    answer = network.eval()(*given)
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize(("name", "arch"), KINDS, ids=[f"{name}-{arch}" for name, arch in KINDS])
def test_a_network_is_rebuilt_from_its_file_alone(name, arch, path):
    weights = make(name, arch)
    image = torch.randn(2, 1, 32, 32)
    given = {"semseg": (image,), "wtn": (image.expand(-1, 2, -1, -1),)}.get(name, (image, image.sign().relu()))
    weights.network(*given)  # in training mode: batch normalisation remembers what it sees
    save_weights(path, weights)
    loaded = load_weights(path)
    for attribute in ("settings", "normalisation", "recipe", "mask", "training"):
        assert getattr(loaded, attribute) == getattr(weights, attribute)
    assert loaded.version == cellprep.__version__
    assert not loaded.network.training
    pairs = zip(answers(weights.network, name), answers(loaded.network, name), strict=True)
    assert all(torch.equal(before, after) for before, after in pairs)
    assert all(parameter.requires_grad for parameter in loaded.network.parameters())


def test_a_network_without_images_needs_no_normalisation(path):
    save_weights(path, make(normalisation=None))
    assert load_weights(path).normalisation is None


def test_the_same_weights_give_the_same_bytes(path):
    contents = set()
    for form in (torch.contiguous_format, torch.channels_last):
        weights = make(training={"b": 1, "a": 2})
        weights.network.to(memory_format=form)
        save_weights(path, weights)
        contents.add(path.read_bytes())
    save_weights(path, make(training={"a": 2, "b": 1}))
    contents.add(path.read_bytes())
    save_weights(path, load_weights(path))
    contents.add(path.read_bytes())
    assert len(contents) == 1


def test_others_can_read_the_file(saved):
    tensors = safetensors.torch.load_file(saved)
    assert set(tensors) == set(make().network.state_dict())
    with safetensors.safe_open(saved, "pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["cellprep"]
    text = metadata["cellprep"]
    described = json.loads(text)
    assert text == json.dumps(described, sort_keys=True, separators=(",", ":"))
    assert sorted(described) == [
        "decoding",
        "format",
        "mask",
        "network",
        "normalisation",
        "recipe",
        "training",
        "version",
    ]
    assert described["format"] == 1
    assert described["recipe"]["bins"] == [0.955, 1.91, 10]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_numbers_become_float32(path, dtype):
    weights = make()
    expected = {key: tensor.to(dtype).float() for key, tensor in weights.network.state_dict().items()}
    weights.network.to(dtype)
    save_weights(path, weights)
    loaded = load_weights(path).network.state_dict()
    assert all(tensor.dtype == torch.float32 for tensor in loaded.values())
    assert all(torch.equal(tensor, expected[key]) for key, tensor in loaded.items())


def test_a_loaded_network_does_not_depend_on_its_file(saved):
    network = load_weights(saved).network
    before = answers(network, "wtn")[0]
    saved.write_bytes(bytes(saved.stat().st_size))
    assert torch.equal(answers(network, "wtn")[0], before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_does_not_save_what_is_not_finite(path, value):
    weights = make()
    with torch.no_grad():
        weights.network.body.fcn1.weight[0] = value
    with pytest.raises(WeightsError, match=r"tensor body\.fcn1\.weight has values that are not finite"):
        save_weights(path, weights)
    assert not path.exists()


@pytest.mark.parametrize("training", [{"loss": math.nan}, {"path": Path()}])
def test_does_not_save_what_json_cannot_hold(path, training):
    with pytest.raises(WeightsError, match="their description is not valid JSON"):
        save_weights(path, make(training=training))


def test_says_where_it_cannot_write(tmp_path):
    with pytest.raises(OutputError, match=r"the folder .* does not exist"):
        save_weights(tmp_path / "none" / "net.safetensors", make())


def refused(path, words):
    with pytest.raises(WeightsError, match=words) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def rewrite(path, tensors=None, metadata=None, **description):
    """Write a file anew with other tensors, or another description."""
    with safetensors.safe_open(path, "pt") as file:
        described = json.loads(file.metadata()["cellprep"])
        tensors = tensors or {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - no mapping
    text = json.dumps({**described, **description})
    safetensors.torch.save_file(tensors, path, {"cellprep": text} if metadata is None else metadata)


class Code:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"what",
        pickle.dumps(Code()),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 8) + b"\xff" * 8,
        struct.pack("<Q", 100_000) + b'{"a":' * 20_000,
    ],
    ids=["empty", "text", "pickle", "huge header", "header beyond the end", "list", "no text", "deep"],
)
def test_refuses_what_is_no_safetensors_file(path, content, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path.write_bytes(content)
    refused(path, "damaged or not a safetensors file .*cellprep train")
    assert not Path("ran").exists()


def test_refuses_a_checkpoint_of_torch(path):
    torch.save(make().network.state_dict(), path)
    refused(path, "damaged or not a safetensors file .*cellprep train")


def test_refuses_what_is_not_there(path, tmp_path):
    refused(path, "cannot be read: No such file")
    refused(tmp_path, "best.safetensors cannot be read: No such file")


@settings(max_examples=examples(20))
@given(st.data())
def test_refuses_every_shortened_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("short") / "net.safetensors"
    save_weights(path, make())
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refused(path, "damaged or not a safetensors file")


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}])
def test_refuses_files_of_others(saved, metadata):
    rewrite(saved, metadata=metadata)
    refused(saved, "from another program: give a file from `cellprep train`")


NETWORK = {"name": "wtn", "arch": "published", "base_channels": 2, "image_channels": 1, "levels": 4, "masked": True}


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"format": 2}, "have format 2: this version of cellprep reads 1"),
        ({"format": None}, "have format None"),
        ({"network": None}, "an invalid description"),
        ({"network": {**NETWORK, "name": "x"}}, "an invalid description .network 'x' is unknown"),
        ({"network": {**NETWORK, "base_channels": 1e9}}, "an invalid description"),
        ({"network": {**NETWORK, "base_channels": 10**9}}, "base channels is 1000000000: "),
        ({"network": {**NETWORK, "masked": 1}}, "an invalid description"),
        ({"normalisation": {"kind": "dataset", "low": ["1"], "high": [2]}}, "an invalid description"),
        ({"normalisation": {"kind": "dataset", "low": [1], "high": []}}, "an invalid description"),
        ({"recipe": {"bins": [2, 1]}}, "an invalid description .*bins must ascend"),
        ({"recipe": {"wall_width": 4}}, "an invalid description .*odd"),
        ({"mask": "walls"}, "an invalid description"),
        ({"training": []}, "an invalid description"),
        ({"version": 1}, "an invalid description"),
    ],
)
def test_refuses_wrong_descriptions(saved, description, words):
    rewrite(saved, **description)
    refused(saved, words)


@pytest.mark.parametrize("text", ["", "{", "[1]", "NaN", "[" * 100_000])
def test_refuses_descriptions_that_are_none(saved, text):
    rewrite(saved, metadata={"cellprep": text})
    refused(saved, "an invalid description|have format None")


def test_a_large_name_costs_no_memory(saved):
    """The tensors are compared before any memory is taken for what the description promises."""
    rewrite(saved, network={**NETWORK, "base_channels": 1024})
    refused(saved, r"tensor body\.conv1\.1\.weight has shape \(2, 2, 5, 5\): it must be \(1024, 2, 5, 5\)")


def changed(**changes):
    tensors = {key: tensor.clone() for key, tensor in make().network.state_dict().items()}
    for key, change in changes.items():
        name = key.replace("__", ".")
        tensors[name] = change(tensors.get(name))
    return {key: tensor for key, tensor in tensors.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (changed(body__fcn1__bias=lambda _: None), r"lack tensor body\.fcn1\.bias \(1 such\)"),
        (changed(more=lambda _: torch.ones(1)), r"have an unknown tensor more \(1 such\)"),
        (changed(body__fcn1__bias=lambda old: old[:-1].clone()), r"body\.fcn1\.bias has shape \(3,\)"),
        (changed(body__fcn1__bias=lambda old: old[None].clone()), r"body\.fcn1\.bias has shape \(1, 4\)"),
        (changed(body__fcn1__bias=lambda old: old.long()), r"is torch\.int64: it must be torch\.float32"),
        (changed(body__fcn1__bias=lambda old: old * math.nan), "body.fcn1.bias has values that are not finite"),
        (changed(body__fcn1__bias=lambda old: old.double() + 1e300), "body.fcn1.bias has values that are not finite"),
    ],
    ids=["lacks", "more", "short", "axes", "whole numbers", "nan", "too large"],
)
def test_refuses_other_tensors(saved, tensors, words):
    rewrite(saved, tensors)
    refused(saved, words)


def test_names_of_tensors_are_printed_safely(saved):
    rewrite(saved, changed(**{"\n\x1b[31m": lambda _: torch.ones(1)}))
    refused(saved, re.escape(r"'\n\x1b[31m'"))


def test_settings_are_those_of_the_network():
    weights = make("dn")
    assert weights.settings == weights.network.settings
    assert replace(weights, mask="cells-and-walls").settings == weights.settings
