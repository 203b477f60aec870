import csv
import errno
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from skimage.draw import disk
from stores import discs as draw_discs
from stores import noise, write_store

from cellprep import BuildOptions, Recipe, build_targets, learn, open_source, open_store, read_metrics
from cellprep.errors import CellprepError, MissingExtraError, OutputError, TrainingError, UsageError, WeightsError
from cellprep.learn.data.loading import validation_loader
from cellprep.learn.data.samples import CropSettings
from cellprep.learn.devices import choose_machine
from cellprep.learn.networks import NETWORKS, NetworkSettings
from cellprep.learn.networks.kind import find_kind
from cellprep.learn.networks.network import build_network
from cellprep.learn.settings import Decoding
from cellprep.learn.training.checkpoint import load_state
from cellprep.learn.training.estimate import expect_duration
from cellprep.learn.training.next_steps import next_steps
from cellprep.learn.training.options import OPTIMISERS, TrainOptions
from cellprep.learn.training.rates import make_optimiser
from cellprep.learn.training.run import train
from cellprep.learn.training.runs import choose_folder, options_of
from cellprep.learn.training.scoring import InstanceScorer
from cellprep.learn.training.trainer import Shown, Trainer
from cellprep.learn.weights import load_all_weights, load_weights
from cellprep.workflows.train_all import train_all


def write_discs(folder, count=5, shape=(40, 56)):
    """Bright discs on dark ground, two of which touch."""
    import tifffile

    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        labels = np.zeros(shape, np.uint16)
        for label, centre in enumerate([(14, 14), (20, 27), (28, 44)], start=1):
            labels[disk(np.add(centre, rng.integers(-2, 3, 2)), rng.integers(7, 9), shape=shape)] = label
        image = np.where(labels > 0, 170, 60) + rng.normal(0, 12, shape)
        tifffile.imwrite(folder / "masks" / f"i{number}.tif", labels)
        tifffile.imwrite(folder / "images" / f"i{number}.tif", image.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discs")
    source = open_source(write_discs(folder / "source"))
    build_targets(source, folder / "data.zarr", BuildOptions(jobs=1, quiet=True))
    return open_store(folder / "data.zarr")


@pytest.fixture(autouse=True)
def pictures(request, monkeypatch):
    """Draw pictures only where they are looked for: drawing takes longer than training."""
    if "a_run_leaves" not in request.node.name:
        monkeypatch.setattr("cellprep.learn.training.run.has_matplotlib", lambda: False)


@pytest.fixture
def options(tmp_path):
    def make(network, **others):
        settings = {
            "out": tmp_path / network,
            "epochs": 2,
            "batch_size": 2,
            "crop": 32,
            "base_channels": 2,
            "val_fraction": 0.4,
            "device": "cpu",
            "precision": "float32",
            "workers": 0,
            "quiet": True,
        }
        return TrainOptions(network, **settings | others)

    return make


@pytest.mark.parametrize("network", NETWORKS)
def test_a_run_leaves_all_that_it_should(discs, options, network):
    report = train(discs, options(network))
    assert sorted(path.name for path in report.out.iterdir()) == [
        "best.safetensors", "curves.png", "last.safetensors", "metrics.csv", "run.json", "state.pt", "validation",
    ]  # fmt: skip
    val_ids = json.loads((report.out / "run.json").read_text())["validation_images"]
    assert len(val_ids) == 2
    assert sorted(path.name for path in (report.out / "validation").iterdir()) == [
        f"{image_id}.png" for image_id in val_ids
    ]
    weights = load_weights(report.out / "best.safetensors")
    assert weights.settings.name == network and weights.settings.base_channels == 2
    assert weights.training["figures"]["epoch"] == report.best["epoch"]
    assert (weights.normalisation is None) == (network == "wtn")
    rows = list(csv.DictReader((report.out / "metrics.csv").read_text().splitlines()))
    pd.testing.assert_frame_equal(report.to_dataframe(), read_metrics(report.out), rtol=1e-5)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())


def test_a_record_begins_the_same_training_anew(discs, options, cli, tmp_path):
    """But for scores of instances, without which all else is the same."""
    report = train(discs, options("wn", epochs=1, out=tmp_path / "a", seed=3))
    assert 0 <= report.rows[0]["val_ap50"] <= 1
    out = tmp_path / "b"
    changes = ["--set", f"out={out}", "--set", "validation-instances=0", "--set", "device=cpu", "--set", "workers=0"]
    result = cli("run", tmp_path / "a" / "run.json", *changes, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    for name in ("best.safetensors", "last.safetensors", "run.json"):
        assert (out / name).read_bytes() == (tmp_path / "a" / name).read_bytes()
    assert [*read_metrics(tmp_path / "a")] == [*read_metrics(out), "val_ap50"]


@pytest.mark.parametrize("answers", ["semseg", "energy"])
def test_instances_of_the_truth_score_1(discs, answers):
    kind = find_kind({"semseg": "semseg", "energy": "wn"}[answers])
    whole = validation_loader(discs, [*discs], CropSettings(), None, 16, 0)
    scorer = InstanceScorer(discs, kind, Decoding(), [0, 1, 99])
    shown = []
    for place, batch in enumerate(whole.epoch(0)):
        one_hot = torch.nn.functional.one_hot(batch[answers], 20).movedim(-1, 1).float()
        shown.append(Shown(batch, {answers: one_hot}, place))
    assert scorer.score(shown)["val_ap50"] > 0.8  # as decoding gives true maps back
    assert scorer.places == [0, 1]
    shown = [replace(image, maps={answers: torch.roll(image.maps[answers], 10, -1)}) for image in shown]
    assert scorer.score(shown)["val_ap50"] < 0.8  # what is elsewhere is wrong
    assert InstanceScorer(discs, find_kind("dn"), Decoding(), [0]).score(shown) == {}


@pytest.mark.parametrize("network", ["semseg", "dn"])
def test_networks_learn(discs, options, network):
    arch = "unet" if network == "dn" else ""
    report = train(discs, options(network, epochs=12, arch=arch, base_channels=4, max_lr=1e-2, augment=("flips",)))
    assert report.rows[-1]["val_loss"] < 0.7 * report.rows[0]["val_loss"]


@pytest.mark.parametrize(
    ("network", "arch", "ema"), [("semseg", "unet", 0.5), ("wn", "published", 0.0)], ids=["mean", "dropout"]
)
def test_an_interrupted_run_goes_on_to_the_same_weights(  # with batch normalisation, and with dropout
    discs, options, network, arch, ema, tmp_path, monkeypatch
):
    whole = options(network, epochs=4, arch=arch, ema=ema, out=tmp_path / "whole")
    train(discs, whole)
    steps = iter(range(100))
    step = Trainer._step

    def interrupted(self, batch):
        if next(steps) == 9:  # in the third epoch
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(discs, replace(whole, out=tmp_path / "cut"))
    assert len((tmp_path / "cut" / "metrics.csv").read_text().splitlines()) == 3
    train(discs, replace(whole, out=tmp_path / "cut", resume=True))
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_running_mean_of_the_weights_is_what_is_kept(discs, options, tmp_path, monkeypatch):
    seen, update = [], Trainer._update_mean

    def watched(self):
        update(self)
        seen.append(self.network.state_dict()["body.last.bias"].clone())

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update_mean", watched)
        train(discs, options("semseg", ema=0.9))
    plain = train(discs, options("semseg", out=tmp_path / "plain")).out
    assert "ema" not in json.loads((plain / "run.json").read_text())["options"]  # so that older runs go on
    torch.testing.assert_close(
        load_weights(plain / "last.safetensors").network.state_dict()["body.last.bias"], seen[-1]
    )
    mean = load_state(tmp_path / "semseg" / "state.pt")["mean"]["body.last.bias"]
    kept = load_weights(tmp_path / "semseg" / "last.safetensors").network.state_dict()["body.last.bias"]
    expected = build_network(options("semseg").kind and load_weights(plain).settings, seed=0).state_dict()[
        "body.last.bias"
    ]
    for step, newest in enumerate(seen, start=1):
        expected = expected.lerp(newest, 1 - min(0.9, (1 + step) / (10 + step)))
    torch.testing.assert_close(kept, expected)
    torch.testing.assert_close(mean, kept)
    with pytest.raises(UsageError, match="differs in ema: give the same options"):
        train(discs, options("semseg", ema=0.0, resume=True))
    assert not torch.equal(kept, seen[-1])


def test_a_network_for_each_fold_and_all_of_them_predict(discs, cli, tmp_path):
    (tmp_path / "folds.csv").write_text("image,fold\n" + "".join(f"i{image},{image % 2}\n" for image in range(5)))
    how = ("train", "semseg", "--data", discs.path, "--base-channels", 2, "--epochs", 1, "--crop", 32, "--workers", 0,
           "--device", "cpu", "--folds", tmp_path / "folds.csv")  # fmt: skip
    result = cli(*how, "--fold", "all", "--out", tmp_path / "semsegs")
    assert result.exit_code == 0, result.stderr
    assert f"{tmp_path}/semsegs: 2 folds, validation loss " in result.stderr
    for fold in (0, 1):
        settings = json.loads((tmp_path / "semsegs" / f"fold-{fold}" / "run.json").read_text())
        assert settings["validation_images"] == [f"i{image}" for image in range(fold, 5, 2)]
    before = (tmp_path / "semsegs/fold-0/best.safetensors").stat().st_mtime_ns
    (tmp_path / "semsegs/fold-1/run.json").unlink()
    result = cli(*how, "--fold", "all", "--out", tmp_path / "semsegs", "--resume")
    assert result.exit_code == 2 and "fold-1 is not empty" in result.stderr  # other folders are not touched
    assert (tmp_path / "semsegs/fold-0/best.safetensors").stat().st_mtime_ns == before
    for words, message in {
        ("--fold", "x"): "fold 'x' is not valid: give a number from 0, or all",
        ("--fold", "all", "--resume"): "to resume the runs of all folds, give their folder: --out",
    }.items():
        result = cli(*how, *words)
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    result = cli("train", "all", *how[2:4], "--fold", "all", "--folds", tmp_path / "folds.csv")
    assert (result.exit_code, "--fold all trains only one kind of network: name it" in result.stderr) == (2, True)
    with pytest.raises(UsageError, match="or use train_folds for all folds"):
        train(discs, "semseg", folds=tmp_path / "folds.csv", fold="all")


def test_a_run_interrupted_in_its_first_epoch_begins_again(discs, options, monkeypatch):
    def interrupted(self, batch):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(discs, options("wtn", epochs=1))
    assert len(train(discs, options("wtn", epochs=1, resume=True)).rows) == 1


def test_a_finished_run_has_nothing_to_go_on_with(discs, options):
    train(discs, options("wtn", epochs=1))
    before = (options("wtn").out / "last.safetensors").read_bytes()
    assert len(train(discs, options("wtn", epochs=1, resume=True)).rows) == 1
    assert (options("wtn").out / "last.safetensors").read_bytes() == before


def test_a_full_disk_keeps_the_last_state(discs, options, tmp_path, monkeypatch):
    state = tmp_path / "wtn" / "state.pt"
    write_bytes = Path.write_bytes

    def write(path, content):
        if state.exists():  # the second epoch is over
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write)
        with pytest.raises(OutputError, match=r"cannot write .*safetensors: No space left on device"):
            train(discs, options("wtn"))
    assert load_state(state)["epoch"] == 1
    assert load_weights(tmp_path / "wtn" / "last.safetensors").training["figures"]["epoch"] == 1
    assert len(train(discs, options("wtn", resume=True)).rows) == 2


def test_training_stops_when_it_gets_no_better(discs, options, monkeypatch):
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    validate = Trainer.validate

    def validated(*args):
        row, shown = validate(*args)
        return row | {"val_loss": next(losses)}, shown

    monkeypatch.setattr(Trainer, "validate", validated)
    report = train(discs, options("wtn", epochs=9, patience=2))
    assert [row["val_loss"] for row in report.rows] == [3.0, 2.0, 2.5, 2.0]
    assert report.best["epoch"] == 2


def test_training_starts_from_weights(discs, options, tmp_path):
    for network in ("dn", "wtn"):
        train(discs, options(network, base_channels=3, epochs=1, arch="published"))
    init = (tmp_path / "dn", tmp_path / "wtn" / "last.safetensors")
    # A rate so low that nothing changes, and the settings those of the weights.
    train(discs, options("wn", init=init, base_channels=None, epochs=1, max_lr=1e-30))
    wn = load_weights(tmp_path / "wn" / "last.safetensors").network
    for part, path in zip((wn.dn, wn.wtn), init, strict=True):
        for name, tensor in load_weights(path).network.state_dict().items():
            assert torch.allclose(tensor, part.state_dict()[name], rtol=0, atol=1e-20)
    train(
        discs,
        options("wn", init=(tmp_path / "wn" / "last.safetensors",), epochs=1, out=tmp_path / "fine", base_channels=3),
    )


def test_a_run_has_a_folder_of_its_own_and_the_newest_one_goes_on(discs, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reports = [train(discs, options("wtn", out=None, epochs=1, seed=seed)) for seed in (1, 2)]
    assert [report.out for report in reports] == [Path("runs/wtn"), Path("runs/wtn-2")]
    assert [report.next_steps for report in reports] == [(f"next: cellprep train semseg --data {discs.path}",)] * 2
    again = options_of(choose_folder("wtn", resume=True), "wtn", {"quiet": True})
    assert (again.out, again.seed, again.resume) == (Path("runs/wtn-2"), 2, True)
    assert train(discs, again).rows == reports[1].rows
    with pytest.raises(UsageError, match="there is no run of dn in runs/"):
        choose_folder("dn", resume=True)
    with pytest.raises(UsageError, match=r"the run in runs/wtn trains wtn, not dn: name it"):
        options_of(Path("runs/wtn"), "dn", {})
    Path("runs/wtn/run.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"runs/wtn/run\.json is damaged"):
        options_of(Path("runs/wtn"), "wtn", {})


@pytest.mark.parametrize(
    ("runs", "network", "command"),
    [
        ({}, "dn", "cellprep train semseg"),
        ({"semseg": "semseg"}, "dn", "cellprep train wtn"),
        ({"semseg": "semseg", "dn": "a dn"}, "wtn",
         "cellprep predict --weights 'runs/a dn' --weights runs/wtn --semseg-weights runs/semseg"),
        ({"semseg": "semseg"}, "wn", "cellprep predict --weights runs/wn --semseg-weights runs/semseg"),
        ({"wn": "wn"}, "semseg", "cellprep predict --weights runs/wn --semseg-weights runs/semseg"),
    ],
)  # fmt: skip
def test_what_comes_next_follows_from_the_runs_that_are_there(runs, network, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, folder in runs.items():
        run = Path("runs") / folder
        run.mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({"options": {"network": name}}))
        (run / "best.safetensors").touch()
    *looks, last = next_steps(Path("runs") / network, TrainOptions(network), Path("data.zarr"))
    assert last == f"next: {command}"
    shows = network in ("dn", "wn")
    assert looks == [f"to see its results: cellprep predict --weights runs/{network}"] * shows


def test_a_run_with_a_constant_rate_can_be_prolonged_and_no_other(discs, options, tmp_path):
    constant = options("wtn", arch="unet", schedule="constant", epochs=3, out=tmp_path / "whole")
    train(discs, constant)
    train(discs, replace(constant, epochs=1, out=tmp_path / "more"))
    train(discs, replace(constant, out=tmp_path / "more", resume=True))
    for name in ("last.safetensors", "run.json"):
        assert (tmp_path / "more" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(UsageError, match=r"has 3 epochs already: --epochs 2 is too few"):
        train(discs, replace(constant, epochs=2, resume=True))
    train(discs, options("wtn", epochs=1))
    with pytest.raises(
        UsageError, match=r"decreases to nearly 0 by epoch 1, .*: start a new run from its weights with `--init "
    ):
        train(discs, options("wtn", epochs=3, resume=True))


@pytest.mark.parametrize(
    ("network", "given", "expected"),
    [
        ("dn", {}, ("unet", 16, 3e-3, 0.01)),
        ("dn", {"arch": "published"}, ("published", 64, 1e-4, 0.01)),
        ("dn", {"encoder": Path("vgg16.pth")}, ("published", 64, 1e-4, 0.01)),
        ("wtn", {"optimiser": "adam"}, ("unet", 16, 3e-3, 0.0)),
        ("wtn", {"optimiser": "adam", "weight_decay": 1e-5}, ("unet", 16, 3e-3, 1e-5)),
        ("wn", {"init": (Path("dn"), Path("wtn"))}, ("", None, 1e-4, 0.01)),
    ],
)
def test_what_is_left_open_is_filled_in(network, given, expected):
    options = TrainOptions(network, **given)
    assert (options.arch, options.base_channels, options.max_lr, options.weight_decay) == expected


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_weights_decay_by_as_much_as_was_asked_for(optimiser):
    network = torch.nn.Conv2d(1, 1, 3)
    made = make_optimiser(network, TrainOptions("dn", optimiser=optimiser, weight_decay=0.3))
    assert [group["weight_decay"] for group in made.param_groups] == [0.3, 0]


def test_a_wtn_learns_without_images_and_others_from_those_that_have_some(options, tmp_path):
    labels = {f"i{seed}": draw_discs((40, 48), 6, seed) for seed in range(5)}
    images = {name: (array, noise((40, 48)) if name in ("i0", "i3", "i4") else None) for name, array in labels.items()}
    store = write_store(tmp_path / "data.zarr", images)
    report = train(store, options("wtn", epochs=1))
    assert (report.train_images + report.val_images, report.without_pixels) == (5, 0)
    assert load_weights(report.out).normalisation is None
    report = train(store, options("semseg", epochs=1))
    assert (report.train_images + report.val_images, report.without_pixels) == (3, 2)
    assert "2 images of the store left out: no pixels" in report.notes()
    blind = write_store(tmp_path / "blind.zarr", {name: (array, None) for name, array in labels.items()})
    assert train(blind, options("wtn", epochs=1, out=tmp_path / "blind")).rows
    with pytest.raises(UsageError, match=r"no image of .* has pixels: add them by running `build-targets SOURCE"):
        train(blind, options("dn"))


def test_the_background_as_a_cell_is_learnt_with_and_without_a_mask(options, tmp_path):
    images = {f"i{seed}": (draw_discs((40, 48), 6, seed), noise((40, 48))) for seed in range(3)}
    store = write_store(tmp_path / "data.zarr", images, Recipe(background_cell=True))
    for mask, signed in (("cells-and-walls", True), ("none", False)):
        report = train(store, options("dn", epochs=1, background_cell=True, mask=mask, out=tmp_path / mask))
        weights = load_weights(report.out)
        assert (weights.mask, weights.settings.masked, weights.settings.signed_mask) == (mask, False, signed)


def test_a_long_training_says_so_before_it_starts():
    network = build_network(NetworkSettings("dn", "unet", base_channels=17), 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    machine = choose_machine("cpu", "float32")
    options = TrainOptions("dn", base_channels=17, crop=32, batch_size=1, epochs=10)
    lines = expect_duration(network, options, machine, steps=5, epochs=10)
    assert len(lines) == 1
    assert re.fullmatch(
        r"an epoch of 5 steps takes about \S+ (s|min) on this CPU, 10 epochs about \S+ (s|min)", lines[0]
    )
    lines = expect_duration(network, options, machine, steps=10**7, epochs=10)
    assert re.fullmatch(r"this is long: with --base-channels 16 instead of 17, an epoch takes about .*", lines[1])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("network", "others", "message"),
    [
        ("unet", {}, "network 'unet' is unknown: use one of semseg, dn, wtn, wn"),
        ("dn", {"epochs": 0}, "epochs is 0: give 1 or more"),
        ("dn", {"max_lr": 0}, "the learning rate is 0"),
        ("dn", {"mask": "walls"}, "mask 'walls' is unknown: use one of cells-and-walls, cells, none"),
        ("dn", {"mask": "none"}, "without a mask, dn and wn need the background as a cell: give --background-cell"),
        ("semseg", {"arch": "published"}, "arch 'published' is unknown: use one of unet"),
        ("semseg", {"background_cell": True}, "only dn and wn take a mask"),
        ("dn", {"background_cell": True}, "the background is not a cell in .*: build a store with"),
        ("dn", {"init": ("a",), "encoder": "b"}, "give only one of them"),
        ("dn", {"augment": ("mirrors",)}, "mirrors"),
        ("dn", {"normalisation": "none"}, "normalisation 'none' is unknown"),
        ("dn", {"device": "cuda"}, "device 'cuda' is not available: use"),
        ("dn", {"resume": True}, "there is no run in .* to resume"),
        ("semseg", {"crop": 16}, "crop is 16: give 32 or more"),
        ("semseg", {"crop": 40}, "crop 40 is not a multiple of 16"),
    ],
)
def test_options_that_cannot_be(discs, options, tmp_path, network, others, message):
    if others.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match=message):
        train(discs, options(network, **others))
    assert not (tmp_path / network).exists()  # else the right options would be told of a run that is there already


def test_runs_are_not_mixed_up(discs, options):
    train(discs, options("wtn", epochs=1))
    with pytest.raises(UsageError, match="contains a run already: resume it"):
        train(discs, options("wtn", epochs=1))
    with pytest.raises(UsageError, match="differs in epochs, crop: give the same"):
        train(discs, options("wtn", epochs=3, crop=48, resume=True))
    with pytest.raises(UsageError, match=r"--init contains weights of wtn: give those of a dn$"):
        train(discs, options("dn", init=(options("wtn").out / "best.safetensors",)))
    with pytest.raises(UsageError, match="has base channels 2, but this training has 3"):
        train(
            discs,
            options("wtn", init=(options("wtn").out / "best.safetensors",), base_channels=3, out=discs.path / "x"),
        )
    state = options("wtn").out / "state.pt"
    for content in (b"", b"PK no zip", state.read_bytes()[:-400]):
        state.write_bytes(content)
        with pytest.raises(WeightsError, match=r"state\.pt is damaged, or not a training state"):
            train(discs, options("wtn", epochs=1, resume=True))


def test_a_folder_with_something_else_is_left_alone(discs, options, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=f"{tmp_path} is not empty: give another --out"):
        train(discs, options("wtn", out=tmp_path))
    with pytest.raises(UsageError, match=r"--out .*notes\.txt cannot be used: Not a directory"):
        train(discs, options("wtn", out=tmp_path / "notes.txt"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_a_killed_run_wrote_aside_is_removed(discs, options):
    out = options("wtn").out
    out.mkdir()
    (out / ".run.json.0123abcd").touch()  # killed at its very start
    train(discs, options("wtn", epochs=1))
    left = [out / ".state.pt.0123abcd", out / "validation" / ".i0.png.0123abcd"]
    for path in left:
        path.touch()
    train(discs, options("wtn", epochs=1, resume=True))
    assert not any(path.exists() for path in [*left, out / ".run.json.0123abcd"])


def test_a_run_does_not_go_on_with_targets_that_have_changed(discs, options, tmp_path):
    train(discs, options("wtn", epochs=1))
    source = write_discs(tmp_path / "source")
    path = source / "masks" / "i0.tif"
    import tifffile

    tifffile.imwrite(path, np.where(tifffile.imread(path) == 1, 0, tifffile.imread(path)))  # same images, a cell less
    build_targets(open_source(source), tmp_path / "other.zarr", BuildOptions(jobs=1, quiet=True))
    with pytest.raises(UsageError, match="differs in data: give the same"):
        train(open_store(tmp_path / "other.zarr"), options("wtn", epochs=1, resume=True))


def test_images_without_cells(options, tmp_path):
    source = write_discs(tmp_path / "source", count=3)
    import tifffile

    tifffile.imwrite(source / "masks" / "i0.tif", np.zeros((40, 56), np.uint16))
    build_targets(open_source(source), tmp_path / "data.zarr", BuildOptions(jobs=1, quiet=True))
    store, ids = open_store(tmp_path / "data.zarr"), tmp_path / "ids.txt"
    ids.write_text("i0\n")
    with pytest.raises(UsageError, match="to validate dn on has a cell"):
        train(store, options("dn", val_ids=ids))
    assert train(store, options("semseg", val_ids=ids, epochs=1)).rows
    ids.write_text("i1\ni2\n")
    with pytest.raises(UsageError, match="to train wtn on has a cell"):
        train(store, options("wtn", val_ids=ids))
    ids.write_text("i1\n")
    assert train(store, options("dn", val_ids=ids, epochs=1)).rows


def test_semantic_masks_are_refused(options, tmp_path):
    source = write_discs(tmp_path / "source")
    for path in (source / "masks").iterdir():
        import tifffile

        labels = tifffile.imread(path)
        labels[:, 20:24] = 0  # two pieces at least
        tifffile.imwrite(path, (labels > 0).astype(np.uint8))
    build_targets(open_source(source), tmp_path / "masks.zarr", BuildOptions(jobs=1, quiet=True))
    store = open_store(tmp_path / "masks.zarr")
    for network in ("dn", "wtn", "wn"):
        with pytest.raises(UsageError, match="contains semantic masks: no image has more than one cell"):
            train(store, options(network))
    assert train(store, options("semseg", epochs=1)).rows


def test_a_loss_that_is_no_number_ends_the_run(discs, options, monkeypatch):
    monkeypatch.setattr(Trainer, "_step", lambda self, batch: float("nan"))
    with pytest.raises(TrainingError, match="the loss of epoch 1 is nan: lower --max-lr"):
        train(discs, options("wtn"))


def test_a_validation_loss_that_is_no_number_ends_the_run(discs, options, monkeypatch):
    step = Trainer._step

    def spoilt(self, batch):
        loss = step(self, batch)
        self.network.body.last.bias.data.fill_(torch.nan)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", spoilt)
        with pytest.raises(TrainingError, match=r"the validation loss is nan: lower --max-lr"):
            train(discs, options("wtn", batch_size=8))  # one step an epoch
    assert not options("wtn").out.joinpath("best.safetensors").exists()


def test_tensorboard_has_every_epoch_once(discs, options, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            assert purge_step == 0
            written.clear()

        def add_scalar(self, name, value, epoch):
            written.append((name, epoch))

        def flush(self):
            pass

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        with pytest.raises(MissingExtraError, match="--tensorboard needs tensorboard"):
            train(discs, options("wtn", tensorboard=True))
    assert not options("wtn").out.exists()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=SummaryWriter))
    with monkeypatch.context() as patch:
        patch.setattr("cellprep.learn.training.run._is_stale", lambda rows, patience: len(rows) == 1)
        train(discs, options("wtn"))
    train(discs, options("wtn", tensorboard=True, resume=True))
    assert sorted(epoch for name, epoch in written if name == "val_loss") == [1, 2]


def test_ctrl_c_tells_how_to_go_on(cli, discs, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cellprep.learn.training.run.train", interrupted)
    result = cli("train", "dn", "--data", discs.path, "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert (
        result.stderr
        == "interrupted: all files written so far are complete; to continue, run the same command with --resume\n"
    )


def test_the_command_trains(discs, cli, tmp_path):
    args = ("train", "semseg", "--data", discs.path, "--out", tmp_path / "run", "--base-channels", 2, "--epochs", 1,
            "--crop", 32, "--workers", 0, "--device", "cpu", "--val-fraction", 0.4, "--augment", "none")  # fmt: skip
    result = cli(*args)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert "1 epoch on 3 images, validated on 2 others, on cpu" in result.stderr
    assert "best.safetensors" in result.stderr
    result = cli(*args, "--quiet")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_without_torch_the_command_says_how_to_install_it(cli, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(vars(sys.modules["cellprep.learn"]), "load_weights", raising=False)  # there once it was loaded
    result = cli("train", "dn", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr == "error: cellprep train needs torch: pip install 'cellprep[train]'\n"
    monkeypatch.delitem(vars(learn), "load_weights", raising=False)  # names that were asked for stay
    with pytest.raises(MissingExtraError, match="load_weights needs torch"):
        from cellprep.learn import load_weights  # noqa: F401


def test_all_networks_by_one_command_also_if_it_is_interrupted(discs, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = ("--data", discs.path, "--base-channels", 2, "--epochs", 2, "--crop", 32, "--workers", 0, "--device", "cpu",
           "--precision", "float32", "--val-fraction", 0.4, "--batch-size", 3, "--max-lr", 3e-3)  # fmt: skip
    result = cli("train", "all", *how)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"on 2 validation images: Kaggle's mean precision \d\.\d{3}; AP", result.stderr)
    assert result.stderr.endswith(
        f"weights: runs/all/cells.safetensors\nnext: cellprep predict --weights runs/all --data {discs.path}\n"
    )
    assert sorted(path.name for path in Path("runs/all").iterdir()) == [
        "cells.safetensors", "dn", "predictions", "run.json", "scores.csv", "semseg", "wn", "wtn",
    ]  # fmt: skip
    assert [weights.settings.name for weights in load_all_weights("runs/all/cells.safetensors")] == ["semseg", "wn"]
    assert json.loads(Path("runs/all/wn/run.json").read_text())["options"]["epochs"] == 1
    shown = cli("predict", "--weights", "runs/all", "--data", discs.path)
    assert (shown.exit_code, "2 images" in shown.stderr) == (0, True), shown.stderr
    assert re.search(r"runs/all +semseg, wn ", cli("predict", "--weights").stderr)

    steps, step = iter(range(100)), Trainer._step

    def interrupted(self, batch):
        if next(steps) == 8:  # in the second network
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        assert cli("train", "all", *how).exit_code == 130
    refused = {
        ("all", "--epochs", 3): "the run in runs/all-2 has different values of epochs: leave these options out",
        ("dn", "--out", "runs/all-2"): "the run in runs/all-2 trains all, not dn: name it",
        ("all", "--out", "runs/all-2/dn"): "the run in runs/all-2/dn trains dn, not all: name it",
    }
    for words, message in refused.items():
        result = cli("train", *words, "--data", discs.path, "--resume")
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    result = cli("train", "all", "--data", discs.path, "--resume")  # the newest one, by its own options
    assert result.exit_code == 0, result.stderr
    for name in ("cells.safetensors", "scores.csv"):
        assert Path("runs/all-2", name).read_bytes() == Path("runs/all", name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init": (Path("dn"),)}, "--init gives initial weights to only one network"),
        ({"fold": -1}, "--fold all trains only one kind of network"),
        ({"epoch": 3}, "there is no option epoch: did you mean epochs"),
        ({"epochs": "3"}, "epochs is the text '3': give a whole number"),
        ({"background_cell": True}, "the background is not a cell"),
        ({"encoder": Path("vgg16.pth")}, "vgg16.pth"),
    ],
)
def test_what_cannot_be_for_all_networks_is_said_before_the_first_is_trained(discs, tmp_path, settings, message):
    with pytest.raises(CellprepError, match=message):
        train_all(discs, tmp_path / "all", val_fraction=0.4, quiet=True, **settings)
    assert not (tmp_path / "all").exists()
