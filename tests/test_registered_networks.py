"""Another network needs only a name in `NETWORKS`: the whole package supports it like the built-in ones."""

from dataclasses import replace

import pytest
import torch
from test_train import write_discs

from cellprep import BuildOptions, build_targets, open_source, open_store, read_metrics
from cellprep.errors import UsageError
from cellprep.learn import load_bundle
from cellprep.learn.networks import NETWORKS
from cellprep.learn.networks.architectures import Architecture
from cellprep.learn.networks.kind import NetworkKind
from cellprep.learn.networks.layers import Body
from cellprep.learn.networks.panels import show_mask, show_values
from cellprep.learn.networks.shapes import describe_layers
from cellprep.learn.prediction.receptive_field import find_receptive_field
from cellprep.learn.training.options import TrainOptions
from cellprep.learn.training.run import train
from cellprep.learn.training.runs import options_of
from cellprep.learn.training.trainer import Trainer
from cellprep.learn.weights import load_all_weights, load_weights, save_all_weights
from cellprep.workflows.train_all import train_all

OPTIONS = {
    "epochs": 3,
    "batch_size": 2,
    "crop": 32,
    "base_channels": 2,
    "val_fraction": 0.4,
    "device": "cpu",
    "precision": "float32",
    "workers": 0,
}


class Plain(Body):
    """Two convolutions, which see two pixels far."""

    multiple = 1

    def __init__(self, inputs, outputs, base):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(inputs, base, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(base, outputs, 3, padding=1)
        )

    def forward(self, given):
        return self.layers(given)


def _loss(maps, batch):
    walls = (batch["semseg"] == 1).float()
    found = torch.nn.functional.binary_cross_entropy_with_logits(maps["edges"][:, 0].float(), walls, reduction="none")
    return found[batch["counts"]].mean()


def _measure(settings, maps, batch):
    right = ((maps["edges"][:, 0] > 0) == (batch["semseg"] == 1)) & batch["counts"]
    return {"right": (float(right.sum()), float(batch["counts"].sum()))}


EDGES = NetworkKind(
    name="edges",
    about="image -> whether a pixel is a wall",
    inputs=("image",),
    maps={"edges": 1},
    architectures={"plain": Architecture(Plain, base_channels=8, max_lr=1e-2)},
    trained_with="plain",
    loss=_loss,
    measure=_measure,
    panels=lambda settings, found, true: {
        "true walls": show_mask(true["semseg"] == 1),
        "predicted walls": show_values(found["edges"][0], "magma", 1),
    },
)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(NETWORKS, "edges", EDGES)


@pytest.fixture
def discs(tmp_path):
    build_targets(open_source(write_discs(tmp_path / "discs")), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    return open_store(tmp_path / "s.zarr")


def test_a_registered_network_is_trained_drawn_and_resumed(discs, tmp_path, monkeypatch, registered, capsys):
    options = TrainOptions("edges", out=tmp_path / "whole", **OPTIONS)
    assert (options.arch, options.max_lr) == ("plain", 1e-2)
    report = train(discs, options)
    assert "steps takes about" in capsys.readouterr().err
    assert report.rows[-1]["val_loss"] < report.rows[0]["val_loss"]
    assert 0 <= report.best["val_right"] <= 1
    assert len(list((report.out / "validation").glob("*.png"))) == 2
    steps, step = iter(range(100)), Trainer._step

    def interrupted(self, batch):
        if next(steps) == 5:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr("cellprep.learn.training.run.has_matplotlib", lambda: False)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(discs, replace(options, out=tmp_path / "cut", quiet=True))
    train(discs, options_of(tmp_path / "cut", "edges", {"quiet": True}))
    for name in ("best", "last"):
        whole, cut = ((tmp_path / folder / f"{name}.safetensors").read_bytes() for folder in ("whole", "cut"))
        assert whole == cut
    train(discs, TrainOptions("edges", out=tmp_path / "fine", init=(report.out,), **OPTIONS | {"quiet": True}))
    monkeypatch.setitem(NETWORKS, "blind", replace(EDGES, name="blind", inputs=("area",)))
    assert train(discs, TrainOptions("blind", out=tmp_path / "blind", **OPTIONS | {"quiet": True})).rows
    with pytest.raises(UsageError, match="only dn and wn take a mask"):
        TrainOptions("edges", background_cell=True)


def test_a_registered_network_is_one_of_all_and_predicts_its_maps(discs, tmp_path, monkeypatch, registered):
    monkeypatch.setattr("cellprep.learn.training.run.has_matplotlib", lambda: False)
    report = train_all(discs, tmp_path / "all", **OPTIONS | {"epochs": 1, "quiet": True})
    assert sorted(report.to_dataframe()["network"]) == read_metrics(tmp_path / "all")["network"].tolist()
    assert any("semseg, dn, wtn, wn, edges, trained on 3 images" in note for note in report.notes())
    edges = load_weights(tmp_path / "all" / "edges")
    assert find_receptive_field(edges.settings) == 2
    assert [layer.shape[0] for layer in describe_layers(edges.network)] == [2, 2, 1]
    image = discs["i0"].read("image")[None]
    batch = {"image": torch.from_numpy(edges.normalisation.apply(image))[None]}
    found = EDGES.predict(edges.network, batch)["edges"]
    assert found.shape == (1, 1, *image.shape[1:])
    torch.testing.assert_close(found, edges.network.body(batch["image"]))

    save_all_weights(tmp_path / "both.safetensors", [edges, load_weights(tmp_path / "all" / "semseg")])
    again = load_all_weights(tmp_path / "both.safetensors")[0]
    assert torch.equal(EDGES.predict(again.network, batch)["edges"], found)
    with pytest.raises(UsageError, match="the weights are of edges: predict needs a wn, or a dn and a wtn"):
        load_bundle(tmp_path / "all" / "edges")
