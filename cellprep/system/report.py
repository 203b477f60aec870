"""The base of the reports that commands return after a run over many images."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.text.frames import encodable
from cellprep.text.notebook import Row, notebook_html
from cellprep.text.wording import count, listed_problems, printable

if TYPE_CHECKING:
    from pandas import DataFrame


class Report:
    """The outcome for every image, in numbers, names and words.

    Attributes
    ----------
    failures : Mapping of str to str
        Per image that failed what is wrong with it.
    rows : Sequence of dict
        Per other image its id (``image``) and its numbers, by name.
    """

    if TYPE_CHECKING:  # fields of some reports, properties of others

        @property
        def failures(self) -> Mapping[str, str]:
            """Per image that failed what is wrong with it."""

        @property
        def rows(self) -> Sequence[dict[str, Any]]:
            """Per other image its numbers."""

    def __init_subclass__(cls) -> None:
        """Keep `__repr__`: a dataclass makes one of all its fields, unless the class itself has one."""
        cls.__repr__ = Report.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        facts = (f"{name} {value}" for name, value in self._facts())
        return f"<{type(self).__name__}: {'; '.join([self._outcome(), *facts])}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: a table of its numbers, and of what failed."""
        problems = [f"{printable(name)}: {printable(problem)}" for name, problem in self.failures.items()]
        rows: list[Row] = [("outcome", self._outcome()), *self._facts(), *([("failed", problems)] if problems else [])]
        return notebook_html(type(self).__name__, rows)

    def _outcome(self) -> str:
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        return f"{count(self._tried(), 'image')}{failed}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        """Yield names and values of the fields that hold a number or a short text."""
        for name in getattr(self, "__dataclass_fields__", ()):
            value = getattr(self, name)
            if name.startswith("_") or isinstance(value, bool):
                continue
            if isinstance(value, int | float):
                yield name, f"{value:,}"
            elif isinstance(value, str | Path) and str(value):
                yield name, printable(str(value))

    #: Where all failures are named, if there are too many for a list.
    _named = ""

    def _tried(self) -> int:
        """Return the number of images, with those that failed."""
        return len(self.rows) + len(self.failures)

    def _aftermath(self) -> str:
        """Return what failures mean for what was made, as the end of a sentence."""
        return ""

    def notes(self) -> list[str]:
        """Return lines on what was done and noticed."""
        return []

    def errors(self) -> list[str]:
        """Return lines on what failed, and its consequences; none if all is well."""
        if not self.failures:
            return []
        failed = f"{len(self.failures):,} of {count(self._tried(), 'image')} failed"
        return [f"error: {failed}{self._aftermath()}:", *listed_problems(self.failures.items(), self._named)]

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per image: its numbers; those that failed come last, with what is wrong."""
        from pandas import DataFrame

        failed = [{"image": image_id, "problem": problem} for image_id, problem in self.failures.items()]
        columns = dict.fromkeys(["image", *(name for row in self.rows for name in row), "problem"])
        rows = [
            {name: encodable(value) if isinstance(value, str) else value for name, value in row.items()}
            for row in (*self.rows, *failed)
        ]
        return DataFrame(rows, columns=list(columns)).convert_dtypes()
