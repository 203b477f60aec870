"""A short run of ``python -m fuzz``, and checks that it notices problems."""

import sys
import warnings

import numpy as np
import pytest
import tifffile

from cellprep.errors import CellprepError, ImageFileError
from cellprep.formats.images.file import ImageFile

if sys.platform == "win32":
    pytest.skip("alarms are POSIX's", allow_module_level=True)

from fuzz.__main__ import feed
from fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_refused_in_one_line(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert feed(name, 20 if name in ("store", "weights") else 60, 1, tmp_path) == 0
    assert not list(tmp_path.iterdir())


def fail(error):
    def read(content, folder):
        raise error

    return read


class RawError(CellprepError):
    """An error that says what it is given, which those of the package do not."""

    __str__ = Exception.__str__


@pytest.mark.parametrize(
    ("error", "findings"),
    [
        (ValueError("x"), 1),
        (RawError("two\nlines"), 1),
        (RawError("\x1b[2J"), 1),
        (RawError("x"), 0),
        (CellprepError("\x1b\n"), 0),
    ],
)
def test_what_is_no_line_is_found_and_kept(monkeypatch, tmp_path, error, findings):
    monkeypatch.setitem(TARGETS, "bad", Target(lambda _: [b"seed"], fail(error)))
    assert feed("bad", 5, 0, tmp_path) == findings
    assert len(list(tmp_path.iterdir())) == findings


def test_a_damaged_tiff_is_told_of_once(tmp_path, capfd):
    """There is no further message from tifffile, which reports each tag."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 25), np.uint8))
    damaged = bytearray(path.read_bytes())
    damaged[40:120] = b"\x7f" * 80
    path.write_bytes(damaged)
    with pytest.raises(ImageFileError):
        ImageFile(path).decode()
    assert capfd.readouterr().err == ""
    assert not tifffile.logger().disabled
