"""Scores of decoders, side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cellprep.commands.evaluate import EvaluationReport, ImageEvaluation
from cellprep.commands.roundtrip.image import ImageRoundtrip
from cellprep.core.decode import DEFAULT_DECODER
from cellprep.system.report import Report
from cellprep.text.tables import text_table
from cellprep.text.wording import printable

_COUNTS = ("missed", "false", "merged", "split")


@dataclass(frozen=True)
class RoundtripReport(Report):
    """The scores of each decoder.

    Attributes
    ----------
    decoders
        The scores of all images by decoder, or by method if methods are compared, as from `cellprep.evaluate`.
    compares
        The objects of the comparison: decoder or targets.
    """

    decoders: Mapping[str, EvaluationReport]
    compares: str = field(default="decoder", repr=False)

    @classmethod
    def of(
        cls,
        store: str,
        decoders: tuple[str, ...],
        images: Mapping[str, ImageRoundtrip],
        options: Mapping[str, float],
        compares: str = "decoder",
    ) -> "RoundtripReport":
        """Collect the outcomes of the images of a store, decoded with these options."""
        tuned = f" ({', '.join(f'{name}={value:g}' for name, value in options.items())})" if options else ""
        return cls(
            {
                name: EvaluationReport(
                    f"{store}, decoded by {name}{tuned}",
                    f"{store}, labels",
                    [
                        ImageEvaluation(image_id, image.cell_type, image.scores.get(name), image.problem)
                        for image_id, image in images.items()
                    ],
                )
                for name in decoders
            },
            compares,
        )

    @property
    def shown(self) -> str:
        """The decoder whose worst images are listed: the default decoder if it is included."""
        return DEFAULT_DECODER if DEFAULT_DECODER in self.decoders else next(iter(self.decoders))

    @property
    def failures(self) -> dict[str, str]:
        """The problem of each image that could not be decoded."""
        return self.decoders[self.shown].failures

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The scores of each image by each decoder."""
        return [{self.compares: name, **row} for name, report in self.decoders.items() for row in report.rows]

    def _tried(self) -> int:
        return self.decoders[self.shown]._tried()

    def _facts(self) -> Iterator[tuple[str, str]]:
        for name, report in self.decoders.items():
            if overall := report.scores["overall"]:
                yield f"kaggle_map by {name}", _number(overall)

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON: by decoder, the same as from `evaluate`."""
        reports = {name: report.to_dict() for name, report in self.decoders.items()}
        return {"targets": reports} if self.compares == "targets" else {"default": DEFAULT_DECODER, "decoders": reports}

    def table(self) -> list[str]:
        """Return a table of Kaggle's mean precision by decoder and cell type, and of counts of errors."""
        scores = {name: report.scores for name, report in self.decoders.items() if report.scored}
        if not scores:
            return []
        types = list(next(iter(scores.values()))["by_cell_type"])
        rows = [
            [name, *map(_number, [found["overall"], *(found["by_cell_type"][its] for its in types)])]
            + [f"{found['overall'][count]:,}" for count in _COUNTS]
            for name, found in scores.items()
        ]
        return text_table(["kaggle_map", "all", *map(printable, types), *_COUNTS], rows)

    def table_of_worst(self, number: int) -> list[str]:
        """Return a table of the images with the lowest scores by the decoder that is shown."""
        return [f"lowest scores, decoded by {self.shown}:", *self.decoders[self.shown].table_of_worst(number)]

    def notes(self) -> list[str]:
        """Return lines with notes."""
        return self.decoders[self.shown].notes()

    def errors(self) -> list[str]:
        """Return lines on failures, if there are any."""
        return self.decoders[self.shown].errors()


def _number(scores: Mapping[str, Any]) -> str:
    return f"{scores['kaggle_map']:.4f}"
