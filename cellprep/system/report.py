"""Base of the reports that commands return after a run over many images."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.text.frames import encodable
from cellprep.text.notebook import Row, notebook_html
from cellprep.text.wording import count, listed_problems, printable

if TYPE_CHECKING:
    from pandas import DataFrame


class Report:
    """Results of a run over many images.

    Attributes
    ----------
    failures : Mapping of str to str
        Error message of each image that failed.
    rows : Sequence of dict
        Id (``image``) and numbers of each other image.
    """

    if TYPE_CHECKING:  # fields in some reports, properties in others

        @property
        def failures(self) -> Mapping[str, str]:
            """Error message of each image that failed."""

        @property
        def rows(self) -> Sequence[dict[str, Any]]:
            """Numbers of each other image."""

    def __init_subclass__(cls) -> None:
        """Keep `__repr__`: a dataclass would generate its own unless the class defines one."""
        cls.__repr__ = Report.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        facts = (f"{name} {value}" for name, value in self._facts())
        return f"<{type(self).__name__}: {'; '.join([self._outcome(), *facts])}>"

    def _repr_html_(self) -> str:
        """Return the notebook view: a table of its numbers and of the failures."""
        problems = [f"{printable(name)}: {printable(problem)}" for name, problem in self.failures.items()]
        rows: list[Row] = [("outcome", self._outcome()), *self._facts(), *([("failed", problems)] if problems else [])]
        return notebook_html(type(self).__name__, rows)

    def _outcome(self) -> str:
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        return f"{count(self._tried(), 'image')}{failed}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        """Yield names and values of the fields that contain a number or a short text."""
        for name in getattr(self, "__dataclass_fields__", ()):
            value = getattr(self, name)
            if name.startswith("_") or isinstance(value, bool):
                continue
            if isinstance(value, int | float):
                yield name, f"{value:,}"
            elif isinstance(value, str | Path) and str(value):
                yield name, printable(str(value))

    #: Where all failures are listed, if there are too many for a message.
    _named = ""

    def _tried(self) -> int:
        """Return the number of images, including failures."""
        return len(self.rows) + len(self.failures)

    def _aftermath(self) -> str:
        """Return the consequence of failures for the output, as the end of a sentence."""
        return ""

    def notes(self) -> list[str]:
        """Return lines about the run and its findings."""
        return []

    def errors(self) -> list[str]:
        """Return lines about failures and their consequences; empty if there are none."""
        if not self.failures:
            return []
        failed = f"{len(self.failures):,} of {count(self._tried(), 'image')} failed"
        return [f"error: {failed}{self._aftermath()}:", *listed_problems(self.failures.items(), self._named)]

    def to_dataframe(self) -> "DataFrame":
        """Return a data frame with one row per image: first numbers, then the images that failed with their problem."""
        from pandas import DataFrame

        failed = [{"image": image_id, "problem": problem} for image_id, problem in self.failures.items()]
        columns = dict.fromkeys(["image", *(name for row in self.rows for name in row), "problem"])
        rows = [
            {name: encodable(value) if isinstance(value, str) else value for name, value in row.items()}
            for row in (*self.rows, *failed)
        ]
        return DataFrame(rows, columns=list(columns)).convert_dtypes()
