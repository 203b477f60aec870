"""Upper bound of what the targets of a store can express: decoded and scored against their own labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cellprep.commands.evaluate import EvaluationOptions, draw_worst
from cellprep.commands.roundtrip.decoded import DecodedStore
from cellprep.commands.roundtrip.families import DecodingFamilies, FamiliesTask, decode_and_score_families
from cellprep.commands.roundtrip.image import ImageRoundtrip, RoundtripTask, decode_and_score
from cellprep.commands.roundtrip.report import RoundtripReport
from cellprep.core.decode import DECODERS, find_decoder
from cellprep.core.decode.typed import DecoderOptions
from cellprep.errors import StoreError, UsageError
from cellprep.formats.annotations.source import Source
from cellprep.formats.cellprep_store import CellprepStore, recipe_of
from cellprep.formats.readers import SourceLike, as_source
from cellprep.store import StoreLike, as_store
from cellprep.system.executor import Failed, check_jobs, run_tasks
from cellprep.system.options import Jobs, Option, Quiet, documented, options_of, take_values, takes

__all__ = ["RoundtripOptions", "RoundtripReport", "draw_worst_decoded", "roundtrip"]


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundtripOptions:
    """Options of decoding.

    Raises
    ------
    RecipeError
        If a decoder or one of its options is unknown.
    UsageError
        If there are options but not exactly one decoder, or both decoders and targets, or if `jobs` is invalid.
    """

    decoders: Annotated[
        Sequence[str], Option("Decoder to score, repeatable; by default all", DECODERS, ("--decoder",))
    ] = ()
    decoder_options: DecoderOptions = field(default_factory=dict)
    walls: Annotated[
        bool,
        Option(
            "Pass the walls to the decoders, as a semantic network may provide them.",
            unset=("--without-walls", "Pass no walls to the decoders, which then derive them from the energy."),
        ),
    ] = True
    targets: DecodingFamilies = ()
    jobs: Jobs = -1
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        if self.targets and (self.decoders or not self.walls):
            raise UsageError("each of --targets has a decoder of its own: leave out --decoder and --without-walls")
        if self.decoder_options and len(set(self.decoders)) != 1:
            raise UsageError("options of a decoder need exactly one decoder: name it, such as --decoder walls")
        for name in self.decoders:
            find_decoder(name, self.decoder_options)
        check_jobs(self.jobs)


@takes(RoundtripOptions)
def roundtrip(
    store: StoreLike | SourceLike, options: RoundtripOptions | None = None, **keywords: Any
) -> RoundtripReport:
    r"""Decode the targets of each image of a store, and score the result against its labels.

    With `targets`, make the targets of several methods from the labels instead, and decode and score each.

    Parameters
    ----------
    store
        A store, or its path; with `targets`, any annotations that `cellprep.build_targets` takes.
    options
        Options of decoding.
    **keywords
        Fields of `RoundtripOptions` by name.

    Returns
    -------
    RoundtripReport
        The scores by decoder, or by method. Images that cannot be read are in its failures, and in no score.

    Raises
    ------
    StoreError
        If the store has no images.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from cellprep import build_targets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\na,8 3 14 3 20 3,6,5")
    ...     built = build_targets(csv, Path(folder, "data.zarr"))
    ...     report = roundtrip(Path(folder, "data.zarr"))
    >>> report.decoders["walls"].scores["overall"]["kaggle_map"]
    1.0
    """
    options = options_of(RoundtripOptions, options, keywords)
    if options.targets:
        return _roundtrip_families(as_source(store, {})[0], options)
    store = as_store(store)  # type: ignore[arg-type]  # raises an error with advice
    chosen = tuple(dict.fromkeys(options.decoders)) or tuple(DECODERS)
    tuning = dict(options.decoder_options)
    tasks = [RoundtripTask(store.path / image_id, chosen, options.walls, tuning) for image_id in store]
    if not tasks:
        raise StoreError(f"{store.path} has no images to decode")
    found = {
        task.path.name: ImageRoundtrip(problem=image.problem) if isinstance(image, Failed) else image
        for task, image in run_tasks(
            decode_and_score, tasks, done="decoded", jobs=options.jobs, total=len(tasks), quiet=options.quiet
        )
    }
    return RoundtripReport.of(store.path.resolve().name, chosen, dict(sorted(found.items())), tuning)


def _roundtrip_families(source: Source, options: RoundtripOptions) -> RoundtripReport:
    recipe = recipe_of(source)
    tasks = [FamiliesTask(record, recipe, options.targets) for record in source.images()]
    if not tasks:
        raise UsageError(f"{source.name} has no images to decode")
    found = {
        task.image_id: ImageRoundtrip(problem=image.problem) if isinstance(image, Failed) else image
        for task, image in run_tasks(
            decode_and_score_families, tasks, done="decoded", jobs=options.jobs, total=len(tasks), quiet=options.quiet
        )
    }
    names = tuple(map(str, options.targets))
    return RoundtripReport.of(source.name, names, dict(sorted(found.items())), {}, compares="targets")


@takes(RoundtripOptions)
def draw_worst_decoded(
    report: RoundtripReport,
    store: StoreLike,
    number: int,
    out: Path | str,
    options: RoundtripOptions | None = None,
    **keywords: Any,
) -> list[Path]:
    """Draw the images with the lowest scores by the decoder that is shown, as `cellprep.draw_worst` does.

    `report` is the result of `roundtrip` with the same store, options and keywords.
    """
    store, options = as_store(store), options_of(RoundtripOptions, options, keywords)
    if options.targets:
        raise UsageError("--worst draws the results of decoders, not of --targets: leave one of them out")
    decoded = DecodedStore(store.path, report.shown, options.walls, options.decoder_options)
    truth = CellprepStore(store.path)
    drawing = EvaluationOptions(jobs=options.jobs, quiet=options.quiet)
    return draw_worst(report.decoders[report.shown], decoded, truth, number, out, drawing)
