"""What the book asks of a code cell beyond normal form."""

import re

from nbformat import NotebookNode
from nbval.plugin import comment_markers, metadata_tags

NOT_COMPARED = "nbval-ignore-output"
EXERCISE = "exercise"  # a question, or the cell for its answer
LIVE = "live"  # shows a live figure, and does nothing else
ALLOWED_TAGS = {NOT_COMPARED, "raises-exception"}
SHORTEST_REASON, SHORTEST_ALT, SHORTEST_CAPTION, MOST_CODE_LINES, MOST_LINES = 20, 30, 20, 15, 20
MOST_COLUMNS, MOST_PRINTED = 88, 78  # what a page shows on a desktop without scrolling
SMALLEST_TEXT = 8.5  # points, in a figure


def faults(cell: NotebookNode) -> list[str]:
    """All that is wrong with a code cell."""
    return [
        fault
        for rule in (
            *(uncompared, unexplained, unrepeatable, unseen, uncaptioned, not_only_live),
            *(too_small, too_long, too_wide, prints_too_wide),
        )
        if (fault := rule(cell))
    ]


def uncompared(cell: NotebookNode) -> str | None:
    """A way of telling nbval to skip or relax a cell, other than the two that the book allows."""
    tags = set(cell.metadata.get("tags", []))
    found = [m for m in comment_markers if m in cell.source]
    found += sorted(tags & set(metadata_tags) - ALLOWED_TAGS)
    return f"{found} not allowed: use the tag {NOT_COMPARED}, with its reason" if found else None


def unexplained(cell: NotebookNode) -> str | None:
    """An output that nbval ignores, without the reason in the cell's first line."""
    reason = re.match(r"# Not compared: (.*)", cell.source)
    if NOT_COMPARED in cell.metadata.get("tags", []) and (
        not reason or len(reason[1]) < SHORTEST_REASON
    ):
        return f"tag {NOT_COMPARED} needs a first line '# Not compared: ' and the reason"
    return None


def unrepeatable(cell: NotebookNode) -> str | None:
    """An object's address, which is another one in each run."""
    address = next((m[0] for t in texts(cell) if (m := re.search("<.* at 0x.*", t))), None)
    return f"shows an address: {address}" if address else None


def unseen(cell: NotebookNode) -> str | None:
    """A figure that a reader who cannot see it is not told about."""
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    if any("<Figure size" in text for text in texts(cell)) and len(alt) < SHORTEST_ALT:
        return f"mystnb.image.alt must tell in {SHORTEST_ALT} characters or more: {alt!r}"
    return None


def uncaptioned(cell: NotebookNode) -> str | None:
    """A figure without a caption, or without the name by which the text refers to its number."""
    drawn = sum(text.count("<Figure size") for text in texts(cell))
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    if drawn > 1:
        return f"{drawn} figures in one cell, which has one caption"
    if drawn and len(figure.get("caption", "")) < SHORTEST_CAPTION:
        return (
            f"mystnb.figure.caption must say in {SHORTEST_CAPTION} characters or more what is shown"
        )
    if drawn and not figure.get("name", "").startswith("fig-"):
        return f"mystnb.figure.name must begin with fig-: {figure.get('name')!r}"
    return None


def not_only_live(cell: NotebookNode) -> str | None:
    """A live figure in a cell that is not marked so, or more in one that is."""
    alone = re.fullmatch(r"figures\.live\([^()\n]*\)", cell.source)
    if bool(alone) != (LIVE in cell.metadata.get("tags", [])) or (
        "figures.live(" in cell.source and not alone
    ):
        return f"a live figure stands alone in a cell with the tag {LIVE}"
    return None


def too_small(cell: NotebookNode) -> str | None:
    """Text in a figure that is too small to read."""
    sizes = re.findall(r"\w*(?:fontsize|labelsize)\s*=\s*(\d+(?:\.\d+)?)", cell.source)
    small = min(map(float, sizes), default=SMALLEST_TEXT)
    return f"text of {small:g} points, at least {SMALLEST_TEXT}" if small < SMALLEST_TEXT else None


def too_long(cell: NotebookNode) -> str | None:
    """More lines than can be taken in at a glance."""
    lines = cell.source.splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if EXERCISE in cell.metadata.get("tags", []):
        return None  # what a reader begins with is as long as it is
    if len(code) > MOST_CODE_LINES or len(lines) > MOST_LINES:
        return (
            f"{len(lines)} lines, {len(code)} of them code: "
            f"at most {MOST_LINES} and {MOST_CODE_LINES}"
        )
    return None


def too_wide(cell: NotebookNode) -> str | None:
    """A line that a reader would have to scroll to."""
    wide = next((line for line in cell.source.splitlines() if len(line) > MOST_COLUMNS), None)
    return f"{len(wide)} columns, at most {MOST_COLUMNS}: {wide}" if wide else None


def prints_too_wide(cell: NotebookNode) -> str | None:
    """A printed line that a reader would have to scroll to; a table as HTML scrolls or wraps."""
    streams = [o.text for o in cell.outputs if o.output_type == "stream"]
    lines = [line for text in streams for line in text.splitlines()]
    wide = max(lines, key=len, default="")
    if len(wide) > MOST_PRINTED:
        return f"prints {len(wide)} columns, at most {MOST_PRINTED}: {wide}"
    return None


def texts(cell: NotebookNode) -> list[str]:
    """The outputs of a cell that are text."""
    return [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
