"""Exceptions of cellprep. Each message is a single line that names the problem and the remedy."""

from cellprep.text.wording import printable

_NAMED = 20  # names listed in a message; the rest are counted


class CellprepError(Exception):
    """Base of all errors that users can cause and fix. Its ``str`` is a single line, safe to print to a terminal."""

    def __str__(self) -> str:
        """Return the message with unprintable characters, such as those of file names, escaped."""
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in Exception.__str__(self))


class RLEError(CellprepError):
    """A run-length encoding is invalid.

    Parameters
    ----------
    place
        Index of the faulty annotation.
    problem
        What is wrong, with the offending value, and what is valid.
    """

    def __init__(self, place: int, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"annotation {place}: {problem}")


class UsageError(CellprepError):
    """Options of a command do not fit the data or each other (exit code 2)."""


class RecipeError(UsageError):
    """An option of the targets has an invalid value."""


class SourceError(CellprepError):
    """A whole annotation source cannot be read."""


class AnnotationError(CellprepError):
    """The annotations of one image are invalid."""


class UnpairedError(CellprepError):
    """The two sides of a comparison do not have the same images.

    Parameters
    ----------
    not_predicted
        Images that have no prediction.
    not_true
        Images that have no ground truth.
    """

    def __init__(self, not_predicted: list[str], not_true: list[str]) -> None:
        self.not_predicted = not_predicted
        self.not_true = not_true
        sides = {"predictions": not_predicted, "truth": not_true}
        missing = [
            f"missing from the {side}: {', '.join(map(printable, names[:_NAMED]))}"
            + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
            for side, names in sides.items()
            if names
        ]
        super().__init__(
            f"both sides need the same images, so nothing was scored; {'; '.join(missing)}. "
            "An image without cells still needs an empty annotation, label image or entry; "
            "--common scores only the images that both sides have"
        )


class ImageFileError(CellprepError):
    """An image file is missing, unreadable or does not match its annotations."""


class TooLargeError(ImageFileError):
    """An image is too large for the memory."""


class StoreError(CellprepError):
    """A store cannot be opened, read or written."""


class NotInStoreError(StoreError, KeyError):
    """A store has no such image, or an image no such array. It is also a KeyError, as mappings require."""


class StoreWriteError(StoreError):
    """The disk of the store is full, read-only or gone. All images are affected, so the run stops.

    Parameters
    ----------
    path
        The file or folder to be written.
    reason
        The operating system's message.
    """

    def __init__(self, path: object, reason: str) -> None:
        self.reason = reason
        super().__init__(f"cannot write to {path}: {reason}")


class OutputError(CellprepError):
    """An output file cannot be written."""


class WeightsError(CellprepError):
    """A file of weights or a checkpoint is invalid."""


class TrainingError(CellprepError):
    """Training cannot continue."""


class SampleError(CellprepError):
    """A sample of a data set cannot be computed."""

    def __init__(self, problem: str) -> None:
        # torch passes on a worker's error with its traceback; the message is at its end.
        super().__init__(problem.rstrip("\n").rpartition(f"{__name__}.SampleError: ")[2])


class ClusterError(CellprepError):
    """A cluster cannot be used, or the connection to it is lost."""


class MissingExtraError(CellprepError):
    """An optional dependency is not installed."""

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'cellprep[{extra}]'")
