"""Stores and sources in object stores: in memory, and in a local server with the S3 protocol."""

import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from threading import Barrier

import pytest
from conftest import tree
from stores import discs, noise, write_store
from test_formats import MASK, SOURCES
from test_layouts import LAYOUTS, lay, read
from test_train import write_discs

from cellprep import BuildOptions, Recipe, build_targets, check_source, open_source, open_store
from cellprep.commands.check import CheckOptions
from cellprep.commands.demo import write_dataset
from cellprep.commands.info import describe_store
from cellprep.commands.verify import verify_store
from cellprep.errors import (
    CellprepError,
    ImageFileError,
    MissingExtraError,
    SourceError,
    StoreError,
    StoreWriteError,
    UsageError,
)
from cellprep.formats.images.folder import ImageFolder
from cellprep.learn.prediction.inputs import find_images
from cellprep.system.files import read_file
from cellprep.system.places import as_place, entries_in, is_remote, names_in

pytest.importorskip("upath")
pytest.importorskip("obstore")
pytest.importorskip("moto")

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def s3():
    """Begin of the URLs of an empty bucket; processes that are started find its server."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ALLOW_HTTP", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        patch.setenv("AWS_REGION", "us-east-1")
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT")).close()
        yield "s3://bucket"
    process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Annotations and images on this machine."""
    return write_dataset(tmp_path_factory.mktemp("source"), images_per_type=3, shape=(60, 80)).parent


@pytest.fixture(scope="module")
def local(folder):
    build(folder / "train.csv", folder / "data.zarr", images=folder / "train")
    return tree(folder / "data.zarr")


def build(source, out, **options):
    report = build_targets(open_source(source), out, BuildOptions(jobs=1, quiet=True, **options))
    assert not report.errors()
    return report


def send(folder, url, names="*"):
    place = as_place(url)
    for path in folder.rglob(names):
        if path.is_file():
            place.fs.pipe_file(f"{place.path}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture(scope="module")
def sent(s3, folder):
    """The same annotations and images in the bucket."""
    send(folder, f"{s3}/source", "train.csv")
    send(folder / "train", f"{s3}/source/train")
    return f"{s3}/source"


def remote_tree(url):
    place = as_place(url)
    return {path.removeprefix(f"{place.path}/"): place.fs.cat_file(path) for path in place.fs.find(place.path)}


def test_places():
    assert as_place("data.zarr") == as_place(Path("data.zarr")) == Path("data.zarr")
    assert not is_remote(as_place("C:/data.zarr"))
    place = as_place("s3://bucket/data.zarr")
    assert is_remote(place)
    assert as_place(place) is place
    assert str(place / "a") == "s3://bucket/data.zarr/a"
    assert names_in(as_place("memory://nowhere")) == []


def test_urls_of_other_kinds_are_refused(cli):
    result = cli("build-targets", "https://host/train.csv")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: https://host/train.csv: URLs begin with s3://, gs:// or memory://\n",
    )


def test_without_the_libraries(monkeypatch):
    monkeypatch.delitem(sys.modules, "cellprep.system.cloud", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(MissingExtraError, match=r"s3:// needs .*: pip install 'cellprep\[cloud\]'"):
        as_place("s3://bucket/train.csv")


def test_a_store_in_memory(folder, local):
    url = "memory://first/data.zarr"
    assert build(folder / "train.csv", url, images=folder / "train").new == 6
    assert remote_tree(url) == local
    assert list(open_store(url)) == list(open_store(folder / "data.zarr"))
    assert build(folder / "train.csv", url, images=folder / "train").current == 6
    assert build(folder / "train.csv", url, recipe=Recipe(wall_width=5), images=False).rewritten == 6
    assert "image" not in open_store(url)["spindle-1"].arrays
    assert remote_tree(url).keys() < local.keys()
    info = describe_store(url)
    assert (info.facts["images"], info.complete) == (6, True)
    with pytest.raises(KeyError):
        open_store(url)["other"]


def test_a_store_is_iterated_with_one_request_an_image(tmp_path, monkeypatch):
    """All of them at once; to look an image up takes none, and to iterate again looks again."""
    place = as_place("memory://counted/s.zarr")
    names = [f"i[{k}]" for k in range(7)]  # no patterns
    send(write_store(tmp_path / "s.zarr", {name: (discs((20, 30), 3), None) for name in names}).path, place)
    (place / "mine/zarr.json").write_bytes(b"{}")
    store, asked, all_are_asked = open_store(place), Counter(), Barrier(8)

    def asking(path):
        asked[path.parent.name] += 1
        all_are_asked.wait(timeout=10)
        return read_file(path)

    monkeypatch.setattr("cellprep.store.reader.read_file", asking)
    images = list(store.values())
    assert [image.id for image in images] == names
    assert all(store[image.id].metadata is image.metadata for image in images)
    assert asked == dict.fromkeys([*names, "mine"], 1)
    place.fs.rm_file(f"{place.path}/{names[0]}/zarr.json")
    assert list(store) == names[1:]
    assert set(asked.values()) == {2}


def test_memory_is_of_one_process(folder, local):
    url = "memory://alone/data.zarr"
    source = open_source(folder / "train.csv")
    build_targets(source, url, BuildOptions(images=folder / "train", jobs=2, quiet=True))
    assert remote_tree(url) == local
    with pytest.raises(UsageError, match="memory:// belongs to this process only, so that the workers of tcp://x:1"):
        build_targets(source, url, BuildOptions(scheduler="tcp://x:1"))


def test_what_is_no_longer_in_the_source(folder, tmp_path):
    url = "memory://second/data.zarr"
    build(folder / "train.csv", url)
    lines = (folder / "train.csv").read_text().splitlines(keepends=True)
    (tmp_path / "train.csv").write_text("".join(line for line in lines if not line.startswith("spindle-1,")))
    assert build(tmp_path / "train.csv", url).gone == ["spindle-1"]
    assert "spindle-1" in open_store(url)
    build(tmp_path / "train.csv", url, prune=True)
    assert not any(path.startswith("spindle-1/") for path in remote_tree(url))


def test_what_is_not_cellpreps_is_left_alone(folder):
    place = as_place("memory://third/data.zarr")
    (place / "notes.txt").write_bytes(b"mine")
    with pytest.raises(StoreError, match="exists and is not a cellprep store"):
        build(folder / "train.csv", place)
    (place / "notes.txt").unlink()
    build(folder / "train.csv", place)
    place.fs.rm(f"{place.path}/spindle-1", recursive=True)
    (place / "spindle-1/zarr.json").write_bytes(b'{"attributes": {}}')
    report = build_targets(open_source(folder / "train.csv"), place, BuildOptions(jobs=1, quiet=True))
    assert "was not written by cellprep and is in the way" in report.failures["spindle-1"]
    assert (place / "spindle-1/zarr.json").read_bytes() == b'{"attributes": {}}'


@pytest.mark.parametrize("size", ["new", "stale"])
def test_an_image_is_seen_only_when_it_is_whole(folder, monkeypatch, size):
    url = f"memory://fourth/{size}.zarr"
    if size == "stale":
        build(folder / "train.csv", url)
    fs, pipe = as_place(url).fs, as_place(url).fs.pipe

    def fail(files):
        pipe(dict(list(files.items())[:3]))
        raise OSError(28, "the bucket is full")

    monkeypatch.setattr(type(fs), "pipe", lambda self, files: fail(files))
    options = BuildOptions(recipe=Recipe(wall_width=5), only=("spindle-2",), jobs=1, quiet=True)
    report = build_targets(open_source(folder / "train.csv"), url, options)
    assert report.stopped == str(StoreWriteError(url, "the bucket is full"))
    assert "spindle-2" not in open_store(url)
    assert "summary" not in open_store(url).attributes
    assert len(open_store(url)) == (5 if size == "stale" else 0)
    monkeypatch.undo()
    build(folder / "train.csv", url)
    assert len(open_store(url)) == 6


def test_what_tells_of_an_image_is_sent_last_and_what_tells_of_its_rest_first(folder, monkeypatch):
    fs, pipe, sent = as_place("memory://fifth.zarr").fs, as_place("memory://fifth.zarr").fs.pipe, []
    monkeypatch.setattr(type(fs), "pipe", lambda self, files: (sent.append([*files]), pipe(files)))
    build_targets(open_source(folder / "train.csv"), "memory://fifth.zarr", only=("spindle-2",), jobs=1, quiet=True)
    first, rest, last = [
        [name.partition("/spindle-2/")[2] for name in names] for names in sent if "spindle-2" in names[0]
    ]
    assert (sorted(first), last) == (["cells/zarr.json", "labels/instances/0/zarr.json"], ["zarr.json"])
    assert {"semseg/zarr.json", "semseg/c.0.0.0", "labels/zarr.json"} <= set(rest)


def test_each_object_is_fetched_once(s3, sent, tmp_path, monkeypatch):
    files, fetched = as_place(sent).fs, Counter()
    fetch = files.cat_file
    monkeypatch.setitem(vars(files), "cat_file", lambda path, *args: fetched.update([path]) or fetch(path, *args))
    assert build(f"{sent}/train.csv", tmp_path / "s.zarr", images=f"{sent}/train").new == len(fetched) - 1 == 6
    assert set(fetched.values()) == {1}


def test_the_server_gets_the_same_bytes(s3, sent, local, command, cli):
    args = (f"{sent}/train.csv", "--images", f"{sent}/train", "--out", f"{s3}/data.zarr", "--jobs", 2)
    result = command("build-targets", *args)
    assert result.returncode == 0, result.stderr
    assert remote_tree(f"{s3}/data.zarr") == local
    result = cli("build-targets", *args[:-1], 1)  # workers that other tests started do not know of the server
    assert "6 current" in result.stderr
    assert remote_tree(f"{s3}/data.zarr") == local
    shown = cli("info", f"{s3}/data.zarr")
    assert shown.exit_code == 0, shown.stderr
    verified = cli("verify", f"{s3}/data.zarr")
    assert verified.exit_code == 2
    assert verified.stderr == f"error: verify reads only local stores: copy {s3}/data.zarr into a folder first\n"


def test_a_source_in_a_bucket_is_checked(sent, folder):
    found = [
        check_source(open_source(f"{place}/train.csv"), CheckOptions(images=f"{place}/train", jobs=1, quiet=True))
        for place in (folder, sent)
    ]
    assert found[0].findings == found[1].findings


def test_label_folders_in_a_bucket(s3, tmp_path):
    from cellprep.commands.export import export_labels

    build_targets(open_source(write_discs(tmp_path)), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    export_labels(open_store(tmp_path / "s.zarr"), "label-tiff", tmp_path / "labels", jobs=1, quiet=True)
    send(tmp_path / "labels", f"{s3}/labels")
    build(tmp_path / "labels", tmp_path / "here.zarr", images=False)
    build(f"{s3}/labels", "memory://labels/there.zarr")
    here, there = tree(tmp_path / "here.zarr"), remote_tree("memory://labels/there.zarr")
    assert {k: v for k, v in here.items() if "/" in k} == {k: v for k, v in there.items() if "/" in k}


@pytest.mark.parametrize(("files", "expected"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts_in_memory_are_read_as_in_folders(tmp_path, files, expected):
    url = f"memory://{tmp_path.name}"
    send(lay(tmp_path, files), url)
    assert read(as_place(url)) == expected


@pytest.mark.parametrize("name", ["geojson", "labelme", "yolo", "cvat", "via"])
def test_drawings_in_memory(tmp_path, name):
    url, path = f"memory://{tmp_path.name}", SOURCES[name](tmp_path)
    send(tmp_path, url)
    source = open_source(f"{url}/{path.relative_to(tmp_path).as_posix()}")
    (image,) = source.images()
    assert image.load(MASK.shape if image.needs_shape else None).runs.to_masks().tolist() == [(MASK > 0).tolist()]
    assert (source.format, len(image.fingerprint())) == (name, 64)


def test_folders_in_a_bucket_are_searched_as_here(s3, tmp_path):
    """Deeper than one folder, with dots in folders' names and none in files', and by URLs with wildcards."""
    files = {"deep.er/v1.0/images/a.png": "P", "deep.er/v1.0/masks/a.tif": "L", "deep.er/v1.0/images/LICENSE": "bytes"}
    send(lay(tmp_path, files), f"{s3}/tree")
    for source in (tmp_path, f"{s3}/tree"):
        assert read(as_place(source)) == {"a": (2, "deep.er/v1.0/images/a.png")}
        assert ImageFolder(as_place(source)).find("a").path == as_place(source) / "deep.er/v1.0/images/a.png"
        for place in (source, f"{source}/*/v*/images/*.png", f"{source}/**/a.png"):
            assert [image.id for image in find_images([place]).images] == ["a"]
    with pytest.raises(ImageFileError, match="there is no image s3://bucket/tree/"):
        find_images([f"{s3}/tree/*.png"])


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 on Windows")
def test_a_killed_run_leaves_whole_images(s3, sent, local):
    url = f"{s3}/killed.zarr"
    words = ["build-targets", f"{sent}/train.csv", "--images", f"{sent}/train", "--out", url, "--jobs", "1"]
    process = subprocess.Popen([sys.executable, "-m", "cellprep", *words], stderr=subprocess.DEVNULL)
    while not remote_tree(url).keys() - {"zarr.json"}:
        time.sleep(0.01)
    process.kill()
    process.wait()
    store = open_store(url)
    assert len(store) < 6
    for image_id in store:
        of_image = {path: content for path, content in remote_tree(url).items() if path.startswith(f"{image_id}/")}
        assert of_image == {path: content for path, content in local.items() if path.startswith(f"{image_id}/")}
    build(f"{sent}/train.csv", url)
    assert remote_tree(url) == local


def test_images_are_found_by_a_listing_a_folder(sent, local, monkeypatch):
    listed = []
    monkeypatch.setattr(
        "cellprep.formats.images.folder.entries_in", lambda place: listed.append(place.name) or entries_in(place)
    )
    url = "memory://found/data.zarr"
    assert build(f"{sent}/train.csv", url).pixels.found == 6
    assert listed == ["train", "source"]  # there is no other folder next to it
    assert remote_tree(url) == local


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks in processes with threads
def test_forked_workers_are_refused(tmp_path):
    """Those of any `DataLoader`: the connections to an object store would hang."""
    from torch.utils.data import DataLoader

    from cellprep.learn import StoreDataset

    place = as_place("memory://forked/s.zarr")
    send(write_store(tmp_path / "s.zarr", {"one": (discs((40, 40), 3), noise((40, 40)))}).path, place)
    dataset = StoreDataset(place, crop=32)
    assert dataset[0]["id"] == "one"
    with pytest.raises(CellprepError, match=r'^image one: a forked process .* multiprocessing_context="spawn"$'):
        next(iter(DataLoader(dataset, num_workers=1, multiprocessing_context="fork")))


@pytest.mark.slow
def test_it_is_trained_on_and_predicted(s3, tmp_path, cli):
    """By this process alone, and by a worker that starts anew."""
    csv = write_discs(tmp_path / "source")
    url = f"{s3}/discs.zarr"
    build(csv, url)
    build(csv, tmp_path / "here.zarr")
    size = ("--base-channels", 2, "--crop", 32, "--batch-size", 2, "--epochs", 1, "--device", "cpu")
    runs = []
    for data, workers in ((url, 0), (url, 1), (tmp_path / "here.zarr", 0)):
        runs.append(tmp_path / f"run-{len(runs)}")
        result = cli("train", "semseg", "--data", data, *size, "--workers", workers, "--out", runs[-1])
        assert result.exit_code == 0, result.stderr
    assert len({(run / "last.safetensors").read_bytes() for run in runs}) == 1
    for data in (url, tmp_path / "here.zarr"):
        out = tmp_path / ("there" if data == url else "here")
        result = cli("predict", data, "--out", out)
        assert result.exit_code == 0, result.output
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


def test_what_is_not_there(s3, folder):
    with pytest.raises(StoreError, match=r"there is no store s3://bucket/none\.zarr"):
        open_store(f"{s3}/none.zarr")
    with pytest.raises(SourceError, match=r"s3://bucket/none\.csv"):
        open_source(f"{s3}/none.csv")
    with pytest.raises(UsageError, match="verify reads only local stores"):
        verify_store(f"{s3}/data.zarr")
    with pytest.raises(ImageFileError, match="there is no image folder s3://bucket/nothing"):
        ImageFolder(as_place(f"{s3}/nothing"))


def test_a_server_that_cannot_be_reached(folder, command, cli, monkeypatch):
    """Told in one line also where a process ends with it."""
    out = "s3://far/data.zarr"
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true",
                   "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told = [command("info", out)]
    for words in (["build-targets", folder / "train.csv", "--out", out, "--jobs", 1], ["check", "s3://far/a.csv"]):
        told.append(cli(*words))
    for result in told:
        assert getattr(result, "returncode", 1) == getattr(result, "exit_code", 1) == 1
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert "s3://far" in result.stderr
