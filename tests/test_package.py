"""What is published, as `make package` built it: ``CELLPREP_DIST`` names the folder of the wheel and the sdist."""

import email
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from cellprep import __version__

if "CELLPREP_DIST" not in os.environ:
    pytest.skip("CELLPREP_DIST does not name the folder of a built package: run make package", allow_module_level=True)

ROOT = Path(__file__).parent.parent
(WHEEL,) = Path(os.environ["CELLPREP_DIST"]).resolve().glob("*.whl")
(SDIST,) = Path(os.environ["CELLPREP_DIST"]).resolve().glob("*.tar.gz")


def tracked(*folders):
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {*listed.splitlines()}


def test_the_wheel_holds_the_package_and_nothing_else():
    with zipfile.ZipFile(WHEEL) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == tracked("cellprep")
    assert WHEEL.stat().st_size < 16_000_000  # two bundles of weights have nearly 8 MB each


def test_the_source_distribution_can_be_built_and_tested():
    with tarfile.open(SDIST) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames()}
    assert names ^ tracked() == {"PKG-INFO", "benchmarks/families/results.json"}


def test_the_page_of_an_index_has_no_links_that_lead_nowhere():
    with zipfile.ZipFile(WHEEL) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        metadata = email.message_from_bytes(wheel.read(name))
    page = metadata.get_payload()
    assert metadata["Version"] == __version__
    assert page.startswith("# cellprep\n")
    assert {*re.findall("^## (.+)", page, re.MULTILINE)} > {"Installation", "Commands"}
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]*)\)", page))
    assert not re.search(r"constraints\.txt|make (demo|test)", page)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a command of the wheel, in an environment that has nothing else but what this one has."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "env", symlinks=True)
    scripts = home / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", WHEEL]
    subprocess.run(pip, check=True)
    # The libraries of this environment, but no package that is linked into it, as the one under test may be.
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*args):
        program = [scripts / "cellprep"] if args[0] == "cellprep" else [python, *args[:1]]
        done = subprocess.run([*program, *args[1:]], cwd=home, env=outside, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_first_commands_of_the_readme_run(run):
    assert "installed" in run("-c", "import cellprep; print(cellprep.__file__)")
    assert run("cellprep", "--version") == f"cellprep {__version__}\n"
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## A first prediction")[1]
    lines = re.search("```sh\n(.*?)```", section, re.DOTALL)[1].splitlines()
    *_, scores = [run(*shlex.split(line)) for line in lines]
    assert re.search(r"^matched +96 +96$", scores, re.MULTILINE)
