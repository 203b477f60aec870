"""Training from the weights of a bundle, and fine-tuning all of its networks."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from stores import discs, write_store

from cellprep.commands.report import report_finetuning
from cellprep.errors import CellprepError, UsageError, WeightsError
from cellprep.learn import NetworkSettings, Normalisation, Weights, build_network, load_bundle, train
from cellprep.learn.prediction.bundle import Bundle, save_bundle
from cellprep.learn.prediction.options import SHIPPED
from cellprep.learn.settings import FINE_TUNING_SAMPLES, Decoding
from cellprep.learn.training.options import TrainOptions
from cellprep.learn.training.plan import make_plan
from cellprep.learn.training.trainer import Trainer
from cellprep.learn.weights import load_all_weights, load_weights
from cellprep.workflows.finetune import finetune

PERCENTILES = Normalisation("percentile", (1.0,), (99.8,))
TINY = {
    "samples_per_epoch": 4,
    "batch_size": 2,
    "crop": 32,
    "device": "cpu",
    "precision": "float32",
    "workers": 0,
    "quiet": True,
}
FLAGS = [word for name, value in TINY.items() if name != "quiet" for word in (f"--{name.replace('_', '-')}", value)]


def weights(name, **settings):
    network = build_network(NetworkSettings(name, "unet", **{"base_channels": 2, **settings}), seed=1)
    return Weights(network, None if name == "wtn" else PERCENTILES, decoding=Decoding("tops", 5))


def bright_discs(seed, shape=(48, 64)):
    labels = discs(shape, 5, seed=seed)
    return labels, np.where(labels > 0, 170, 60).astype(np.uint8) + np.random.default_rng(seed).integers(
        0, 30, labels.shape, dtype=np.uint8
    )


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("cellprep.learn.training.run.has_matplotlib", lambda: False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("discs") / "data.zarr", {f"i{n}": bright_discs(n) for n in range(4)})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "tiny.safetensors"
    save_bundle(path, Bundle(weights("dn"), weights("wtn", base_channels=3), weights("semseg")))
    return path


def same(one, other):
    ours, theirs = (weights.network.state_dict() for weights in (one, other))
    return ours.keys() == theirs.keys() and all((tensor == theirs[name]).all() for name, tensor in ours.items())


@pytest.mark.parametrize("network", ["semseg", "dn", "wtn"])
def test_a_training_takes_the_network_that_it_needs_from_a_bundle(store, bundle, tmp_path, cli, network):
    where = ("--data", store.path, "--out", tmp_path / "run", "--init", bundle)
    result = cli("train", network, *where, "--epochs", 1, "--max-lr", 1e-30, *FLAGS)
    assert result.exit_code == 0, result.stderr
    (first,) = [part for part in load_all_weights(bundle) if part.settings.name == network]
    last = load_weights(tmp_path / "run" / "last.safetensors")
    assert last.settings == first.settings
    assert last.normalisation == first.normalisation
    assert last.decoding == first.decoding
    for (name, tensor), was in zip(
        last.network.named_parameters(), dict(first.network.named_parameters()).values(), strict=True
    ):
        assert abs(tensor - was).max() < 1e-20, name
    (origin,) = json.loads((tmp_path / "run" / "run.json").read_text())["origin"]
    assert (origin["weights"], origin["network"], len(origin["sha256"])) == (str(bundle), network, 64)
    assert last.training["origin"] == [{**origin, "weights": bundle.name}]  # nobody else's folders


def test_an_epoch_of_few_images_has_a_least_number_of_crops_where_weights_are_trained_on(store, bundle, tmp_path):
    def crops(network, crop=32, **others):
        return make_plan(store, TrainOptions(network, crop=crop, **others)).crops.samples_per_epoch

    assert crops("dn") is None
    assert crops("dn", init=["nuclei"]) == FINE_TUNING_SAMPLES == 64
    assert crops("dn", init=["nuclei"], samples_per_epoch=3) == 3
    save_bundle(tmp_path / "parts.safetensors", Bundle(weights("dn"), weights("wtn")))
    assert crops("wn", init=[tmp_path / "parts.safetensors"]) is None  # these have learnt it already
    many = write_store(tmp_path / "large.zarr", {name: bright_discs(0, (640, 640)) for name in "ab"})
    assert make_plan(many, TrainOptions("dn", crop=64, init=["nuclei"])).crops.samples_per_epoch is None


@pytest.mark.parametrize(
    ("network", "others", "message"),
    [
        (
            "dn",
            {"base_channels": 4},
            r"the dn of .*tiny.* has base channels 2, but this training has 4.*omit --base-chann",
        ),
        ("wtn", {"base_channels": 2}, "the wtn of .* has base channels 3, but this training has 2"),
        ("dn", {"arch": "published"}, "has arch unet, but this training has published: .*; omit --arch"),
        (
            "semseg",
            {"normalisation": "dataset"},
            "has the normalisation percentile, but this training has dataset: .*omit --nor",
        ),
        ("wn", {}, "the wtn of .* has base channels 3, but this training has 2: they must be the same$"),
        ("wn", {"init": ["nuclei"]}, "the wtn of nuclei has arch published, but this training has unet"),
    ],
)
def test_what_contradicts_the_weights_is_refused(store, bundle, tmp_path, network, others, message):
    with pytest.raises(UsageError, match=message):
        train(store, network, **{"init": [bundle], "out": tmp_path / "run", **TINY, **others})
    assert not (tmp_path / "run").exists()


def test_weights_of_other_networks_are_refused(store, bundle, tmp_path):
    save_bundle(tmp_path / "wn.safetensors", Bundle(weights("wn")))
    with pytest.raises(UsageError, match=r"--init contains weights of wn: give those of a dn$"):
        train(store, "dn", init=[tmp_path / "wn.safetensors"], out=tmp_path / "run", **TINY)
    with pytest.raises(UsageError, match=r"contains weights of dn, semseg, wn and wtn: give those of a semseg$"):
        train(store, "semseg", init=[bundle, tmp_path / "wn.safetensors"], out=tmp_path / "run", **TINY)
    with pytest.raises(WeightsError, match="there are no weights nucleus: there is no such file"):
        train(store, "dn", init="nucleus", out=tmp_path / "run", **TINY)


def test_all_networks_are_fine_tuned_by_one_command_also_if_it_is_interrupted(
    store, bundle, cli, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    how = ("--weights", bundle, "--data", store.path, "--epochs", 1, *FLAGS)
    result = cli("finetune", *how, "--json")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"semseg, dn, wtn of .*tiny.safetensors, trained on 3 images", result.stderr)
    assert re.search(r"on 1 image held out: Kaggle's mean precision \d\.\d{3} before, \d\.\d{3} after", result.stderr)
    assert "note: with only 1 image held out, the effect on other images is uncertain" in result.stderr
    assert result.stderr.endswith(f"next: cellprep predict --weights runs/finetune --data {store.path}\n")
    out = tmp_path / "runs" / "finetune"
    assert sorted(path.name for path in out.iterdir()) == [
        "after", "after.csv", "before", "before.csv", "dn", "finetuned.safetensors", "report.html", "report.json",
        "run.json", "semseg", "wtn",
    ]  # fmt: skip
    assert json.loads(result.stdout) == json.loads((out / "report.json").read_text())
    settings = json.loads((out / "run.json").read_text())
    (held_out,) = settings["validation_images"]
    for network in ("semseg", "dn", "wtn"):
        run = json.loads((out / network / "run.json").read_text())
        assert (run["validation_images"], held_out in run["train_images"]) == ([held_out], False)
        assert run["origin"] == [origin for origin in settings["origin"] if origin["network"] == network]
        (tuned,) = [part for part in load_all_weights(out / "finetuned.safetensors") if part.settings.name == network]
        assert same(tuned, load_weights(out / network))
    assert load_bundle("runs/finetune").decoding == load_bundle(bundle).decoding
    page = (out / "report.html").read_text()
    assert all(f"{held_out}, {when}</figcaption>" in page for when in ("before", "after"))
    assert "1 image" in cli("predict", "--weights", "runs/finetune", "--data", store.path).stderr
    missing = cli("predict", "--weights", "runs/finetune", "--data", store.path, "--image", "nobody")
    assert (missing.exit_code, "image nobody is not among the images to predict" in missing.stderr) == (2, True)
    assert re.search(r"runs/finetune +dn, semseg, wtn ", cli("finetune", "--weights").stderr)
    assert cli("report", "runs/finetune", "--out", "page.html").exit_code == 0
    assert (tmp_path / "page.html").read_text() == page

    steps, step = iter(range(100)), Trainer._step

    def interrupted(self, batch):
        if next(steps) == 3:  # in the second network
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        assert cli("finetune", *how).exit_code == 130
    assert not (tmp_path / "runs" / "finetune-2" / "finetuned.safetensors").exists()
    for words, message in {
        ("--out", out): "contains a run already: resume it with --resume",
        (
            "--resume",
            "--epochs",
            3,
        ): "the run in runs/finetune-2 has different values of epochs: leave these options out",
        ("--resume", "--weights", "nuclei"): "the run in runs/finetune-2 has different values of weights",
        ("--resume", "--only", "dn"): "the run in runs/finetune-2 has different values of only",
    }.items():
        refused = cli("finetune", *words, "--data", store.path)
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.stderr
    content = bundle.read_bytes()
    save_bundle(bundle, load_bundle(SHIPPED["nuclei"]))
    changed = cli("finetune", "--data", store.path, "--resume")
    assert (changed.exit_code, "the semseg of" in changed.stderr) == (2, True), changed.stderr
    assert "tiny.safetensors has changed since runs/finetune-2 was started" in changed.stderr
    bundle.write_bytes(content)
    assert cli("finetune", "--data", store.path, "--resume").exit_code == 0  # the newest one, by its own options
    for name in ("finetuned.safetensors", "before.csv", "after.csv"):
        assert (tmp_path / "runs" / "finetune-2" / name).read_bytes() == (out / name).read_bytes()


def test_weights_that_became_worse_are_not_taken(tmp_path, cli):
    y, x = np.indices((96, 128))
    labels = np.zeros(y.shape, int)
    for number, (row, column) in enumerate([(25, 30), (60, 90), (70, 30)], start=1):
        labels[np.hypot(y - row, x - column) < 11] = number
    image = (np.random.default_rng(0).normal(20, 3, y.shape) + 90 * (labels > 0)).clip(0, 255).astype(np.uint8)
    write_store(tmp_path / "data.zarr", dict.fromkeys("abcd", (labels, image)))
    how = ("--only", "semseg", "--val-fraction", 0.75, "--epochs", 1, "--max-lr", 9, "--schedule", "constant",
           "--crop", 32, "--batch-size", 1, "--samples-per-epoch", 4, "--workers", 0, "--device", "cpu")  # fmt: skip
    result = cli("finetune", "--data", tmp_path / "data.zarr", "--out", tmp_path / "out", *how)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"Kaggle's mean precision 1\.000 before, 0\.\d+ after; 0 better, 3 worse", result.stderr)
    assert (
        "warning: fine-tuning lowered the score, so finetuned.safetensors contains the original weights"
        in result.stderr
    )
    assert re.search(r"^kaggle_map +1\.000 +0\.\d\d\d$", result.stdout, re.MULTILINE)
    assert "note: with" not in result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["kept"], report["networks"], report["held_out"]) == ("before", ["semseg"], 3)
    assert "made it worse" in (tmp_path / "out" / "report.html").read_text()
    kept = load_bundle(tmp_path / "out")
    assert all(map(same, kept.parts, load_bundle(SHIPPED["nuclei"]).parts))


def test_a_single_image_is_trained_on_and_nothing_is_said_of_others(tmp_path, bundle, cli):
    write_store(tmp_path / "data.zarr", {"one": bright_discs(0)})
    where = ("--data", tmp_path / "data.zarr", "--out", tmp_path / "out", "--weights", bundle)
    result = cli("finetune", *where, "--only", "semseg", "--epochs", 1, *FLAGS)
    assert result.exit_code == 0, result.stderr
    run = json.loads((tmp_path / "out" / "semseg" / "run.json").read_text())
    assert run["train_images"] == run["validation_images"] == ["one"]
    for words in (
        "1 image, validated on the same\n",
        "on the training images: Kaggle's mean precision",
        "note: no image is held out: the scores are those of the training images, and the effect on other images",
    ):
        assert words in result.stderr
    first, tuned = load_bundle(bundle), load_bundle(tmp_path / "out")
    assert same(tuned.vectors, first.vectors) and not same(tuned.semseg, first.semseg)


def test_a_bundle_may_lack_a_network(store, tmp_path):
    save_bundle(tmp_path / "wn.safetensors", Bundle(weights("wn")))
    save_bundle(tmp_path / "dn.safetensors", Bundle(weights("dn")))
    report = finetune(store, tmp_path / "out", tmp_path / "wn.safetensors", epochs=1, **TINY)
    assert [run.out.name for run in report.trained] == ["wn"]
    assert any("contain no semseg: the true masks were used for both scores" in it for it in report.notes())
    for name, only, message in (
        ("wn", ["semseg"], r"wn.safetensors contain no semseg, only wn$"),
        ("wn", ["vgg"], "hold no vgg"),
        ("dn", [], "a dn alone does not predict"),
    ):
        with pytest.raises(UsageError, match=message):
            finetune(store, tmp_path / "no", tmp_path / f"{name}.safetensors", only=only, **TINY)
        assert not (tmp_path / "no").exists()
    several = ["nuclei", SHIPPED["nuclei"]]
    with pytest.raises(UsageError, match="contain several networks of the same kind: fine-tune one of each"):
        finetune(store, tmp_path / "no", several, **TINY)


def test_the_page_of_what_others_made_shows_no_other_files_and_says_what_is_damaged(tmp_path):
    (tmp_path / "run" / "before" / "overlays").mkdir(parents=True)
    for place in (tmp_path / "secret.png", tmp_path / "run" / "before" / "overlays" / "a.png"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(place)
    names = ["../../../secret", "a", "<b>"]
    result = {"weights": ["<i>"], "networks": ["dn"], "train_images": 1, "held_out": 0, "before": None, "after": None,
              "by_image": [{"image": name, "before": 0.5, "after": 0.25} for name in names],
              "kept": "before", "unknown": ["much"]}  # fmt: skip
    (tmp_path / "run" / "report.json").write_text(json.dumps(result))
    report_finetuning(tmp_path / "run", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["a, before"]
    assert "&lt;i&gt;" in page and "&lt;b&gt;" in page and "<b>" not in page
    (tmp_path / "run" / "report.json").write_text(json.dumps(result | {"kept": 3}))
    with pytest.raises(CellprepError, match=r"the fine-tuning .*run is damaged: Expected `str`, got `int`"):
        report_finetuning(tmp_path / "run", tmp_path / "page.html")
