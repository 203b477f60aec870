"""The report of a verification."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from cellprep.commands.verify.fault import Fault
from cellprep.commands.verify.image import Findings
from cellprep.store.entries import Kind
from cellprep.system.report import Report
from cellprep.text.wording import count, indented, listed_problems, printable


@dataclass
class VerifyReport(Report):
    """The faults of a store, and other content in it.

    Attributes
    ----------
    store
        The store's path.
    repair
        Whether to remove broken images.
    images, whole
        Number of images, and of images without faults.
    store_faults
        Faults of the store's own metadata.
    broken
        The faults of each broken image.
    unchecked
        The reason for each entry that could not be verified.
    foreign
        Content that cellprep did not write: entries, and attributes added to metadata.
    under_way
        Whether a run is writing to the store, or was killed.
    removed
        Broken images that were removed.
    unguarded
        Number of images whose metadata have no checksum, as earlier versions wrote none.
    computed
        Targets that are computed when read, so that there is no array to verify.
    stopped
        Why not all broken images were removed, if so.
    rows
        The number of cells of each image without faults.
    """

    store: str
    repair: bool
    images: int = 0
    whole: int = 0
    store_faults: list[str] = field(default_factory=list)
    broken: dict[str, tuple[Fault, ...]] = field(default_factory=dict)
    unchecked: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    under_way: bool = False
    removed: list[str] = field(default_factory=list)
    unguarded: int = 0
    computed: list[str] = field(default_factory=list)
    stopped: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def add(self, name: str, findings: Findings) -> None:
        """Add the findings on one entry."""
        if findings.unchecked:
            self.unchecked[name] = findings.unchecked
        elif findings.kind is Kind.FOREIGN:
            self.foreign.append(name)
        if findings.faults:
            self.broken[name] = findings.faults
        self.foreign += [f"{name}/{added}" for added in findings.added]
        self.unguarded += findings.metadata is not None and not findings.metadata.crc32c
        self.images += findings.kind is not Kind.FOREIGN
        if findings.metadata and not (findings.faults or findings.unchecked):
            self.whole += 1
            self.rows.append({"image": name, "cells": findings.metadata.cells})
            self.computed = sorted({*self.computed, *(findings.metadata.computed or [])})

    def sort(self) -> None:
        """Sort everything by name, as workers finish in any order."""
        self.broken = dict(sorted(self.broken.items()))
        self.unchecked = dict(sorted(self.unchecked.items()))
        self.foreign.sort()
        self.rows.sort(key=lambda row: str(row["image"]))

    @property
    def failures(self) -> dict[str, str]:
        """The problem of each image that is broken or could not be verified."""
        broken = {name: "; ".join(fault.described() for fault in faults) for name, faults in self.broken.items()}
        return {**broken, **self.unchecked}

    @property
    def sound(self) -> bool:
        """True if everything could be verified and nothing is wrong."""
        return not (self.store_faults or self.broken or self.unchecked or self.stopped)

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        told = {**asdict(self), "sound": self.sound}
        del told["rows"]
        if not self.computed:
            del told["computed"]
        return told

    def notes(self) -> list[str]:
        """Return lines with notes, and the number of intact images."""
        lines = []
        if self.foreign:
            lines += [
                f"{len(self.foreign):,} not written by cellprep, unchanged:",
                *indented(map(printable, self.foreign)),
            ]
        if self.under_way:
            what = "a run was killed and left it; removed" if self.repair else "a run is writing, or was killed"
            lines.append(f"`.cellprep` is in the store: {what}")
        if self.unguarded:
            lines.append(f"{count(self.unguarded, 'image')} without a checksum of its metadata: --rebuild adds it")
        if self.computed:
            names = ", ".join(self.computed)
            lines.append(f"{names}: computed from the labels when read, so there is no array to verify")
        return [*lines, f"{self.store}: {count(self.images, 'image')}, {self.whole:,} intact"]

    def errors(self) -> list[str]:
        """Return lines on faults and their consequences, if there are any."""
        lines = [f"error: {self.store}: {fault}" for fault in self.store_faults]
        if self.broken:
            lines.append(f"error: {len(self.broken):,} of {count(self.images, 'image')} broken:")
            lines += listed_problems(self._faults(), "; list all with --json")
        if self.broken and not self.repair:
            lines.append("remove broken images with --repair, then build them again with cellprep build-targets")
        if self.unchecked:
            lines.append(f"error: {len(self.unchecked):,} could not be verified, and may be intact:")
            lines += listed_problems(self.unchecked.items(), "; list all with --json")
        if self.removed:
            lines.append(
                f"{count(len(self.removed), 'broken image')} removed: build them again with cellprep build-targets"
            )
        if self.stopped:
            lines.append(f"error: not all broken images could be removed: {self.stopped}")
        return lines

    def _faults(self) -> Iterator[tuple[str, str]]:
        for name, faults in self.broken.items():
            yield from ((name, fault.described()) for fault in faults)
