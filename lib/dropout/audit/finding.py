"""What an audit finds: findings, as a sequence that shows itself as a table."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from textwrap import wrap
from typing import Any, overload

from dropout.audit.kinds import CONFIDENCE, KINDS, Confidence

COLUMNS = "kind", "where", "what was measured", "confidence", "mend"
WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One fault: its kind, where it is, what shows it, how sure that is, and what mends it.

    `module` is the path of a module in the model, "" for the model itself, `source` the line of
    the code that calls the dropout, where there is one. `evidence` holds numbers, `sentence` says
    what they mean. `confidence` is one of `CONFIDENCE`.
    """

    kind: str
    module: str
    source: str | None
    evidence: Mapping[str, Any] = field(hash=False)
    sentence: str
    confidence: Confidence
    mend: str

    def __post_init__(self):
        for name, value, allowed in (
            ("kind", self.kind, KINDS), ("confidence", self.confidence, CONFIDENCE),
        ):  # fmt: skip
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")

    @property
    def where(self) -> str:
        """The module's path, and the line of code: "encoder.drop (model.py:12)"."""
        path = self.module or "(the model)"
        return f"{path} ({self.source})" if self.source else path

    def __str__(self) -> str:
        return f"{self.kind} at {self.where}: {self.sentence} [{self.confidence}] {self.mend}"

    def cells(self) -> tuple[str, ...]:
        """What the table shows of it."""
        return self.kind, self.where, self.sentence, self.confidence, self.mend


class Findings(Sequence[Finding]):
    """The findings of an audit, those that are certain first.

    >>> Findings([])
    nothing found
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        ranks = list(CONFIDENCE)
        first: dict[tuple, Finding] = {}
        for finding in findings:
            first.setdefault((finding.kind, finding.module, finding.source), finding)
        self._findings = sorted(first.values(), key=lambda f: ranks.index(f.confidence))

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> "Findings": ...
    def __getitem__(self, index):
        found = self._findings[index]
        return Findings(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._findings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Findings) and self._findings == other._findings

    __hash__ = None  # type: ignore[assignment]

    def kinds(self) -> list[str]:
        """The kinds that were found, each once."""
        return list(dict.fromkeys(finding.kind for finding in self))

    def to_json(self, **options: Any) -> str:
        """As JSON: a list of objects. `options` are those of `json.dumps`."""
        rows = [
            {**asdict(f), "evidence": _plain(f.evidence), "where": f.where} for f in self._findings
        ]
        return json.dumps(rows, **{"allow_nan": False, "ensure_ascii": False, **options})

    def __repr__(self) -> str:
        if not self:
            return "nothing found"
        count = f"{len(self)} finding{'s' if len(self) > 1 else ''}"
        return "\n".join([count, *(_block(n, f) for n, f in enumerate(self, start=1))])

    def _repr_html_(self) -> str:
        if not self:
            return "<p>nothing found</p>"
        head = "".join(f'<th scope="col" style="text-align:left">{name}</th>' for name in COLUMNS)
        rows = "".join(
            f'<tr title="{escape(KINDS[f.kind])}">'
            + "".join(
                f'<td style="text-align:left;vertical-align:top">{escape(cell)}</td>'
                for cell in f.cells()
            )
            + "</tr>"
            for f in self
        )
        caption = f"<caption>What the audit found: {len(self)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _block(number: int, finding: Finding) -> str:
    """A finding in a terminal: a line that names it, and under it what shows and what mends it."""
    lines = [f"{number:2}  {finding.kind:22}{finding.where}  [{finding.confidence}]"]
    for text in (finding.sentence, f"mend: {finding.mend}"):
        lines += wrap(text, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4)
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """A value that JSON can hold: a number that is none becomes its name."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float | str | bool | None) else str(value)
