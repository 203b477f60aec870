"""The one family of errors: each is a single line that says what is wrong and what would be right."""

from cellprep.text.wording import printable

_NAMED = 20  # names in a line; more are counted


class CellprepError(Exception):
    """Base of all errors that a user can cause and mend; ``str`` of it is one line, on which no terminal acts."""

    def __str__(self) -> str:
        """Return the line: what others wrote and no terminal may act on, such as a name in a file, is escaped."""
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in Exception.__str__(self))


class RLEError(CellprepError):
    """A run-length text is at fault.

    Parameters
    ----------
    place
        Index of the faulty annotation among those given.
    problem
        What is wrong, with the offending value, and what would be right.
    """

    def __init__(self, place: int, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"annotation {place}: {problem}")


class UsageError(CellprepError):
    """A command was called with options that do not fit the data or each other (exit code 2)."""


class RecipeError(UsageError):
    """An option of the targets has a value that it cannot have."""


class SourceError(CellprepError):
    """An annotation source as a whole cannot be read."""


class AnnotationError(CellprepError):
    """One image's annotations are at fault, at a known place of the source."""


class UnpairedError(CellprepError):
    """Images are on one side of a comparison only, so that nothing is compared.

    Parameters
    ----------
    not_predicted
        The images that are missing among the predicted ones.
    not_true
        The images that are missing among the true ones.
    """

    def __init__(self, not_predicted: list[str], not_true: list[str]) -> None:
        self.not_predicted = not_predicted
        self.not_true = not_true
        sides = {"predictions": not_predicted, "truth": not_true}
        missing = [
            f"missing in the {side}: {', '.join(map(printable, names[:_NAMED]))}"
            + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
            for side, names in sides.items()
            if names
        ]
        super().__init__(
            f"both sides need the same images, and nothing is scored; {'; '.join(missing)}. "
            "One without cells needs its empty annotation, label image or entry, too; "
            "--common scores those that both have"
        )


class ImageFileError(CellprepError):
    """An image file is missing, unreadable, or not what its annotations say."""


class TooLargeError(ImageFileError):
    """An image claims a size that does not fit into memory."""


class StoreError(CellprepError):
    """A store cannot be opened, read or written."""


class NotInStoreError(StoreError, KeyError):
    """A store has no image of an id, or an image no array of a name: mappings raise KeyError, too."""


class StoreWriteError(StoreError):
    """The store's disk takes no more: full, read-only or gone. It concerns all images, so a run stops.

    Parameters
    ----------
    path
        What was to be written.
    reason
        What the operating system says.
    """

    def __init__(self, path: object, reason: str) -> None:
        self.reason = reason
        super().__init__(f"cannot write to {path}: {reason}")


class OutputError(CellprepError):
    """A file that a command is to write cannot be written."""


class WeightsError(CellprepError):
    """A file of weights, or a checkpoint, is not what it should be."""


class TrainingError(CellprepError):
    """A training cannot go on."""


class SampleError(CellprepError):
    """A sample of a data set cannot be made."""

    def __init__(self, problem: str) -> None:
        # Of a worker's error, torch hands over the traceback, at the end of which is the problem.
        super().__init__(problem.rstrip("\n").rpartition(f"{__name__}.SampleError: ")[2])


class ClusterError(CellprepError):
    """A cluster cannot be used, or is lost."""


class MissingExtraError(CellprepError):
    """An optional dependency is not installed."""

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'cellprep[{extra}]'")
