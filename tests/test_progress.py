"""Long runs report progress, also in a log file; short ones do not report there."""

import pytest

from cellprep.commands.demo import write_nuclei
from cellprep.system import progress


def run(*, quiet=False):
    with progress.progress_bar(3, "image", quiet=quiet, desc="slide", position=1) as bar:
        for _ in range(3):
            bar.update()


def test_lines_into_a_log_file(capsys, monkeypatch):
    run()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    run()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("slide: 0 of 3 images, 00:00 so far")
    assert lines[-1].startswith("slide: 3 of 3 images")
    run(quiet=True)
    assert capsys.readouterr().err == ""


def test_a_bar_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    run()
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["build-targets {csv} --out {store} --jobs 1", "preview {store} --contact-sheet --out {png}"]
)
def test_commands_that_take_long_say_how_far_they_are(line, cli, tmp_path, monkeypatch):
    places = {
        "csv": write_nuclei(tmp_path, count=2, shape=(64, 64)),
        "store": tmp_path / "s.zarr",
        "png": tmp_path / "s.png",
    }
    if "preview" in line:
        assert cli("build-targets", places["csv"], "--out", places["store"], "--jobs", 1).exit_code == 0
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    assert "2 of 2 images, 00:0" in cli(*line.format(**places).split()).stderr
