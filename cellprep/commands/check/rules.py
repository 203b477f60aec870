"""The rules by which an annotation or an image is suspicious: a name and, where it measures, a threshold each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from cellprep.errors import UsageError


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes
    ----------
    says
        What is so of the annotations or images that it finds.
    threshold
        The value from which on it finds them; None if there is nothing to choose.
    suspicious
        Whether what it finds is flagged unless asked otherwise, or only counted.
    """

    says: str
    threshold: float | None = None
    suspicious: bool = True


#: The rules by name: those of annotations, then those of images.
RULES: dict[str, Rule] = {
    "fault": Rule("its mask cannot be read"),
    "blank": Rule("it has no pixel"),
    "duplicate": Rule("IoU with an earlier annotation", 0.5),
    "inside": Rule("share of its pixels inside one other, no duplicate", 0.9),
    "overlap": Rule("share of its pixels that others claim", 0.5),
    "hidden": Rule("others cover it entirely, so that it gets no pixel"),
    "components": Rule("pieces that do not touch each other", 2),
    "holes": Rule("pixels in its holes, over its area: filled only in part", 0.05),
    "thin-lines": Rule("pixels in lines one pixel wide, over the root of its area: an outline not filled", 1.0),
    "straight-cut": Rule("longest part of its outline along a row, over the root of its area: cut off", 1.25),
    "tiny": Rule("deviations of its log area below the median of its type", 3.5),
    "huge": Rule("deviations of its log area above the median of its type", 3.5),
    "edge": Rule("it touches the image's edge", suspicious=False),
    "image-fault": Rule("its annotations cannot be read"),
    "annotated-twice": Rule("pixels covered several times, over those covered once", 1.0),
    "image-missing": Rule("there is no file of it"),
    "image-unreadable": Rule("its file cannot be read"),
    "image-size": Rule("its file has another size than its annotations"),
    "image-constant": Rule("all its pixels have one value"),
    "image-nan": Rule("some of its pixels are NaN or infinite"),
    "unannotated": Rule("the file has no annotations", suspicious=False),
}


def choose_thresholds(chosen: Mapping[str, float]) -> dict[str, float]:
    """Return the threshold of every rule that has one.

    Raises
    ------
    UsageError
        If a rule has none, or the value cannot be one.

    Examples
    --------
    >>> choose_thresholds({"duplicate": 0.8})["duplicate"]
    0.8
    """
    thresholds = {name: rule.threshold for name, rule in RULES.items() if rule.threshold is not None}
    for name, value in chosen.items():
        if name not in thresholds:
            raise UsageError(f"rule {name!r} has no threshold; these have one: {', '.join(thresholds)}")
        if not (isinstance(value, Real) and 0 < value < float("inf")):
            raise UsageError(f"threshold {value!r} of the rule {name} is no number above 0")
    return {**thresholds, **chosen}


def read_thresholds(texts: Iterable[str]) -> dict[str, float]:
    """Read thresholds from texts.

    Raises
    ------
    UsageError
        If one is no name and number.

    Examples
    --------
    >>> read_thresholds(["duplicate=0.8", "holes=0.1"])
    {'duplicate': 0.8, 'holes': 0.1}
    """
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise UsageError(f"threshold {text!r} is not a rule and a number, such as duplicate=0.8") from None
    return found


def choose_rules(names: Sequence[str]) -> frozenset[str]:
    """Return the rules whose findings are flagged: those named, or all that are suspicious.

    Raises
    ------
    UsageError
        If there is no such rule.
    """
    if unknown := [name for name in names if name not in RULES]:
        raise UsageError(f"rule {unknown[0]!r} is unknown: use one of {', '.join(RULES)}")
    return frozenset(names) or frozenset(name for name, rule in RULES.items() if rule.suspicious)
