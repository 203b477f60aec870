"""Run files: the meaning of tables, refused values, and generated files that equal the command line."""

import re

import pytest
from command_lines import COMMANDS

from cellprep.cli.run_file import empty_table, read_steps

FILE = """
[build-targets]
source = "-train.csv"
wall_width = 5
no-images = true
quiet = false
ignore-label = [255, -1]

[train]
lr = 1e-3

[train.dn]
augment = ["flips", "zoom"]

[train.wn]
network = "wn"
max-lr = 1
fold = 0

[predict.second]
images = "images"
model = ["a", "b"]
"""
MEANT = """\
cellprep build-targets --ignore-label=255 --ignore-label=-1 --no-images --wall-width=5 -- -train.csv
cellprep train dn --max-lr=0.001 --augment=flips --augment=zoom
cellprep train wn --fold=0 --max-lr=1
cellprep predict images --weights=a --weights=b
"""


@pytest.fixture
def run(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(text, *args):
        (tmp_path / "c.toml").write_text(text)
        return cli("run", "c.toml", *args)

    return run


def test_tables_are_commands(run):
    text = FILE.replace("[train]\nlr", "[train]\nlearning-rate").replace("max-lr = 1\n", "learning_rate = 1\n")
    for same in (FILE.replace("max-lr = 1\n", "lr = 1\n"), text):
        result = run(same.replace("fold = 0", "folds = 'f'\nfold = 0"), "--dry-run")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == MEANT.replace("--fold=0", "--folds=f --fold=0")
    changed = run(text, "--dry-run", "--from", "train.wn", "--set", "train.wn.fold=all", "--set", "train.wn.folds=f")
    assert changed.stdout.splitlines()[0] == "cellprep train wn --folds=f --fold=all --max-lr=1"


# What users get wrong, and the one line that they read.
MISTAKES = {
    "key": ("[train.dn]\nepoch = 3", "[train.dn]: there is no option epoch: did you mean epochs or n-epochs?"),
    "type": ('[train.dn]\nepochs = "3"', "[train.dn]: epochs is the text '3': give a whole number"),
    "flag": ("[train.dn]\nresume = 1", "[train.dn]: resume is the int 1: give true or false"),
    "no list": ("[train.dn]\nseed = [1]", "[train.dn]: seed is a list of 1: give one value"),
    "choice": ('[check]\nsource = "a"\norientation = "up"', "orientation is the text 'up': use one of apply, ignore"),
    "value": ('[build-targets]\nsource = "a"\nwall-width = 4', "[build-targets]: wall width 4 is not an odd number"),
    "together": ('[train.dn]\nmask = "none"', "[train.dn]: without a mask, dn and wn need the background as a cell"),
    "twice": ("[train.dn]\nlr = 1.0\nmax_lr = 1.0", "max_lr is an alias of an option that is already given"),
    "command": ("[trian.dn]", "[trian]: there is no such command: did you mean train?"),
    "itself": ("[run]", "[run]: there is no such command"),
    "no table": ("epochs = 3", "epochs is not in a table: name a command above it"),
    "missing": ("[check]", "[check]: source is not given: Annotations"),
    "nothing": ("", "c.toml has no tables"),
    "damaged": ("[train", "c.toml is damaged: Expected ']'"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_one_line_before_anything_runs(run, tmp_path, text, message):
    result = run(text if text.startswith("epochs") else f"[demo]\nout = 'd'\n{text}" if text else "")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: c.toml") and message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "d").exists()


def test_what_fails_ends_it_and_says_how_to_go_on(run, write_csv):
    write_csv("a,1 3 7,6,5,x", "b,2 2,6,5,x")
    text = (
        "[build-targets]\nsource = 'train.csv'\njobs = 1\n[check]\nsource = '{}'\njobs = 1\n[info]\nstore = 'data.zarr'"
    )
    result = run(text.format("nowhere"))
    assert result.exit_code == 1
    assert "stopped at [build-targets]; 2 tables after it did not run: cellprep run c.toml --from" in result.stderr
    result = run(text.format("nowhere"), "--from", "check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: c.toml [check]: cannot read the annotation source nowhere" in result.stderr
    result = run(text.format("train.csv"), "--from", "check", "--quiet")
    assert result.exit_code == 0
    assert "complete      no: 1 of 2 images" in result.stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("run", "config")])
def test_a_begun_file_has_every_option_with_its_default(name, tmp_path):
    """All lines that have a default, uncommented, mean the same command as none of them."""
    lines = empty_table(name, COMMANDS[name])
    keys = [line.split()[1] for line in lines if re.match(r"# [\w-]+ = ", line)]
    assert len(keys) == len(COMMANDS[name].params) - 1  # but the version
    given = [re.sub(r"^# ([\w-]+ = )(?!\.\.\.|\[\.\.\.\])", r"\1", line) for line in lines]
    required = [f'{its.opts[0].lstrip("-")} = "a"' for its in COMMANDS[name].params if its.required]
    path = tmp_path / "c.toml"
    found = []
    for text in ("\n".join([*given, *required]), "\n".join([f"[{name}]", *required])):
        path.write_text(text)
        (step,) = read_steps(path, COMMANDS.__getitem__)
        with COMMANDS[name].make_context(name, [*step.words]) as context:
            found.append(context.params)
    assert found[0] == found[1]


def test_config_init_begins_a_file(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("config", "init", "train.dn", "fit-bins", "--quiet").output == ""
    text = (tmp_path / "config.toml").read_text()
    assert "\n[train.dn]\n" in text and "\n# levels = 17\n" in text and "Also: --lr, --learning-rate." in text
    assert "did you mean train?" in cli("config", "init", "trian", "--out", "x.toml").stderr
    assert "config.toml already exists: replace it with --overwrite" in cli("config", "init").stderr
    assert cli("config", "init", "--overwrite").exit_code == 0


def test_a_zero_of_a_training_is_repeated(cli, tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"options": {"network": "dn", "weight_decay": 0.0, "resume": false}, "store": "s.zarr"}')
    result = cli("run", path, "--dry-run")
    assert result.stdout == "cellprep train dn --data=s.zarr --weight-decay=0.0\n"
