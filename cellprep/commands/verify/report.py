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
    """The faults of a store, and what else lies in it.

    Attributes
    ----------
    store
        The store's path.
    repair
        Whether broken images were to be removed.
    images, whole
        Number of images, and of those in which nothing is wrong.
    store_faults
        What is wrong with what the store says of itself.
    broken
        Per broken image its faults.
    unchecked
        Per entry that could not be verified why.
    foreign
        What lies in the store and is not cellprep's: entries, and attributes that were added to metadata.
    under_way
        Whether a run is writing to the store, or was killed.
    removed
        Broken images that were removed.
    unguarded
        Number of images whose metadata have no checksum: earlier versions wrote none.
    computed
        Targets that are computed on reading, so that there is nothing to hold them against.
    stopped
        Why not all broken images were removed, if so.
    rows
        Per whole image its number of cells.
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
        """Take in what was found of one entry."""
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
        """Put everything into the order of the names, whichever worker was first."""
        self.broken = dict(sorted(self.broken.items()))
        self.unchecked = dict(sorted(self.unchecked.items()))
        self.foreign.sort()
        self.rows.sort(key=lambda row: str(row["image"]))

    @property
    def failures(self) -> dict[str, str]:
        """Per image that is broken or could not be verified what is wrong with it."""
        broken = {name: "; ".join(fault.described() for fault in faults) for name, faults in self.broken.items()}
        return {**broken, **self.unchecked}

    @property
    def sound(self) -> bool:
        """Whether all could be verified and nothing is wrong."""
        return not (self.store_faults or self.broken or self.unchecked or self.stopped)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        told = {**asdict(self), "sound": self.sound}
        del told["rows"]
        if not self.computed:
            del told["computed"]
        return told

    def notes(self) -> list[str]:
        """Return lines on what else was noticed, and how many images are whole."""
        lines = []
        if self.foreign:
            lines += [f"{len(self.foreign):,} not cellprep's, left alone:", *indented(map(printable, self.foreign))]
        if self.under_way:
            what = "a run was killed and left it; cleared" if self.repair else "a run is writing, or was killed"
            lines.append(f"`.cellprep` is in the store: {what}")
        if self.unguarded:
            lines.append(f"{count(self.unguarded, 'image')} without a checksum of its metadata: --rebuild adds it")
        if self.computed:
            names = ", ".join(self.computed)
            lines.append(f"{names}: computed from the labels on reading, so that no array is there to be verified")
        return [*lines, f"{self.store}: {count(self.images, 'image')}, {self.whole:,} whole"]

    def errors(self) -> list[str]:
        """Return lines on what is wrong, and its consequences; none if all is well."""
        lines = [f"error: {self.store}: {fault}" for fault in self.store_faults]
        if self.broken:
            lines.append(f"error: {len(self.broken):,} of {count(self.images, 'image')} broken:")
            lines += listed_problems(self._faults(), "; --json names all")
        if self.broken and not self.repair:
            lines.append("--repair removes broken images, and cellprep build-targets makes them again")
        if self.unchecked:
            lines.append(f"error: {len(self.unchecked):,} could not be verified, and may be whole:")
            lines += listed_problems(self.unchecked.items(), "; --json names all")
        if self.removed:
            lines.append(f"{count(len(self.removed), 'broken image')} removed: cellprep build-targets makes them again")
        if self.stopped:
            lines.append(f"error: not all broken images could be removed: {self.stopped}")
        return lines

    def _faults(self) -> Iterator[tuple[str, str]]:
        for name, faults in self.broken.items():
            yield from ((name, fault.described()) for fault in faults)
