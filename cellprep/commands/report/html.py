"""HTML as trees of elements, so that no text of others can become markup."""

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files
from xml.etree.ElementTree import Element, tostring

Content = Element | str | None


def element(name: str, /, *children: Content, **attributes: object) -> Element:
    """Return an element; a trailing underscore of an attribute's name is dropped, others become hyphens.

    Attributes that are None or False are left out; True ones have their name as value.

    Examples
    --------
    >>> tostring(element("p", "a < b", element("b", "!"), class_="x", aria_label="y"), method="html").decode()
    '<p class="x" aria-label="y">a &lt; b<b>!</b></p>'
    """
    made = Element(name)
    for key, value in attributes.items():
        if value is not None and value is not False:
            name_in_html = key.rstrip("_").replace("_", "-")
            made.set(name_in_html, name_in_html if value is True else str(value))
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif child and len(made):
            made[-1].tail = (made[-1].tail or "") + child
        elif child:
            made.text = (made.text or "") + child
    return made


def table(caption: str, header: Iterable[str], rows: Iterable[Iterable[Content]], **attributes: object) -> Element:
    """Return a table that scrolls in its own box where it is too wide; all cells but the first of a row are numbers."""
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [
        element(
            "tr",
            *(element("td" if place else "th", cell, scope=None if place else "row") for place, cell in enumerate(row)),
        )
        for row in rows
    ]
    made = element("table", element("caption", caption), element("thead", head), element("tbody", *body), **attributes)
    return element("div", made, class_="wide", tabindex=0, role="region", aria_label=caption)


def picture(content: bytes, about: str, width: int, height: int) -> Element:
    """Return a picture in WebP as part of the page."""
    data = "data:image/webp;base64," + base64.b64encode(content).decode()
    return element("img", src=data, alt=about, width=width, height=height, loading="lazy")


def page(title: str, *sections: Element) -> str:
    """Return a whole page: it loads nothing, and runs no script but its own."""
    style, script = (
        files("cellprep.commands.report").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    rules = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    links = [
        element("li", element("a", section.findtext("h2") or "", href=f"#{section.get('id')}")) for section in sections
    ]
    document = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=rules),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", title),
            element("style", style),
        ),
        element(
            "body",
            element("a", "Skip to the content", href="#content", class_="skip"),
            element(
                "header",
                element("h1", title),
                element("button", "Light or dark", type="button", id="theme"),
                element("nav", element("ul", *links), aria_label="Sections"),
            ),
            element("main", *sections, id="content"),
            element("script", script),
        ),
        lang="en",
    )
    return "<!DOCTYPE html>\n" + tostring(document, encoding="unicode", method="html") + "\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
