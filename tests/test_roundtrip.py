import json
import shutil

import pytest
from conftest import THOROUGH

from cellprep import (
    DECODERS,
    BuildOptions,
    RoundtripOptions,
    build_targets,
    energy_to_labels,
    evaluate,
    open_source,
    open_store,
    roundtrip,
)
from cellprep.commands.demo import write_dataset
from cellprep.commands.roundtrip.decoded import DecodedStore
from cellprep.core.decode import DEFAULT_DECODER
from cellprep.core.scores import score_image, summarise_by_type
from cellprep.errors import RecipeError, StoreError, UsageError


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roundtrip")
    csv = write_dataset(folder, images_per_type=1, shape=(120, 160))
    build_targets(open_source(csv), folder / "data.zarr")
    return folder / "data.zarr"


@pytest.mark.parametrize("walls", [False, True])
def test_scores_are_those_of_decoding_each_image(built, walls):
    report = roundtrip(open_store(built), RoundtripOptions(walls=walls, jobs=1, quiet=True))
    assert list(report.decoders) == list(DECODERS)
    images = list(open_store(built).values())
    for name, found in report.decoders.items():
        scores = []
        for image in images:
            semseg = image.read("semseg")
            given = semseg[..., 1] if walls else None
            mask = semseg[..., 0] + semseg[..., 1]
            decoded = energy_to_labels(image.read("energy"), image.read("uvec"), mask, given, name)
            scores.append(score_image(decoded, image.read("labels")))
        assert found.scores == summarise_by_type(scores, [image.attributes["cell_type"] for image in images])


def test_any_number_of_jobs_gives_the_same(built):
    reports = [roundtrip(open_store(built), RoundtripOptions(jobs=jobs, quiet=True)).to_dict() for jobs in (1, 2)]
    assert reports[0] == reports[1]


def test_the_default_is_best_on_generated_images(built):
    scores = {
        name: report.scores["overall"]["kaggle_map"] for name, report in roundtrip(open_store(built)).decoders.items()
    }
    assert scores[DEFAULT_DECODER] == max(scores.values())
    assert scores[DEFAULT_DECODER] > 0.9
    assert scores["original"] < scores["watershed"]


def test_pixels_to_ignore_count_for_nobody(tmp_path):
    """The original's dilation leaves the mask of a slanted cell: into a region to ignore it may."""
    cell = {"segmentation": [[2, 2, 18, 6, 14, 18]], "iscrowd": 0, "area": 100}
    crowd = {"segmentation": {"size": [20, 30], "counts": [0, 600]}, "iscrowd": 1, "area": 600}
    quality = []
    for name, annotations in {"without": [cell], "with": [cell, crowd]}.items():
        content = {
            "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
            "categories": [{"id": 1, "name": "cell"}],
            "annotations": [{**its, "id": k, "image_id": 1, "category_id": 1} for k, its in enumerate(annotations)],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        build_targets(open_source(tmp_path / f"{name}.json"), tmp_path / f"{name}.zarr")
        report = roundtrip(open_store(tmp_path / f"{name}.zarr"), RoundtripOptions(jobs=1))
        quality.append(report.decoders["original"].scores["overall"]["pq"])
    assert 0 < quality[0] < quality[1]


def test_command(cli, built):
    result = cli("roundtrip", built, "--jobs", 1)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["kaggle_map", "all"]
    assert [line.split()[0] for line in lines[1:]] == list(DECODERS)


def test_command_draws_the_worst(cli, built, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "worst"
    args = ("roundtrip", built, "--jobs", 1, "--decoder", "original", "--worst", 1, "--pictures", out)
    result = cli(*args)
    assert result.exit_code == 0, result.output
    assert "\n\nlowest scores, decoded by original:\n" in result.stdout
    worst = result.stdout.splitlines()[-1].split()[0]
    assert sorted(path.name for path in out.iterdir()) == [f"01-{worst}.png"]
    result = cli(*args)
    assert result.exit_code == 1
    assert f"{out} already exists: replace it with --overwrite, or choose another path" in result.stderr


def test_pictures_are_drawn_of_what_is_scored(built):
    store = open_store(built)
    truth = open_source(built)
    for walls in (False, True):
        options = RoundtripOptions(walls=walls, jobs=1, quiet=True)
        scores = roundtrip(store, options).decoders["original"].scores
        assert evaluate(DecodedStore(built, "original", walls), truth).scores == scores


def test_command_prints_json(cli, built):
    content = json.loads(cli("roundtrip", built, "--jobs", 1, "--json", "--decoder", "original").stdout)
    assert content["default"] == DEFAULT_DECODER
    assert list(content["decoders"]) == ["original"]
    assert set(content["decoders"]["original"]) >= {"overall", "by_cell_type", "images", "by_image", "failures"}


def test_quiet_is_quiet(cli, built):
    assert cli("roundtrip", built, "--jobs", 1, "--quiet").output == ""


def test_a_broken_image_fails_alone(cli, built, tmp_path):
    store = tmp_path / "data.zarr"
    shutil.copytree(built, store)
    broken = next(iter(open_store(store)))
    shutil.rmtree(store / broken / "energy")
    report = roundtrip(open_store(store), RoundtripOptions(jobs=1, quiet=True))
    assert list(report.decoders["walls"].failures) == [broken]
    assert report.decoders["walls"].scores["images"] == len(open_store(built)) - 1
    result = cli("roundtrip", store, "--jobs", 1)
    assert result.exit_code == 1
    assert broken in result.stderr


def test_refuses(cli, built, tmp_path):
    with pytest.raises(RecipeError, match="decoder 'best' is unknown"):
        RoundtripOptions(decoders=("best",))
    for decoders in ((), ("walls", "original")):
        with pytest.raises(UsageError, match="options of a decoder need exactly one decoder: name it"):
            RoundtripOptions(decoders=decoders, decoder_options={"level": 2})
    with pytest.raises(UsageError, match="jobs is 0"):
        RoundtripOptions(jobs=0)
    assert cli("roundtrip", built, "--decoder", "best").exit_code == 2
    shutil.copytree(built, tmp_path / "empty.zarr", ignore=lambda folder, names: set(names) - {"zarr.json"})
    with pytest.raises(StoreError, match=r"empty\.zarr has no images to decode"):
        roundtrip(open_store(tmp_path / "empty.zarr"))


@pytest.mark.slow
def test_real_targets_come_back(sartorius, tmp_path):
    source = open_source(sartorius)
    ids = tuple(image.image_id for image in source.images())[:: 1 if THOROUGH else 5]  # of each cell type
    build_targets(source, tmp_path / "data.zarr", BuildOptions(only=ids, quiet=True))
    options = RoundtripOptions(decoders=DEFAULT_DECODER, quiet=True)
    scores = roundtrip(open_store(tmp_path / "data.zarr"), options).decoders[DEFAULT_DECODER].scores
    assert scores["overall"]["kaggle_map"] > (0.978 if THOROUGH else 0.9815)
    assert scores["by_cell_type"]["astro"]["kaggle_map"] > (0.945 if THOROUGH else 0.946)
    assert scores["images"] == len(ids) == (256 if THOROUGH else 52)


def test_options_reach_the_decoder(built, tmp_path, cli):
    """A cut above level 16 leaves next to nothing."""
    options = RoundtripOptions(decoders=("original",), decoder_options={"level": 16}, jobs=1, quiet=True)
    report = roundtrip(open_store(built), options)
    scores = report.decoders["original"].scores
    assert scores["overall"]["kaggle_map"] < 0.1
    assert "decoded by original (level=16)" in report.decoders["original"].predicted
    truth = open_source(built)
    assert evaluate(DecodedStore(built, "original", True, {"level": 16}), truth).scores == scores
    args = ("roundtrip", built, "--jobs", 1, "--decoder", "original", "--decoder-option", "level=16", "--json")
    assert json.loads(cli(*args).stdout)["decoders"]["original"]["overall"] == scores["overall"]
