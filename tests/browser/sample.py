"""A small book with one of everything, built with the book's own settings."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[2]
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
TOC = """format: jb-book
root: book/index
parts:
- caption: Chapters
  numbered: 1
  chapters:
  - file: chapters/everything
- caption: Library
  chapters:
  - file: book/api
  - file: book/references
"""
INDEX = """# A small book

Here is {numref}`fig-line` of {doc}`../chapters/everything`.
"""
API = """# Functions

```{eval-rst}
.. autofunction:: dropout.functional.dropout
.. autoclass:: dropout.nn.Dropout
```
"""
REFERENCES = """# References

```{bibliography}
```
"""
LEDGER = """- {id: C10, source: [T], claim: It holds., verdict: open}
"""
SOURCES = """@article{hinton2012, author = {Hinton, Geoffrey and Srivastava, Nitish},
title = {Improving networks}, journal = {Journal of networks}, year = {2012}}
"""
TEXT = r"""# Everything: one of each

How does {claim}`C10` look? See {numref}`fig-line` and
`a.very.long_name.of_a_module.that_a_phone(cannot_show)`.

```{prf:definition} A mask
:label: def-mask

With rate $p$, the *keep probability*. Draw $m$ with $q = 1 - p$.

$$\tilde h_j = \frac{m_j}{q}\, h_j$$

| name | drop rate | keep rate | source |
|---|---|---|---|
| input | .2 | .8 | {cite:t}`hinton2012`, section 4 |
| hidden | .5 | .5 | {cite:t}`hinton2012`, figure 2 |
```

## A second heading

### A third heading

$$f(x) = a_0 + a_1 x + a_2 x^2 + a_3 x^3 + a_4 x^4 + a_5 x^5 + a_6 x^6$$
"""
IMPORTS = """# This chapter runs on the book's library: see "Run it" in the book, or
# from a clone of the repository: pip install ".[book]"
import matplotlib.pyplot as plt
import pandas as pd
import sympy as sp

from dropout import figures

figures.use_style()"""
FIGURE = """fig, ax = plt.subplots()
for name in ("blue", "vermillion", "green", "orange"):
    ax.plot([0, 1], [0, len(name)], color=figures.PALETTE[name], label=name)
ax.set(title="The lines rise", xlabel="time (s)", ylabel="height (m)")
ax.legend()
plt.show()"""
TABLE = (
    """pd.DataFrame({"rate": [0.1, 0.5], "loss (nats)": [1.25, 0.75], "what": ["mild", "usual"]})"""
)
FORMULA = """p = sp.symbols("p")
sp.Eq(sp.Symbol("V"), p / (1 - p), evaluate=False)"""
WIDE_CODE = f'text = "{"x" * 79}"\nassert text  # the line above is as wide as the book allows'
LINES = {"one line": 'print("one line of output")', "two": 'print("two\\nlines")'}
WIDE_OUTPUT = 'print("0123456789" * 7 + "01234567")'
CELLS = [
    new_markdown_cell(TEXT),
    new_code_cell(IMPORTS, metadata={"tags": ["hide-input"]}),
    new_code_cell(
        FIGURE,
        metadata={
            "tags": ["hide-input"],
            "mystnb": {
                "image": {"alt": "Four straight lines in four colours rise from one point."},
                "figure": {"caption": "Four lines, with $p = 1$; no bars.", "name": "fig-line"},
            },
        },
    ),
    new_code_cell(TABLE),
    new_code_cell(FORMULA),
    new_code_cell(WIDE_CODE),
    *map(new_code_cell, LINES.values()),
    new_code_cell(WIDE_OUTPUT),
    new_code_cell('print("quiet")', metadata={"tags": ["hide-output"]}),
]


def build(root: Path, environment: dict[str, str], config=None) -> Path:
    """Build the small book in a folder, without a warning; where its pages stand.

    A function `config` may change the text of _config.yml; then warnings are let pass.
    """
    shutil.copytree(ROOT / "book/static", root / "book/static")
    for parts in ROOT.glob("book/*_parts.py"):
        shutil.copy(parts, root / "book")
    for name, text in {
        "_toc.yml": TOC,
        "_config.yml": (config or str)((ROOT / "_config.yml").read_text("utf-8")),
        "book/index.md": INDEX,
        "book/api.md": API,
        "book/ledger.yml": LEDGER,
        "book/references.md": REFERENCES,
        "book/references.bib": SOURCES,
    }.items():
        (root / name).write_text(text, "utf-8")
    (root / "chapters").mkdir()
    nbformat.write(new_notebook(cells=CELLS), root / "chapters/everything.ipynb")
    done = subprocess.run(
        [JUPYTER_BOOK, "build", root, "--quiet"],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert config or "WARNING: " not in done.stdout, done.stdout
    return root / "_build/html"
