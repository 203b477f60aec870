"""The rules that find suspicious annotations and images: each has a name, and a threshold if it measures something."""

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
        Description of the annotations or images that it finds.
    threshold
        The lowest value that it finds; None if it has no threshold.
    suspicious
        Whether its findings are flagged by default, or only counted.
    """

    says: str
    threshold: float | None = None
    suspicious: bool = True


#: The rules by name: first those of annotations, then those of images.
RULES: dict[str, Rule] = {
    "fault": Rule("its mask cannot be read"),
    "blank": Rule("its mask is empty"),
    "duplicate": Rule("IoU with an earlier annotation", 0.5),
    "inside": Rule("share of its pixels inside another annotation that is not a duplicate", 0.9),
    "overlap": Rule("share of its pixels that other annotations cover", 0.5),
    "hidden": Rule("other annotations cover it completely, so that it has no pixels left"),
    "components": Rule("number of separate pieces", 2),
    "holes": Rule("pixels in its holes / its area: only partly filled", 0.05),
    "thin-lines": Rule("pixels in lines one pixel wide / square root of its area: an unfilled outline", 1.0),
    "straight-cut": Rule("longest straight edge along a row / square root of its area: truncated", 1.25),
    "tiny": Rule("deviations of its log area below the median of its type", 3.5),
    "huge": Rule("deviations of its log area above the median of its type", 3.5),
    "edge": Rule("it touches the image's edge", suspicious=False),
    "image-fault": Rule("its annotations cannot be read"),
    "annotated-twice": Rule("pixels covered several times / pixels covered once", 1.0),
    "image-missing": Rule("it has no file"),
    "image-unreadable": Rule("its file cannot be read"),
    "image-size": Rule("its file and its annotations differ in size"),
    "image-constant": Rule("all its pixels have the same value"),
    "image-nan": Rule("some of its pixels are NaN or infinite"),
    "unannotated": Rule("the file has no annotations", suspicious=False),
}


def choose_thresholds(chosen: Mapping[str, float]) -> dict[str, float]:
    """Return the threshold of every rule that has one.

    Raises
    ------
    UsageError
        If the rule has no threshold, or the value is invalid.

    Examples
    --------
    >>> choose_thresholds({"duplicate": 0.8})["duplicate"]
    0.8
    """
    thresholds = {name: rule.threshold for name, rule in RULES.items() if rule.threshold is not None}
    for name, value in chosen.items():
        if name not in thresholds:
            raise UsageError(f"rule {name!r} has no threshold: the rules with one are {', '.join(thresholds)}")
        if not (isinstance(value, Real) and 0 < value < float("inf")):
            raise UsageError(f"threshold {value!r} of rule {name} is invalid: give a number above 0")
    return {**thresholds, **chosen}


def read_thresholds(texts: Iterable[str]) -> dict[str, float]:
    """Parse thresholds.

    Raises
    ------
    UsageError
        If a text is not a name and a number.

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
            raise UsageError(
                f"threshold {text!r} is invalid: give a rule and a number, such as duplicate=0.8"
            ) from None
    return found


def choose_rules(names: Sequence[str]) -> frozenset[str]:
    """Return the rules whose findings are flagged: those named, or by default all suspicious ones.

    Raises
    ------
    UsageError
        If there is no such rule.
    """
    if unknown := [name for name in names if name not in RULES]:
        raise UsageError(f"rule {unknown[0]!r} is unknown: use one of {', '.join(RULES)}")
    return frozenset(names) or frozenset(name for name, rule in RULES.items() if rule.suspicious)
