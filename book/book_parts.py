"""What this book adds to Sphinx: a table of versions, local MathJax, a comma that stays beside its
formula, and chapters with the number of their file.
"""

import platform
import re
from importlib.metadata import distribution, version
from pathlib import Path

from docutils import nodes
from ledger_parts import parse_markdown
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.util.docutils import SphinxDirective
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles

PACKAGES = ("torch", "numpy", "sympy", "scikit-learn", "matplotlib", "jupyter-book", "myst-nb")


class Versions(SphinxDirective):
    """A table of the versions that executed this book."""

    def run(self):
        rows = [
            ("Python", platform.python_version()),
            *((name, version(name)) for name in PACKAGES),
        ]
        body = "\n".join(f"| {name} | {release} |" for name, release in rows)
        return parse_markdown(self, f"| package | version |\n|---|---|\n{body}")


def use_local_mathjax(app, config) -> None:
    """Make one script of the parts of sphinx-mathjax-offline that the book uses.

    As an extension it would copy all 24 MB, and its bundles come with menus and speech.
    """
    package = distribution("sphinx-mathjax-offline")
    folder = Path(str(package.locate_file("sphinx-mathjax-offline/static/mathjax")))
    script = Path(app.doctreedir, config.mathjax_path)
    script.parent.mkdir(parents=True, exist_ok=True)
    parts = [(folder / f"{part}.js").read_text("utf-8") for part in MATHJAX]
    script.write_text("\n".join(map(without_outlines, parts)), "utf-8")
    config.html_static_path.append(str(script))


# In the order in which they build on each other.
MATHJAX = (
    "startup", "core", "input/tex-base", "input/tex/extensions/ams", "output/svg",
    "output/svg/fonts/tex", "a11y/assistive-mml",
)  # fmt: skip
# Alphabets that no formula of the book is set in: Fraktur, sans serif, old-style digits, bold; and
# of the plain font, which has all alphabets of mathematics as letters of Unicode, what is not
# italic, double-struck or of a typewriter. A test of the pages finds letters that are missing.
FONTS = re.compile(r"T\.(fraktur|sansSerif|texOldstyle|texCalligraphicBold|texMathit|bold)\w*=\(0,")
ALPHABETS = range(0x1D400, 0x1D800)
USED = (
    range(0x1D434, 0x1D468), range(0x1D538, 0x1D56C), range(0x1D670, 0x1D6A4),
    range(0x1D6E2, 0x1D71C), range(0x1D7D8, 0x1D7E2), range(0x1D7F6, 0x1D800),
)  # fmt: skip


def without_outlines(script: str) -> str:
    """MathJax's font without the outlines of letters that the book does not use."""

    def kept(outline: re.Match) -> str:
        code = int(outline[1])
        unused = code in ALPHABETS and not any(code in used for used in USED)
        return "" if unused else outline[0]

    def lightened(table: re.Match) -> str:
        if FONTS.match(table[0]):
            return table[1] + "{},{})"  # no outlines, and no letters made of others
        if table[1].startswith("T.normal="):
            return table[1] + re.sub(r'(\d+):"[^"]*",?', kept, table[2]) + ")"
        return table[0]

    tables = re.compile(r"(T\.\w+=\(0,\w\.AddPaths\)\(\w\.\w+,)(\{[^}]*\}[^)]*)\)")
    return tables.sub(lightened, script)


def fix_roles(app, pagename, templatename, context, doctree) -> None:
    """Mend what screen readers are told: a bibliography is no list of docutils, a signature no list
    of definitions, and a fold has words of its own.
    """
    body = context.get("body", "")
    body = body.replace('<div role="list" class="citation-list">', "<div>")
    body = re.sub(r'<dt class="sig .*?</dt>', parameter_lines, body, flags=re.DOTALL)
    context["body"] = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")


def parameter_lines(signature: re.Match) -> str:
    """Lines for parameters, which Sphinx makes a list of definitions without terms."""
    html = signature[0]
    for tag in ("dl", "dd"):
        html = html.replace(f"<{tag}>", f'<span class="{tag}">').replace(f"</{tag}>", "</span>")
    return html


def name_folds(app, doctree, docname) -> None:
    """MyST-NB folds away a "source" and an "output"; the first is better known as code."""
    for fold in doctree.findall(HideCodeCellNode):
        for prompt in ("prompt_show", "prompt_hide"):
            fold[prompt] = re.sub(r"source$", "code", fold[prompt])


def keep_neighbours(app, doctree, docname) -> None:
    """Put what touches a formula in a text, a comma say, into a span that does not break.

    Browsers would begin a line with it, since a typeset formula is a box to them.
    """
    for formula in list(doctree.findall(nodes.math)):
        # By place: to docutils equal texts are one child, and "." is a text that comes again.
        parent, at = formula.parent, formula.parent.index(formula)
        before, _, after = [None, *parent, None][at : at + 3]
        span = nodes.inline("", classes=["formula"])
        if isinstance(before, nodes.Text) and before[-1:].strip():
            parent[at - 1] = nodes.Text(before[:-1])
            span += nodes.Text(before[-1])
        parent[at] = span
        span += formula
        if isinstance(after, nodes.Text) and after[:1].strip():
            parent[at + 1] = nodes.Text(after[1:])
            span += nodes.Text(after[0])


def number_by_file(collector: type) -> None:
    """Section numbers are to begin with the number of the chapter's file, also after a gap."""
    assign = collector.assign_section_numbers

    def assigned(self, env) -> list[str]:
        changed = assign(self, env)
        for page, numbers in env.toc_secnumbers.items():
            if chapter := re.match(r"chapters/(\d+)_", page):
                own = int(chapter[1])
                for anchor, number in numbers.items():
                    numbers[anchor] = number and (own, *number[1:])
                for node in (env.titles[page], *env.tocs[page].findall(nodes.reference)):
                    if number := node.get("secnumber"):
                        node["secnumber"] = [own, *number[1:]]
        return changed

    collector.assign_section_numbers = assigned


def setup(app) -> dict:
    number_by_file(TocTreeCollectorWithStyles)
    app.add_directive("versions", Versions)
    app.connect("config-inited", use_local_mathjax)
    app.connect("doctree-resolved", name_folds)
    app.connect("doctree-resolved", keep_neighbours)
    app.connect("html-page-context", fix_roles)
    return {"parallel_read_safe": True}
