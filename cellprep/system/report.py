"""What a run over many images comes to: the base of the reports that commands return."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cellprep.text.frames import encodable
from cellprep.text.wording import count, listed_problems

if TYPE_CHECKING:
    from pandas import DataFrame


class Report:
    """What became of every image, in numbers, names and words.

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

    #: Where all failures are named, if there are too many for a list.
    _named = ""

    def _tried(self) -> int:
        """Return the number of images, with those that failed."""
        return len(self.rows) + len(self.failures)

    def _aftermath(self) -> str:
        """Return what failures mean for what was made, as the end of a sentence."""
        return ""

    def notes(self) -> list[str]:
        """Say what was done and noticed."""
        return []

    def errors(self) -> list[str]:
        """Say what failed, and what became of it; nothing if all is well."""
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
