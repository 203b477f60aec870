"""Pages from templates, which escape all inserted text, so that it cannot become markup."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from cellprep.errors import MissingExtraError
from cellprep.text.wording import printable

_SCRIPTS = ("page.js", "pictures.js", "review.js")
_TEMPLATES = files("cellprep.commands.report") / "templates"


class Table(NamedTuple):
    """A table of a page: all cells except the first in a row are numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def require_jinja() -> None:
    """Raise MissingExtraError if no page can be made, as Jinja2 is not installed."""
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a report", "jinja2", "plot") from error


def page(template: str, title: str, **values: Any) -> str:
    """Return a complete page, which loads nothing and runs only its own script.

    Parameters
    ----------
    template
        Name of a file in ``templates``.
    title
        Title of the page.
    values
        Values for the template.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    require_jinja()
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"base64": _base64, "printable": printable, "thousands": "{:,}".format}
    style, script = _read("page.css"), "\n".join(map(_read, _SCRIPTS))
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    return environment.get_template(template).render(
        title=title, style=Markup(style), script=Markup(script), policy=policy, **values
    )


def choices(names: Iterable[str]) -> dict[str, str]:
    """Return the cell types for a filter, each with its label."""
    return {name: printable(name) if name else "no type" for name in sorted(set(names))}


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _hash(text: str) -> str:
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"
