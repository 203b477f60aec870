"""Faults of an image."""

from dataclasses import dataclass

from cellprep.errors import StoreError
from cellprep.text.wording import printable


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of an image.

    Attributes
    ----------
    subject
        The array, or the file within the image's folder.
    invariant
        The broken rule: that of a target or of another array, ``files``, ``attributes`` or ``form``.
    problem
        What is wrong, and where.
    """

    subject: str
    invariant: str
    problem: str

    def described(self) -> str:
        """Return the fault as text."""
        return f"{printable(self.subject)}, {self.invariant}: {self.problem}"


def unreadable(name: str, error: StoreError) -> Fault:
    """Return the fault of an array that cannot be read.

    Raises
    ------
    PermissionError
        If permission is denied, which says nothing about the content.
    """
    if isinstance(error.__cause__, PermissionError):
        raise error.__cause__
    return Fault(name, "files", str(error))
