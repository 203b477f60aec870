"""Docstrings, comments, messages and help texts are in plain English: patterns that stop readers, with better words."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Files and folders whose words are checked: Python and Markdown.
ROOMS = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "cellprep/__init__.py",
    "cellprep/__main__.py",
    "cellprep/_version.py",
    "cellprep/cli",
    "cellprep/commands",
    "cellprep/core",
    "cellprep/errors.py",
    "cellprep/formats",
    "cellprep/learn",
    "cellprep/store",
    "cellprep/system",
    "cellprep/text",
    "cellprep/workflows",
    "docs",
]

#: Patterns at the beginning of a docstring, and what to write instead.
OPENINGS = {
    r"Whether\b": "Return whether ... of a function, True if ... of a property",
    r"(What|How|Who|Whose|Where|Why|Which)\b": "a noun phrase, or a verb such as Return",
    r"(Say|Tell|Give|Let)\b": "Return, Describe, Yield, Provide, Make",
}

#: Patterns anywhere, and what to write instead.
WORDS = {
    r"\bsureness\b|\bhow sure\b": "confidence",
    r"\bgr[ea]y values\b": "intensities",
    r"\bturned? (a|an|the|its|images?)\b|\bunturned\b": "rotate, flip",
    r"\brising\b|\bfalling order\b": "ascending, descending",
    r"\bOf all that\b|^Who\b|\bwho ever\b|\b[Ww]hoever\b": "the subject first",
    r"\b(any|no|some)body\b": "the subject, or a passive verb",
    r"\bgone through\b": "passes over, read",
    r"\bthose count\b|\bwhat counts\b|\bthe one that counts\b": "is used",
    r"\bnone that it can have\b": "is not a valid value",
    r"[;,:] else\b|\bor else\b|\bElse\b": "otherwise",
    r"\bunless given\b|\bUnless given\b": "by default",
    r"\bbeside\b": "next to, in addition to, except",
    r"(?<![Tt]here )\b(is|are|was|were) no (?!longer|such|more)[a-z]": "is not a",
    r"(?<![Tt]here )\b[Ii]s none\b": "is not one, is invalid",
    r"\b(he|she|it|that|which|what|files?|folder|source|metadata|nothing) tells?\b": "says, has, is unknown",
    r"\btold apart\b|\btells? \w+ apart\b": "distinguished, separated",
    r"\bbe it\b|\bbe they\b": "whether",
    r"\bfor want of\b": "for lack of",
    r"\bnot least\b": "including",
    r"\bmend(ed|s)?\b": "correct, fix",
    r"\bno end of\b": "too many",
    r"\bthousand million\b": "10^9",
    r"\bleft a(side|lone)\b": "skipped, unchanged",
    r"\bbut for\b": "except for",
    r"\bno numbers\b": "NaN, not numeric",
    r"\bin silence\b": "silently",
    r"\bis of the format\b": "has the format",
    r"\bof no known kind\b": "has an unknown format",
    r"\bas stored, against\b": "kept in its stored orientation",
    r"\bcut off\b(?! at)": "truncated",
    r"\bempty text\b": "an empty string",
    r"\bthere is not the memory\b": "does not fit into memory",
    r"\bat fault\b": "invalid",
    r"\bmiswritten\b": "invalid",
    r"\btakes? no more\b": "cannot be written to, is full",
}

#: American spellings, and ours.
SPELLINGS = {
    r"\b[Cc]olor": "colour",
    r"\b[Nn]eighbor": "neighbour",
    r"\b[Gg]ray": "grey",
    r"\b[Cc]enter(?!['\"]?\Z)": "centre",  # at the end of a text, it places a legend of Matplotlib
    r"\b[Bb]ehavior": "behaviour",
    r"\b[A-Za-z]+(mal|gan|tim|tial|cogn|nim|xim|mar|ter|ser|fer)iz(e|ed|es|ing|ation)\b": "-ise, -isation",
    r"\b[Aa]nalyz": "analyse",
    r"\b[Ll]abel(ed|ing)\b": "labelled, labelling",
    r"\b[Cc]ancel(ed|ing)\b": "cancelled",
    r"\b[Mm]icrometer": "micrometre",
    r"\b[Cc]atalog\b": "catalogue",
}

_CODE = re.compile(
    r"""
    ``.*?`` | `[^`\n]*` | '[^' \n]*'    # code and quoted words
    | \{[^{}]*\} | style="[^"]*"      # placeholders, attributes of HTML
    | https?://\S+ | <[^<>\s]*>       # addresses, tags
    | --[a-z][a-z-]* | \b[\w.]*_\w+   # options, identifiers
    """,
    re.VERBOSE,
)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)  # of Markdown
_EXAMPLE = re.compile(r"^ *>>> .*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)  # with its output
_PARAMETER = re.compile(r"^( *)\w+(, \w+)*( : .*)?$(?=\n\1 +\S)", re.MULTILINE)  # the line above its description


def without(pattern: re.Pattern[str], text: str) -> str:
    """Blank out the matches of a pattern, so that positions stay."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def texts_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield the texts of a file: first line, text, and whether it is a docstring."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield 1, without(_FENCED, source), False
        return
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, documented) and ast.get_docstring(node) is not None
    }
    strings = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line, text = token.start[0], token.string
        if token.type == tokenize.STRING and line in docstrings:
            yield line, without(_PARAMETER, without(_EXAMPLE, text.lstrip("rR"))), True
        elif token.type == tokenize.COMMENT or (token.type in strings and len(re.findall("[a-z]{2,}", text)) > 2):
            yield line, text, False


def faults_of(path: Path) -> Iterator[str]:
    """Yield a line for each word that has a better one."""
    for start, text, is_docstring in texts_of(path):
        prose = without(_CODE, text)
        tables = [(r'\A"""\s*', OPENINGS)] if is_docstring else []
        for before, table in [*tables, ("", WORDS | SPELLINGS)]:
            for pattern, better in table.items():
                for found in re.finditer(f"{before}(?:{pattern})", prose, flags=re.MULTILINE):
                    line = start + prose.count("\n", 0, found.end())
                    yield f"{path}:{line}: {found[0]!r}: better: {better}"


@pytest.mark.parametrize("room", ROOMS)
def test_words_are_plain(room):
    path = ROOT / room
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.suffix in (".py", ".md")]
    assert files
    faults = [fault for file in sorted(files) for fault in faults_of(file)]
    assert not faults, "\n".join(["", *faults])


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("docstring.py", 'def f():\n    """Whether it is so."""\n', ['2: \'"""Whether\'']),
        ("later.py", 'def f():\n    """Return a.\n\n    Which is none.\n    """\n', ["4: 'is none'"]),
        ("message.py", 'raise ValueError(f"{a} is no image file")\n', ["1: 'is no i'"]),
        ("comment.py", "a = 1  # the color of the neighbor\n", ["1: 'color'", "1: 'neighbor'"]),
        ("code.py", 'center = 1  # `color`\ngray("center of all", 2)\n', ["2: 'center'"]),
        (
            "page.md",
            "Their sureness.\n\n```\ncolor\n```\n\nBy `gray` values, else none.\n",
            ["1: 'sureness'", "7: ', else'"],
        ),
        ("plain.py", '"""Images."""\n# There is no image, or the neighbours are no longer there.\n', []),
    ],
)
def test_faults_are_found_where_they_are(tmp_path, name, text, found):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert [
        fault.removeprefix(f"{tmp_path / name}:").split(": better")[0] for fault in faults_of(tmp_path / name)
    ] == found
