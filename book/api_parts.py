"""The library's pages in Sphinx: after its first sentence a docstring shows its example, and types
in a signature are named without their modules.
"""

import re
from dataclasses import is_dataclass
from itertools import groupby, pairwise


def example_first(app, what, name, obj, options, lines) -> None:
    """Move the examples of a docstring up, behind the first paragraph, which says what it is.

    Not where the text announces them, with a colon: there they stand where they are read.
    """
    blocks = [list(b) for filled, b in groupby(lines, lambda line: bool(line.strip())) if filled]
    examples = [block for block in blocks if block[0].lstrip().startswith(">>> ")]
    announced = any(
        block in examples and before[-1].rstrip().endswith(":")
        for before, block in pairwise(blocks)
    )
    if not examples or announced or blocks[0] in examples:
        return
    rest = [block for block in blocks[1:] if block not in examples]
    lines[:] = [line for block in [blocks[0], *examples, *rest] for line in [*block, ""]]


def short_types(app, what, name, obj, options, signature, returns) -> tuple | None:
    """A dataclass has its annotations as texts, with a path for each type, which do not parse."""
    if signature is None or not is_dataclass(obj):
        return None
    return re.sub(r"~(?:\w+\.)*", "", signature), returns


def setup(app) -> dict:
    app.connect("autodoc-process-signature", short_types)
    app.connect("autodoc-process-docstring", example_first)
    return {"parallel_read_safe": True}
