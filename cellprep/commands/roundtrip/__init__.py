"""What the targets of a store can express at best: decoded again, and scored against the labels they were made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cellprep.commands.evaluate import EvaluationOptions, draw_worst
from cellprep.commands.roundtrip.decoded import DecodedStore
from cellprep.commands.roundtrip.image import ImageRoundtrip, RoundtripTask, decode_and_score
from cellprep.commands.roundtrip.report import RoundtripReport
from cellprep.core.decode import DECODERS, find_decoder
from cellprep.errors import StoreError, UsageError
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.store import Store
from cellprep.system.executor import Failed, check_jobs, run_tasks

__all__ = ["RoundtripOptions", "RoundtripReport", "draw_worst_decoded", "roundtrip"]


@dataclass(frozen=True, slots=True)
class RoundtripOptions:
    """How to decode.

    Attributes
    ----------
    decoders
        Names in `cellprep.DECODERS`; all unless given.
    walls
        Whether the decoders are given the walls, as a semantic network may tell them.
    jobs
        Number of processes; -1 for one per core.
    quiet
        Whether to show no progress bar.
    decoder_options
        Values of options of the decoder by name, where there is but one.

    Raises
    ------
    RecipeError
        If there is no such decoder, or it has no such options.
    UsageError
        If there are options for several decoders, or `jobs` is no number of processes.
    """

    decoders: Sequence[str] = ()
    walls: bool = True
    jobs: int = -1
    quiet: bool = False
    decoder_options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.decoder_options and len(set(self.decoders)) != 1:
            raise UsageError("options of a decoder are of one alone: name it, as by --decoder walls")
        for name in self.decoders:
            find_decoder(name, self.decoder_options)
        check_jobs(self.jobs)


def roundtrip(store: Store, options: RoundtripOptions | None = None) -> RoundtripReport:
    r"""Decode the targets of each image of a store, and score what comes out against its labels.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    options
        How to decode.

    Returns
    -------
    RoundtripReport
        The scores by decoder; images that cannot be read are in its failures, and in no score.

    Raises
    ------
    StoreError
        If the store holds no images.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from cellprep import build_targets, open_source, open_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\na,8 3 14 3 20 3,6,5")
    ...     built = build_targets(open_source(csv), Path(folder, "data.zarr"))
    ...     report = roundtrip(open_store(Path(folder, "data.zarr")))
    >>> report.decoders["walls"].scores["overall"]["kaggle_map"]
    1.0
    """
    options = options or RoundtripOptions()
    chosen = tuple(dict.fromkeys(options.decoders)) or tuple(DECODERS)
    tuning = dict(options.decoder_options)
    tasks = [RoundtripTask(store.path / image_id, chosen, options.walls, tuning) for image_id in store]
    if not tasks:
        raise StoreError(f"{store.path} holds no images to decode")
    found = {
        task.path.name: ImageRoundtrip(problem=image.problem) if isinstance(image, Failed) else image
        for task, image in run_tasks(
            decode_and_score, tasks, done="decoded", jobs=options.jobs, total=len(tasks), quiet=options.quiet
        )
    }
    return RoundtripReport.of(store.path.resolve().name, chosen, dict(sorted(found.items())), tuning)


def draw_worst_decoded(
    report: RoundtripReport, store: Store, number: int, out: Path | str, options: RoundtripOptions | None = None
) -> list[Path]:
    """Draw the images with the lowest scores by the decoder that is shown, as `cellprep.draw_worst` does.

    Parameters
    ----------
    report
        From `roundtrip`, with the same `store` and `options`.
    number
        How many.
    out
        Folder for the pictures, made if need be: ``01-<id>.png`` is the worst.

    Returns
    -------
    list of Path
        The pictures, the worst image first.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    OutputError
        If a picture cannot be drawn or written.
    """
    options = options or RoundtripOptions()
    decoded = DecodedStore(store.path, report.shown, options.walls, options.decoder_options)
    truth = CellprepStore(store.path)
    drawing = EvaluationOptions(jobs=options.jobs, quiet=options.quiet)
    return draw_worst(report.decoders[report.shown], decoded, truth, number, out, drawing)
