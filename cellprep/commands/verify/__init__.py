"""Verification that a store is complete, and that its arrays agree with each other."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

from cellprep.commands.verify.fault import Fault
from cellprep.commands.verify.image import Findings, verify_image
from cellprep.commands.verify.report import VerifyReport
from cellprep.commands.verify.root import added_to_root, root_faults
from cellprep.errors import StoreError, StoreWriteError, UsageError
from cellprep.store import Store, StoreLike, StoreWriter, Summary, store_place
from cellprep.store.entries import Kind, entry_names, has_leftovers, kind_of
from cellprep.store.image import read_attributes
from cellprep.store.writer import restore_root
from cellprep.system.executor import Failed, check_jobs, cores_each, run_tasks
from cellprep.system.options import Jobs, Option, Quiet, documented
from cellprep.system.places import is_remote

__all__ = ["Fault", "VerifyReport", "verify_store"]


@documented
def verify_store(
    store: StoreLike,
    *,
    repair: Annotated[
        bool,
        Option("Remove broken images, so that build-targets builds them again; the exit code stays 1."),
    ] = False,
    jobs: Jobs = -1,
    quiet: Quiet = False,
) -> VerifyReport:
    r"""Verify every image of a store: its files, its metadata, and that its arrays agree with each other.

    No other run may write to the store during a repair.

    Parameters
    ----------
    store
        A store, or its path.

    Returns
    -------
    VerifyReport
        What is wrong, and what was removed.

    Raises
    ------
    StoreError
        If there is no store of a known schema, or if another run is writing to the store to repair.
    UsageError
        If `jobs` is invalid.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import build_targets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv, store = Path(folder, "train.csv"), Path(folder, "data.zarr")
    ...     _ = csv.write_text("id,annotation,width,height\n0e12,8 2 14 2,6,5")
    ...     _ = build_targets(csv, store)
    ...     _ = Path(store, "0e12/energy/c.0.0").write_bytes(b"")
    ...     report = verify_store(store)
    >>> report.images, [fault.subject for fault in report.broken["0e12"]]
    (1, ['energy'])
    """
    check_jobs(jobs)
    path = store_place(store)
    if is_remote(path):
        raise UsageError(f"verify reads only local stores: copy {path} into a folder first")
    report = VerifyReport(str(path), repair)
    root_is_lost = _root_is_lost(path)
    report.under_way = path.is_dir() and has_leftovers(path)
    if root_is_lost:
        report.store_faults.append("its zarr.json is missing or damaged, so that the store cannot be opened")
        if repair:
            restore_root(path)
    with StoreWriter(path) if repair else nullcontext() as writer:
        _verify_all(path, report, jobs=jobs, quiet=quiet, root_is_lost=root_is_lost)
        if writer:
            _repair(writer, report)
    return report


def _root_is_lost(path: Path) -> bool:
    """Return whether a folder is a store except for its own metadata; raise the reader's error if it is not a store."""
    try:
        Store(path)
    except StoreError:
        if not path.is_dir() or "schema_version" in read_attributes(path):
            raise
        if not any(kind_of(path / name) is Kind.IMAGE for name in entry_names(path)):
            raise
        return True
    return False


def _verify_all(path: Path, report: VerifyReport, *, jobs: int, quiet: bool, root_is_lost: bool) -> None:
    places = [path / name for name in entry_names(path)]
    summary = Summary()
    verify = partial(verify_image, threads=cores_each(jobs, len(places)))
    for place, found in run_tasks(verify, places, done="verified", jobs=jobs, total=len(places), quiet=quiet):
        # A run may have replaced it in the meantime, so that a failure says nothing about its content.
        findings = Findings(Kind.IMAGE, unchecked=found.problem) if isinstance(found, Failed) else found
        report.add(place.name, findings)
        if findings.metadata:
            summary.add(findings.metadata)
    if not root_is_lost:
        report.foreign += added_to_root(path)
    report.sort()
    if not root_is_lost:
        # The metadata of a broken image may be wrong, but the image counts.
        counted = {"images": report.images} if report.broken else summary.to_dict()
        report.store_faults += root_faults(path, {} if report.unchecked else counted)


def _repair(writer: StoreWriter, report: VerifyReport) -> None:
    try:
        if report.store_faults:
            writer.drop_summary()
        for name in report.broken:
            if writer.remove(name):
                report.removed.append(name)
    except StoreWriteError as error:
        report.stopped = str(error)
