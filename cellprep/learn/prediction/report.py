"""What a prediction did, in numbers, names and words."""

from dataclasses import dataclass, field

from cellprep.wording import count, indented, printable

__all__ = ["PredictionReport"]


@dataclass
class PredictionReport:
    """What became of every image.

    Attributes
    ----------
    out
        The folder that was written.
    machine
        Where networks ran, and what they computed in.
    total
        Number of images to predict.
    images, cells
        Numbers of images that were predicted, and of instances in them.
    left_out
        Number of instances that were too small.
    empty
        How many of these images have no instance.
    failures
        Per image that was not predicted what is wrong with it.
    """

    out: str
    machine: str
    total: int
    images: int = 0
    cells: int = 0
    left_out: int = 0
    empty: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, cells: int, left_out: int) -> None:
        """Count an image."""
        self.images += 1
        self.cells += cells
        self.left_out += left_out
        self.empty += cells == 0

    def notes(self) -> list[str]:
        """Say what was done; nothing if all failed."""
        if not self.images:
            return []
        empty = f", {count(self.empty, 'image')} without cells" if self.empty else ""
        small = f", {self.left_out:,} more too small" if self.left_out else ""
        return [
            f"{self.out}: {count(self.images, 'image')}, {count(self.cells, 'cell')}{small}{empty} (on {self.machine})"
        ]

    def errors(self) -> list[str]:
        """Say what failed; nothing if all is well."""
        if not self.failures:
            return []
        nothing = "" if self.images else f"; {self.out} was not written"
        lines = [f"error: {len(self.failures):,} of {count(self.total, 'image')} failed{nothing}:"]
        return lines + indented(f"{printable(name)}: {printable(problem)}" for name, problem in self.failures.items())
