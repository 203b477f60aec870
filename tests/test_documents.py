"""The commands and code in the README, the documents and the examples work."""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command_lines import COMMANDS, joined, parse
from PIL import Image

import cellprep
from benchmarks import house
from cellprep import EXPORTERS, FAMILIES, READERS, __version__, learn, open_store
from cellprep.formats.writers import FEATURES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("cellprep/learn/models/*.md")),
]
PAGES = [page for page in PAGES if page.name != "commands.md"]  # which the site's build writes


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def named(pages):
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in pages]


def command_lines():
    """The commands of each block that has any, of all pages: later ones may need what earlier ones wrote."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            if lines := joined(block):
                yield pytest.param(lines, id=f"{page.name}: {lines[0]}")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder in which the README's files are there."""
    shutil.copytree(ROOT / "examples" / "cells", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("lines", list(command_lines()))
def test_commands_of_the_documents_run(lines, workplace, cli):
    for line in lines:
        result = cli(*shlex.split(line, comments=True)[1:])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("page", named(page for page in PAGES if joined(page.read_text(encoding="utf-8"))))
def test_commands_that_are_only_shown_exist(page):
    """Those that take too long, or need files that only the reader has."""
    for line in [line for block in blocks(page, "console") for line in joined(block)]:
        parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "cellprep nonsense",
        "cellprep export data.zarr --to coco",
        "cellprep predict a.png --out b --nonsense",
        "cellprep predict a.png --out b --decoder nonsense",
        "cellprep export data.zarr --to nonsense --out a",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line):
    with pytest.raises(Exception, match=r"no command|nonsense|Missing"):
        parse(line)


@pytest.mark.slow
def test_the_tutorial_can_be_followed(workplace, monkeypatch, cli):
    """Every command of it in turn, with a single epoch of each training, of a small network."""
    done, smaller = [], {"--epochs": "1", "--base-channels": "2"}
    for block in blocks(ROOT / "docs" / "tutorial.md", "console"):
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else [""]
            if words[0] == "cd":
                monkeypatch.chdir(words[1])
            if words[0] == "cellprep":
                args = [smaller.get(before, word) for before, word in pairwise(words)]
                result = cli(*args)
                assert result.exit_code == 0, f"{line}: {result.output}"
                done.append(words[1])
    assert done[0] == "demo"
    assert done.count("train") == 3
    assert done[-1] == "evaluate"


@pytest.mark.parametrize("page", named(page for page in PAGES if blocks(page, "python")))
def test_python_of_the_documents_runs(page, workplace, cli):
    """The blocks of a page in turn: later ones may need what earlier ones made."""
    assert cli("build-targets", "train.csv", "--images", "train", "--quiet").exit_code == 0
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


def test_the_reference_has_every_public_name():
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "api").glob("*.md")))
    listed = re.findall(r"(?:auto\w+:: |^\| `)(cellprep\.[\w.]+)", text, re.MULTILINE)
    public = [f"{module.__name__}.{name}" for module in (cellprep, learn) for name in module.__all__]
    assert sorted([*listed, "cellprep.__version__", "cellprep.learn"]) == sorted(
        [*public, "cellprep.system.report.Report"]
    )


def test_the_readme_lists_every_command():
    listed = re.findall(r"^\| `cellprep ([\w-]+)", README, re.MULTILINE)
    assert listed == [*COMMANDS]


def test_the_documents_list_every_format():
    section = (ROOT / "docs" / "annotations.md").read_text(encoding="utf-8").split("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE) == list(READERS)
    table = (ROOT / "docs" / "store.md").read_text(encoding="utf-8").split("| format |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([\w-]+)`", re.sub(r"\|[^|]*\|$", "", table, flags=re.MULTILINE))) == set(READERS)


def test_the_documents_say_of_every_format_what_it_cannot_hold():
    section = (ROOT / "docs" / "convert.md").read_text(encoding="utf-8").split("\n## Formats")[1]
    rows = re.findall(r"^\| `([\w-]+)` \|[^|]*\|[^|]*\| ?([\w, ]*) ?\| ?(\w*) ?\|$", section, re.MULTILINE)
    assert [(name, lost.strip(), along == "yes") for name, lost, along in rows] == [
        (name, ", ".join(feature for feature in FEATURES if feature not in known.holds), known.takes_pictures)
        for name, known in EXPORTERS.items()
    ]


def test_make_knows_the_commands_of_the_readme():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(blocks(ROOT / "README.md", "sh")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text()
    assert "make demo" in ci and "make test" in ci


def test_links_of_the_documents_lead_somewhere():
    for document in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (document.parent / target).exists(), f"{document}: {target}"


def test_registries_are_where_the_documents_say():
    """Each is assigned at the top of the file that CONTRIBUTING.md names; the folders of new files exist."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    registries = dict(re.findall(r"`([A-Z]+)` in \[[^]]+\]\(([^)]+)\)", text))
    assert registries.keys() == {"READERS", "EXPORTERS", "FAMILIES", "PROPERTIES", "DECODERS", "NETWORKS"}
    for name, path in registries.items():
        assert re.search(rf"^{name}(: .+ = |\.update\()", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), path
    folders = re.findall(r"`(cellprep/[a-z/]+/)", text)
    assert len(folders) == 6
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_the_architecture_has_a_sentence_for_every_room():
    listed = re.findall(
        r"^\| \[`(\w+)`\]", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert listed == house.rooms()


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(script, capsys):
    runpy.run_path(str(script))
    assert "round-1" in capsys.readouterr().out


def test_the_store_is_as_its_document_says(workplace, cli):
    """Every array of a store is in the table of docs/store.md, with its dtype, and the other way round."""
    assert cli("build-targets", "train.csv", "--images", "train", "--jobs", 1).exit_code == 0
    tree = (ROOT / "docs" / "store.md").read_text(encoding="utf-8").split("## Arrays")[0]
    documented = dict(re.findall(r"^        ([\w/]+) +\(.*\) +([\w']+)", tree, re.MULTILINE))
    image = open_store(workplace / "data.zarr")["round-1"]
    stored = {
        ("labels/instances/0" if name == "labels" else name): image.read(name).dtype.name for name in image.arrays
    }
    assert documented.pop("ignore") == "uint8"  # which only crowds bring
    assert documented.keys() == stored.keys()
    for name, dtype in documented.items():
        assert dtype in (stored[name], "the"), name  # an image has the dtype of its file


def test_an_extra_that_is_missing_is_named(tmp_path, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = cli("demo", "--out", tmp_path / "demo", "--jobs", 1)
    assert result.exit_code == 1
    assert result.stderr.endswith("error: drawing a picture needs matplotlib: pip install 'cellprep[plot]'\n")
    assert len(open_store(tmp_path / "demo" / "data.zarr")) == 12
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = cli("report", tmp_path / "demo" / "data.zarr", "--out", tmp_path / "report.html")
    assert (result.exit_code, result.stderr) == (1, "error: a report needs jinja2: pip install 'cellprep[plot]'\n")


def test_pictures_of_the_algorithm_are_those_that_the_library_draws(tmp_path, monkeypatch):
    """Drawn again they look the same; single pixels are for other releases of Matplotlib to place."""
    drawing = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    monkeypatch.setitem(drawing["draw"].__globals__, "DOCS", tmp_path)
    shown = set(re.findall(r"\]\((\w+)\.webp\)", (ROOT / "docs" / "algorithm.md").read_text(encoding="utf-8")))
    for name in shown:
        drawing[name]()
        now, before = (
            np.asarray(Image.open(folder / f"{name}.webp").convert("L"), float) for folder in (tmp_path, ROOT / "docs")
        )
        assert now.shape == before.shape
        assert np.abs(now - before).mean() < 2, f"draw {name}.webp again: python docs/pictures.py"
    assert len(shown) == 5


def test_the_gallery_shows_what_its_script_draws(tmp_path, monkeypatch):
    """All its pictures have a function; that of the rules fails unless `check` finds each flaw."""
    drawing = runpy.run_path(str(ROOT / "docs" / "gallery.py"))
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(gallery-(\w+)\.webp\)", text)) == drawing["PICTURES"].keys()
    monkeypatch.setitem(drawing["save"].__globals__, "DOCS", tmp_path)
    drawing["rules"](tmp_path)
    now, before = (
        np.asarray(Image.open(folder / "gallery-rules.webp").convert("L"), float)
        for folder in (tmp_path, ROOT / "docs")
    )
    assert now.shape == before.shape
    assert np.abs(now - before).mean() < 2, "draw it again: python docs/gallery.py rules"


def test_the_page_on_targets_is_that_of_the_families():
    drawing = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    assert page.endswith(f"<!-- families -->\n\n{drawing['families_page']()}"), "write it: python docs/pictures.py"
    assert all((ROOT / "docs" / f"targets-{name}.webp").exists() for name in FAMILIES)


def test_no_data_come_into_the_repository():
    """Files other than source are few and small: pictures of the documents, and the images of the examples."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sizes = {name: (ROOT / name).stat().st_size for name in listed.splitlines() if "cellprep/learn/models/" not in name}
    assert len(sizes) > 50
    assert max(sizes.values()) < 40_000, max(sizes, key=sizes.__getitem__)
    source = {
        ".py",
        ".pyi",
        ".md",
        ".svg",
        ".toml",
        ".txt",
        ".cff",
        ".sh",
        ".css",
        ".js",
        ".html",
        ".typed",
        ".json",
        ".yaml",
        ".ipynb",
        "",
    }
    others = {name: size for name, size in sizes.items() if Path(name).suffix not in source}
    assert {Path(name).suffix for name in others} == {".webp", ".png", ".csv"}
    assert sum(others.values()) < 450_000
