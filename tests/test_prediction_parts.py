"""The parts of prediction: tiles, flips and rotations, receptive fields, decoding in blocks, images and bundles."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cellprep import (
    DECODERS,
    BuildOptions,
    build_targets,
    cells_from_labels,
    compute_targets,
    energy_to_labels,
    open_source,
    open_store,
)
from cellprep.errors import ImageFileError, RecipeError, UsageError, WeightsError
from cellprep.formats.annotations.content import Listed
from cellprep.formats.images.file import ImageFile
from cellprep.learn import Bundle, Normalisation, Weights, build_network, load_bundle, load_weights, save_bundle
from cellprep.learn.data.samples import CropSettings, SampleMaker
from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.devices import choose_machine
from cellprep.learn.networks import NETWORKS, NetworkSettings
from cellprep.learn.prediction.bundle import as_bundle, with_decoding
from cellprep.learn.prediction.inputs import find_images
from cellprep.learn.prediction.maps import PredictedMaps, _decode_blocks, decode_maps, find_instances, mean_confidence
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.prediction.outputs import Prediction
from cellprep.learn.prediction.overlay import draw_overlay
from cellprep.learn.prediction.predictor import Predictor, _normaliser
from cellprep.learn.prediction.receptive_field import find_receptive_field
from cellprep.learn.prediction.tiles import cut_tiles, round_up, see
from cellprep.learn.prediction.turns import TURNS, turn, turn_back, turn_vectors_back
from cellprep.learn.prediction.views import class_probabilities, vectors_and_levels
from cellprep.learn.settings import Decoding
from cellprep.learn.weights import save_weights
from cellprep.learn.windowed import WindowedArray
from cellprep.store import documents

ROOT = Path(__file__).parent.parent
DATASET = Normalisation("dataset", (100.0,), (150.0,))


def weights(name, **settings):
    settings = {"base_channels": 1, "levels": 5, **settings}
    normalisation = None if name == "wtn" else DATASET
    return Weights(build_network(NetworkSettings(name, **settings), seed=1), normalisation)


# --- tiles


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)), st.sampled_from([1, 4, 8]), st.integers(0, 3), st.integers(0, 30)
)
def test_tiles_cover_each_pixel_once_and_see_enough(shape, multiple, margins, more):
    margin = margins * multiple
    size = 2 * margin + multiple + more
    tiles = cut_tiles(shape, multiple, margin, size)
    covered = np.zeros(shape, int)
    for tile in tiles:
        covered[tile.core] += 1
        for window, core, inner, length in zip(tile.window, tile.core, tile.inner, shape, strict=True):
            padded = round_up(length + 32, multiple)
            first = -((padded - length) // 2)
            assert first <= -16
            assert first + padded >= length + 16
            assert (window.start - first) % multiple == (window.stop - first) % multiple == 0
            assert first <= window.start < window.stop <= first + padded
            assert window.stop - window.start == (padded if length <= size else size // multiple * multiple)
            assert (inner.start, inner.stop) == (core.start - window.start, core.stop - window.start)
            assert window.start == first or core.start - window.start >= margin
            assert window.stop == first + padded or window.stop - core.stop >= margin
    assert (covered == 1).all()


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.sampled_from([1, 4, 16]))
def test_a_window_of_all_is_the_image_padded_symmetrically(shape, multiple):
    image = np.arange(2 * shape[0] * shape[1]).reshape(2, *shape)
    (tile,) = cut_tiles(shape, multiple, 16, 100)
    parts = zip(tile.window, tile.core, tile.inner, strict=True)
    padding = [(inner.start, window.stop - core.stop) for window, core, inner in parts]
    padded = np.pad(image, ((0, 0), *padding), mode="symmetric")
    assert padding[0][1] - padding[0][0] in (0, 1)
    assert (see(image, tile.window) == padded).all()


@pytest.mark.parametrize(("name", "arch"), [(n, a) for n, kind in NETWORKS.items() for a in kind.architectures])
def test_networks_see_no_farther_than_their_reach_and_about_so_far(name, arch):
    """Light beyond the reach changes nothing of a square, wherever it is; just within it does."""
    settings = NetworkSettings(name, arch=arch, base_channels=1, levels=2, masked=False)
    network = build_network(settings, seed=0).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.abs() + 0.01)  # so that nothing cancels, and no ReLU is closed
    multiple, reach = network.multiple, find_receptive_field(NetworkSettings(name, arch=arch))
    assert reach % multiple == 0

    def seen(changed, axis):
        shape = [1, 2 if name == "wtn" else 1, multiple, multiple]
        shape[axis] = 2 * reach + 3 * multiple
        image = torch.ones(shape, dtype=torch.float64)
        image.narrow(axis, 0, changed)[:] = 2
        answers = [ask(network, given)[0] for given in (torch.ones_like(image), image)]
        square = [answer.narrow(axis, reach + multiple, multiple) for answer in answers]
        return not torch.equal(*square)

    for axis in (2, 3):
        assert not seen(multiple, axis)
        assert name == "wn" or seen(2 * multiple, axis)  # stretched to length 1, faint vectors of a wn all but agree


def ask(network, given):
    name = network.settings.name
    answer = network(given) if name in ("wtn", "semseg") else network(given, given)
    return answer[1:] if isinstance(answer, tuple) else (answer,)


# --- turns


class Equivariant(nn.Module):
    """Vectors from the darker to the lighter neighbour, and levels by the sum of the neighbours: they turn along."""

    def forward(self, image, mask):
        padded = nn.functional.pad(image, (1, 1, 1, 1))
        up, down, left, right = (
            padded[..., :-2, 1:-1],
            padded[..., 2:, 1:-1],
            padded[..., 1:-1, :-2],
            padded[..., 1:-1, 2:],
        )
        levels = torch.cat([image, up + down + left + right, mask], 1)
        return torch.cat([down - up, right - left], 1) * mask, levels


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 9, (2, 1, 5, 7)).astype(np.float32))
    return image, torch.from_numpy(rng.integers(0, 2, (2, 1, 5, 7)).astype(np.float32))


@pytest.mark.parametrize("number", TURNS)
def test_what_is_turned_comes_back_exactly(picture, number):
    image, mask = picture
    network = Equivariant()
    vectors, levels = network(image, mask)
    turned, turned_levels = network(turn(image, number), turn(mask, number))
    assert torch.equal(turn_back(turn(image, number), number), image)
    assert torch.equal(turn_vectors_back(turned, number), vectors)
    assert torch.equal(turn_back(turned_levels, number), levels)
    assert number == 0 or not torch.equal(turn_back(turned, number), vectors)  # components must turn, too


def test_the_turns_are_eight():
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert len({tuple(turn(image, number).flatten().tolist()) for number in TURNS}) == 8


def test_the_mean_over_all_turns_of_what_turns_along_is_what_one_view_says(picture):
    image, mask = picture
    one, levels = vectors_and_levels([Equivariant()], [image], mask, [0])
    mean, mean_levels = vectors_and_levels([Equivariant()], [image], mask, TURNS)
    length = one.norm(dim=1, keepdim=True)
    torch.testing.assert_close(mean, torch.where(length > 0, one / length.clamp_min(1e-9), one))
    torch.testing.assert_close(mean_levels, levels)
    assert (mean[:, :, mask[0, 0] == 0][0] == 0).all()
    for answer in (lambda found: found[1], lambda found: (found[1], -found[1])):
        networks = [lambda given, answer=answer: answer(Equivariant()(given, given))]
        once, turned = (class_probabilities(networks, [image], turns) for turns in ([0], TURNS))
        torch.testing.assert_close(turned, once)
        assert len(once) == (2 if isinstance(answer((0, image)), tuple) else 1)


def test_the_mean_is_that_of_probabilities_and_of_directions():
    """A network that always points down the rows of what it sees, as sure of it as the view is wide."""

    def network(image, mask):
        vectors = torch.zeros(1, 2, *image.shape[-2:])
        vectors[:, 0] = 1
        return vectors, torch.full((1, 2, *image.shape[-2:]), float(image.shape[-1])) * torch.tensor([0, 1])[
            :, None, None
        ]

    image = torch.zeros(1, 1, 2, 3)
    uvec, levels = vectors_and_levels([network], [image], image, [0, 4])
    torch.testing.assert_close(uvec[0, :, 0, 0], torch.tensor([0.5, 0.5]).sqrt())
    torch.testing.assert_close(levels[0, 1, 0, 0], torch.sigmoid(torch.tensor([2.0, 3.0])).mean())
    assert (vectors_and_levels([network], [image], image, TURNS)[0] == 0).all()  # all directions contradict each other


def test_networks_of_a_kind_count_by_their_mean():
    """Vectors by their mean direction, which those see that go on from them; classes and levels by probabilities."""
    image = torch.zeros(1, 1, 2, 3)

    def pointing(axis):
        return lambda image, mask: torch.eye(2)[axis].reshape(1, 2, 1, 1).expand(1, 2, 2, 3)

    def sure_of(number, logit=2.0):
        return lambda given: torch.eye(3)[number].reshape(1, 3, 1, 1) * logit + given[:, :1] * 0

    def level(given):
        return torch.cat([given[:, :1], given[:, 1:], 0 * given[:, :1]], 1)

    uvec, levels = vectors_and_levels([pointing(0), pointing(1)], [image, image], image, [0], [level, sure_of(2)])
    torch.testing.assert_close(uvec[0, :, 0, 0], torch.tensor([0.5, 0.5]).sqrt())
    seen = torch.tensor([0.5, 0.5, 0]).sqrt().softmax(0)
    torch.testing.assert_close(levels[0, :, 1, 2], (seen + torch.tensor([0, 0, 2.0]).softmax(0)) / 2)
    (classes,) = class_probabilities([sure_of(0), sure_of(1), sure_of(1)], [image] * 3, TURNS)
    expected = torch.stack([torch.eye(3)[number].mul(2).softmax(0) for number in (0, 1, 1)]).mean(0)
    torch.testing.assert_close(classes[0, :, 0, 0], expected)


# --- decoding


def maps_of(labels, walls_known=True):
    targets = compute_targets(cells_from_labels(labels))
    classes = targets["semseg"].argmax(2).astype(np.uint8)
    still = (targets["uvec"] == 0).all(2) & (classes != 2)
    return PredictedMaps(classes, walls_known, targets["energy"], still), targets


@given(masks(max_side=30, max_count=12), st.sampled_from([*DECODERS]), st.booleans())
def test_blocks_that_see_all_decode_as_the_whole(stack, decoder, walls_known):
    labels = np.zeros(stack.shape[1:], int)
    for number, mask in enumerate(stack, start=1):
        labels[mask] = number
    maps, targets = maps_of(labels, walls_known)
    walls = targets["semseg"][..., 1] if walls_known else None
    whole = energy_to_labels(targets["energy"], targets["uvec"], labels > 0, walls, decoder)
    assert (decode_maps(maps, Decoding(decoder)) == whole).all()
    blocks = _decode_blocks(maps, Decoding(decoder), core=7, halo=40)
    assert blocks.dtype == whole.dtype
    assert (blocks == whole).all()


@pytest.mark.parametrize("decoder", ["walls", "tops"])
def test_blocks_decode_clusters_within_their_halo_as_the_whole(decoder):
    rng = np.random.default_rng(0)
    cells = np.kron(np.arange(1, 145).reshape(12, 12), np.ones((20, 20), int))
    shown = np.zeros_like(cells)
    for top in range(0, 240, 40):
        for left in range(0, 240, 40):  # clusters of up to four cells
            shown[top + 1 : top + 40 - rng.integers(12), left + 1 : left + 40 - rng.integers(12)] = 1
    maps, _ = maps_of(cells * shown)
    whole = decode_maps(maps, Decoding(decoder))
    assert whole.max() > 100
    assert (_decode_blocks(maps, Decoding(decoder), core=50, halo=48) == whole).all()


def test_a_cell_larger_than_any_block_is_still_painted_once():
    maps, _ = maps_of(np.pad(np.ones((60, 90), int), 3))
    labels = _decode_blocks(maps, Decoding(), core=16, halo=4)
    assert ((labels > 0) <= (maps.classes != 2)).all()
    assert set(np.unique(labels)) == set(range(labels.max() + 1))


@given(masks(max_side=30, max_count=12), st.integers(0, 60))
def test_small_instances_are_left_out_and_counted(stack, least):
    labels = np.zeros(stack.shape[1:], int)
    for number, mask in enumerate(stack, start=1):
        labels[mask] = number
    maps, _ = maps_of(labels)
    whole = decode_maps(maps, Decoding())
    found, left_out = find_instances(maps, Decoding("walls", least))
    kept = [number for number in range(1, whole.max() + 1) if (whole == number).sum() >= least]
    assert left_out == whole.max() - len(kept)
    assert found.dtype == whole.dtype
    np.testing.assert_array_equal(found, sum((np.where(whole == n, k, 0) for k, n in enumerate(kept, 1)), 0 * whole))


# --- images


def test_images_are_found_in_files_folders_globs_and_stores(tmp_path, cli):
    shutil.copytree(ROOT / "examples" / "cells", tmp_path, dirs_exist_ok=True)
    store = tmp_path / "data.zarr"
    assert cli("build-targets", tmp_path / "train.csv", "--images", tmp_path / "train", "--out", store).exit_code == 0
    names = ["round-1", "spindle-1", "stellate-1"]
    for places in ([tmp_path / "train"], [f"{tmp_path}/tr*/*-1.png"], [store], [f"{tmp_path}/**/train/*.png"]):
        found = find_images(places).images
        assert [image.id for image in found] == names
        assert not any(image.problem for image in found)
        assert found[0].pixels.decode().shape == (130, 176)
    file = tmp_path / "train" / "spindle-1.png"
    assert [image.id for image in find_images([file, tmp_path / "train"]).images] == [
        "spindle-1",
        "round-1",
        "stellate-1",
    ]
    shutil.copy(file, tmp_path)
    *_, twice = sorted(
        find_images([tmp_path / "train", tmp_path / file.name]).images, key=lambda image: bool(image.problem)
    )
    assert twice.problem.startswith("several images have this id: ")


@pytest.mark.parametrize(
    ("place", "problem"),
    [("nowhere.png", "there is no image .*nowhere.png"), ("*.tif", "there is no image"), (".", "contains no image")],
)
def test_a_place_without_images_is_named(tmp_path, place, problem):
    with pytest.raises(ImageFileError, match=problem):
        find_images([tmp_path / place])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_prediction_and_training_normalise_alike(tmp_path, monkeypatch, dtype):
    """Also a huge image, of which neither reads all at once, and some pixels stand for all."""
    image = np.random.default_rng(0).integers(0, 250, (40, 50)).astype(dtype)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", image)
    tifffile.imwrite(tmp_path / "masks" / "a.tif", np.pad(np.ones((9, 9), np.uint8), ((3, 28), (3, 38))))
    monkeypatch.setattr(documents, "_CHUNK", 8)
    monkeypatch.setattr(documents, "_SHARD", 16)
    monkeypatch.setattr("cellprep.learn.normalisation._MOST_SORTED", 300)
    documents.array_document.cache_clear()
    build_targets(open_source(tmp_path), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    store = open_store(tmp_path / "s.zarr")
    percentiles = Normalisation("percentile", (1,), (99.8,))
    maker = SampleMaker(TrainingSet(store, ["a"]), CropSettings(crop=40, augment=()), percentiles)
    shown = maker.whole(0, 1)["image"]
    weights = [SimpleNamespace(normalisation=percentiles)]
    pixels = WindowedArray.of_pixels(store["a"])
    (predicted,) = _normaliser(weights, pixels)(pixels[:, 0:40, 0:50])
    documents.array_document.cache_clear()
    np.testing.assert_array_equal(predicted, shown)


def test_overlays_mark_the_rims_alone():
    image = np.full((1, 300, 40), 7, np.uint16)
    labels = np.zeros((300, 40), np.uint16)
    labels[120:140, 5:15], labels[120:140, 15:30] = 1, 2  # across the rows that are drawn at once
    picture = draw_overlay(image, labels)
    marked = (picture != picture[0, 0]).any(2)
    rim = labels > 0
    rim[121:139, 6:14] = rim[121:139, 16:29] = False
    assert (marked == rim).all()
    assert (picture[125, 14] != picture[125, 15]).any()
    assert draw_overlay(np.zeros((3, 300, 40)), labels).shape == (300, 40, 3)


def test_confidence_is_the_mean_over_pixels():
    rng = np.random.default_rng(0)
    labels, confidence = rng.integers(0, 9, (300, 20)), rng.integers(0, 256, (300, 20)).astype(np.uint8)
    expected = [confidence[labels == number].mean() / 255 for number in range(1, 9)]
    np.testing.assert_allclose(mean_confidence(confidence, labels), expected)
    assert mean_confidence(confidence, np.zeros_like(labels)).shape == (0,)


# --- bundles


def test_a_bundle_is_one_file_that_gives_back_all_its_weights(tmp_path):
    bundle = as_bundle([weights("semseg"), weights("wtn"), weights("dn")])
    save_bundle(tmp_path / "all", bundle)
    again = load_bundle([tmp_path / "all"])
    for before, after in zip(bundle.parts, again.parts, strict=True):
        assert (before.settings, before.normalisation, before.recipe) == (
            after.settings,
            after.normalisation,
            after.recipe,
        )
        for name, tensor in before.network.state_dict().items():
            assert torch.equal(after.network.state_dict()[name], tensor)
        assert not after.network.training
    with pytest.raises(WeightsError, match="are those of several networks, dn, semseg, wtn"):
        load_weights(tmp_path / "all")


def test_a_bundle_tells_how_its_maps_are_decoded(tmp_path):
    assert as_bundle([weights("wn")]).decoding == Decoding("walls", 20)
    for parts in (["wn"], ["dn", "wtn", "semseg"]):
        save_bundle(tmp_path / "all", with_decoding(as_bundle(map(weights, parts)), Decoding("tops", 7)))
        bundle = load_bundle([tmp_path / "all"])
        assert bundle.decoding == Decoding("tops", 7)
        assert Predictor(bundle, PredictionOptions()).decoding == Decoding("tops", 7)
        assert Predictor(bundle, PredictionOptions(min_area=0)).decoding == Decoding("tops", 0)
        assert Predictor(bundle, PredictionOptions(decoder="walls")).decoding == Decoding("walls", 7)


def test_options_of_a_decoder_stay_with_the_weights(tmp_path):
    def saved(decoding):
        save_bundle(tmp_path / "all", with_decoding(as_bundle([weights("wn")]), decoding))
        return load_bundle(tmp_path / "all"), (tmp_path / "all").read_bytes()

    (bundle, content), (_, plain) = saved(Decoding("tops", options={"depth": 2, "ratio": 0.5})), saved(Decoding("tops"))
    assert b'\\"options\\":{\\"depth\\":2,\\"ratio\\":0.5}' in content
    assert b"depth" not in plain  # the same bytes as before there were any
    assert b'\\"decoding\\":{\\"decoder\\":\\"tops\\",\\"min_area\\":20}' in plain
    assert bundle.decoding == Decoding("tops", options={"depth": 2, "ratio": 0.5})
    for changes, expected in (
        ({"decoder_options": {"depth": 3}}, {"depth": 3, "ratio": 0.5}),
        ({"decoder": "tops"}, {"depth": 2, "ratio": 0.5}),
        ({"decoder": "original", "decoder_options": {"level": 2}}, {"level": 2}),
    ):
        assert Predictor(bundle, PredictionOptions(**changes)).decoding.options == expected
    with pytest.raises(RecipeError, match="decoder tops has no option 'level'"):
        Predictor(bundle, PredictionOptions(decoder_options={"level": 2}))


def test_options_reach_the_decoder_in_blocks_as_well():
    maps, _ = maps_of(np.kron([[1, 2, 3]], np.ones((9, 4), int)))
    maps.energy[:] = maps.energy.clip(max=1)
    cut = Decoding("original", options={"level": 0, "min_hole": 0})
    assert decode_maps(maps, Decoding("original")).max() == 0
    assert decode_maps(maps, cut).max() == 3
    assert (_decode_blocks(maps, cut, core=6, halo=40) == decode_maps(maps, cut)).all()


def test_half_the_bytes_and_three_digits(tmp_path):
    bundle = Bundle(weights("wn", base_channels=8))
    save_bundle(tmp_path / "full", bundle)
    save_bundle(tmp_path / "half", bundle, half=True)
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "full").stat().st_size
    after = load_bundle([tmp_path / "half"]).vectors.network.state_dict()
    for name, tensor in bundle.vectors.network.state_dict().items():
        assert after[name].dtype == tensor.dtype
        torch.testing.assert_close(after[name], tensor, rtol=1e-3, atol=1e-6)


def test_files_of_weights_come_together(tmp_path):
    for name in ("dn", "wtn", "semseg", "wn"):
        save_weights(tmp_path / name, weights(name))
    assert [part.settings.name for part in load_bundle([tmp_path / "wtn", tmp_path / "dn"]).parts] == ["dn", "wtn"]
    assert not load_bundle([tmp_path / "dn"], tmp_path / "semseg").tells_instances
    both = load_bundle([tmp_path / "wn"], tmp_path / "semseg")
    assert both.tells_instances
    assert [part.settings.name for part in both.parts] == ["wn", "semseg"]
    save_bundle(tmp_path / "both", both)
    replaced = load_bundle([tmp_path / "both"], tmp_path / "semseg")
    assert replaced.semseg is not None
    with pytest.raises(UsageError, match="contains weights of wn: semseg weights must contain semseg"):
        load_bundle([tmp_path / "wn"], tmp_path / "wn")


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([], "the weights are of nothing: predict needs a wn, or a dn and a wtn, or a dn for vectors only"),
        (["wtn"], "the weights are of wtn"),
        (["semseg"], "the weights are of semseg"),
        (["wn", "wtn"], "the weights are of wn, wtn"),
        (["wn", "dn"], "the weights are of wn, dn"),
    ],
    ids=str,
)
def test_weights_that_make_no_prediction_are_refused(parts, problem):
    with pytest.raises(UsageError, match=problem):
        as_bundle([weights(name) for name in parts])


def test_several_of_a_kind_stay_together(tmp_path):
    parts = [weights("semseg"), weights("dn"), weights("wtn"), weights("semseg", base_channels=3)]
    save_bundle(tmp_path / "all", as_bundle(parts))
    bundle = load_bundle([tmp_path / "all"])
    assert bundle.names == ["dn", "wtn", "2 semseg"]
    assert [part.settings.base_channels for part in bundle.alike(bundle.semseg)] == [
        part.settings.base_channels for part in (parts[0], parts[3])
    ]
    save_weights(tmp_path / "semseg", parts[0])
    assert load_bundle([tmp_path / "all"], tmp_path / "semseg").names == ["dn", "wtn", "semseg"]
    (tmp_path / "folds").mkdir()
    for fold in range(3):
        (tmp_path / "folds" / f"fold-{fold}").mkdir()
        save_weights(tmp_path / "folds" / f"fold-{fold}" / "best.safetensors", weights("semseg"))
    assert load_bundle([tmp_path / "all"], tmp_path / "folds").names == ["dn", "wtn", "3 semseg"]


@pytest.mark.parametrize("tta", [False, True])
def test_equal_networks_predict_what_one_of_them_does(tta):
    image = np.random.default_rng(0).integers(0, 255, (1, 40, 56)).astype(np.uint8)
    parts = [weights(name) for name in ("dn", "wtn", "semseg")]
    options = PredictionOptions(device="cpu", quiet=True, tta=tta)
    one, two = (
        Predictor(as_bundle(given), options).predict(image, keep_uvec=True, keep_confidence=True)
        for given in (parts, 2 * parts)
    )
    np.testing.assert_array_equal(two.classes, one.classes)
    np.testing.assert_array_equal(two.energy, one.energy)
    np.testing.assert_allclose(two.uvec, one.uvec, atol=1e-3)
    np.testing.assert_allclose(two.confidence, one.confidence, atol=1)


@pytest.mark.parametrize(
    "other", [Weights(weights("wn").network, mask="cells"), weights("wn", levels=9)], ids=["mask", "levels"]
)
def test_networks_of_a_kind_that_differ_in_what_they_answer_are_refused(other):
    with pytest.raises(UsageError, match="two wn of the weights do not match"):
        as_bundle([weights("wn"), other])


def test_weights_for_other_images_are_refused():
    colours = Weights(weights("semseg", image_channels=3).network, Normalisation("dataset", (1, 1, 1), (2, 2, 2)))
    with pytest.raises(UsageError, match="wn is for images with 1 channels, semseg for 3"):
        as_bundle([weights("wn"), colours])


# --- machines


def test_a_machine_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="device 'cuda' is not available: use "):
        choose_machine("cuda", "float32")
    assert choose_machine("cpu", "bfloat16").dtype == torch.bfloat16
    assert choose_machine("auto", "float32").dtype == torch.float32


@pytest.mark.parametrize(
    ("image_id", "path", "name"), [("a", "x/a.tif", "a.tif"), ("x_a", "x/a.tif", "x_a.tif"), ("a", None, "")], ids=str
)
def test_predictions_are_listed_by_the_names_of_their_files(image_id, path, name):
    """By which readers of COCO find the ids again; images of a store have no file."""
    pixels = ImageFile(Path(path)) if path else None
    assert Prediction(image_id, np.zeros((3, 4), np.uint16), None, pixels).listed == Listed(image_id, (3, 4), name)
