"""What a reader found wrong: every fault with its row and a code, and what was left out on purpose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from galclass.errors import CatalogError
from galclass.morphology import QUESTIONS

_FIRST_QUESTION = next(iter(QUESTIONS))
_SHOWN_PER_CODE = 3
_NOTES = {
    "label_from_raw_votes": "{:,} labels are from raw votes, not debiased ones",
    "no_clean_class": "{:,} rows have no label and votes that are not clean for any class",
    "comment_lines": "{:,} comment lines among the rows left out",
    "repeated_headers": "{:,} repeated header lines left out",
    "ra_below_24": "every ra of {:,} rows is below 24: hours must be multiplied by 15 first",
    "repaired_ids": '{:,} ids lost their ".0" or spreadsheet\'s quotes',
    "unused_mapping_rows": "{:,} rows of the mapping match no object in the catalog",
    "mapping_conflicts": "{:,} objects have several files in the mapping; the first is used",
}
"""Notes shown to the user, by code."""


@dataclass(frozen=True)
class RowFault:
    """One row that is left out.

    Attributes
    ----------
    code : str
        no_id, bad_id, duplicate_id, two_classes, two_positions, unknown_label, no_asset_id, bad_votes, bad_type,
        bad_position, no_spectrum.
    row : int
        Row of the table, the first is 1 (the header is not counted).
    object_id : str or None
        The object, where it has an id.
    reason : str
        What is wrong, in words.
    """

    code: str
    row: int
    object_id: str | None
    reason: str


@dataclass
class CatalogReport:
    """Rows left out of a catalog and notes on the rows that stayed.

    Attributes
    ----------
    rejects : list of RowFault
        Rows that are left out because something is wrong with them.
    dropped : list of RowFault
        Rows that a format leaves out by its definition (zoo2MainSpecz without a spectrum).
    notes : dict of str to int
        Counts of what was repaired or is missing in rows that were kept (nan_votes, repaired_ids, ...).
    columns : tuple of str
        The columns of the file for messages, those that are not read with the reason.
    stopped : dict of str to int
        Labels made from votes that end before a class: question that nobody answered -> rows.
    table : str
        Which table was read, of a file with several.
    """

    rejects: list[RowFault] = field(default_factory=list)
    dropped: list[RowFault] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    stopped: dict[str, int] = field(default_factory=dict)
    table: str = ""
    _ends: dict[int, str] = field(default_factory=dict, repr=False)
    _rows: dict[str, set[int]] = field(default_factory=dict, repr=False)

    def end_early(self, ends: Mapping[int, str]) -> None:
        """Remember at which question the votes of rows end; counted once it is known which rows stay (`settle`)."""
        self._ends.update(ends)

    def note_rows(self, code: str, rows: Iterable[int]) -> None:
        """Remember rows that a note is about; counted by `settle`."""
        self._rows.setdefault(code, set()).update(rows)

    def settle(self, labels: Mapping[int, str | None]) -> None:
        """Count what was remembered of the rows that stayed.

        Parameters
        ----------
        labels : mapping of int to str or None
            Row -> label, of the rows that stayed.
        """
        ends = Counter(
            question
            for row, question in self._ends.items()
            if row in labels and (labels[row] is None) == (question == _FIRST_QUESTION)  # labelled by other votes
        )
        self.stopped = dict(sorted(ends.items()))
        for code, rows in self._rows.items():
            unlabelled = code == "no_clean_class"
            self.note(code, sum(row in labels and (labels[row] is None) == unlabelled for row in rows))
        self._ends, self._rows = {}, {}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know of the rows that stayed, one sentence each."""
        ended = ", ".join(f"{count:,} at {question}" for question, count in self.stopped.items())
        said = [f"read table {self.table}"] if self.table else []
        said += [f"labels from votes stopped early: {ended}"] if ended else []
        return (*said, *(f"{_NOTES[code].format(count)}" for code, count in self.notes.items() if code in _NOTES))

    def note(self, code: str, count: int) -> None:
        """Count what is worth knowing about rows that stayed."""
        if count:
            self.notes[code] = self.notes.get(code, 0) + count

    def __str__(self) -> str:
        counts = Counter(fault.code for fault in (*self.rejects, *self.dropped))
        left_out = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
        notes = ", ".join(f"{count} {code}" for code, count in sorted(self.notes.items()))
        ended = "; votes stopped early: " if self.stopped else ""
        ended += ", ".join(f"{count} at {question}" for question, count in self.stopped.items())
        return f"left out: {left_out or 'nothing'}; notes: {notes or 'none'}{ended}"

    def raise_rejects(self, where: str) -> None:
        """Raise one error that names all kinds of faulty rows.

        Raises
        ------
        CatalogError
            If a row was rejected.
        """
        if not self.rejects:
            return
        lines = []
        for code, count in sorted(Counter(fault.code for fault in self.rejects).items()):
            examples = [fault for fault in self.rejects if fault.code == code][:_SHOWN_PER_CODE]
            shown = "; ".join(f"row {fault.row}: {fault.reason}" for fault in examples)
            lines.append(f"{code} ({count}): {shown}{'; ...' if count > len(examples) else ''}")
        raise CatalogError(
            f"{len(self.rejects)} faulty rows\n  " + "\n  ".join(lines) + "\n ",
            where=where,
            advice="fix them, or pass a CatalogReport to leave them out and count them",
        )
