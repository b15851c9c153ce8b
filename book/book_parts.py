"""What this book adds to Sphinx: the claims ledger, a table of versions, local MathJax, a comma
that stays beside its formula.
"""

import platform
from importlib.metadata import distribution, version
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

LOGGER = logging.getLogger(__name__)
LEDGER = "book/ledger.yml"
VERDICTS = ("holds", "holds if", "overstated", "wrong as written", "context", "open")
PACKAGES = ("torch", "numpy", "sympy", "scikit-learn", "matplotlib", "jupyter-book", "myst-nb")


def read_ledger(env) -> list[dict]:
    """The ledger's entries; the page being read is read again when the ledger changes."""
    path = Path(env.srcdir, LEDGER)
    env.note_dependency(str(path))
    return yaml.safe_load(path.read_text("utf-8"))


class ClaimRole(SphinxRole):
    """``{claim}`C10` `` links to a claim's row in the ledger."""

    def run(self):
        text = nodes.inline("", self.text, classes=["claim-link"])
        if self.text not in {entry["id"] for entry in read_ledger(self.env)}:
            LOGGER.warning("%s has no claim %r", LEDGER, self.text, location=self.get_location())
            return [text], []
        link = pending_xref(
            "",
            text,
            refdomain="std",
            reftype="ref",
            reftarget=f"claim-{self.text.lower()}",
            refexplicit=True,
            refwarn=False,
            refdoc=self.env.docname,
        )
        return [link], []


class Ledger(SphinxDirective):
    """The claims of the ledger, `settled` (with verdict and evidence) or still `open`."""

    required_arguments = 1

    def run(self):
        wanted = self.arguments[0]
        if wanted not in ("settled", "open"):
            raise self.error(f"ledger takes 'settled' or 'open', got {wanted!r}")
        entries = [
            e for e in read_ledger(self.env) if (e["verdict"] == "open") == (wanted == "open")
        ]
        rows = [self.open_row(e) if wanted == "open" else self.settled_row(e) for e in entries]
        return parse_markdown(self, f"{self.summary(entries)}\n\n" + "\n\n".join(rows))

    @staticmethod
    def summary(entries: list[dict]) -> str:
        found = [entry["verdict"] for entry in entries]
        counts = [f"{found.count(each)} {each}" for each in VERDICTS if each in found]
        return f"{len(entries)} claims: {', '.join(counts)}."

    def settled_row(self, entry: dict) -> str:
        verdict = entry["verdict"]
        evidence = " · ".join(self.evidence_link(**item) for item in entry["evidence"])
        return f"""(claim-{entry["id"].lower()})=
::::{{div}} claim
{head(entry)} [{verdict}]{{.verdict .{verdict.replace(" ", "-")}}}

{entry["claim"]}

[{entry["because"]}]{{.claim-reason}}

[Evidence: {evidence}. Chapter: {{doc}}`/chapters/{entry["chapter"]}`.]{{.claim-evidence}}
::::"""

    def open_row(self, entry: dict) -> str:
        return f"""(claim-{entry["id"].lower()})=
::::{{div}} claim open
{head(entry)} {entry["claim"]}
::::"""

    def evidence_link(self, kind: str, at: str) -> str:
        if kind == "cited":
            return f"cited {{cite:t}}`{at}`"
        path, _, label = at.partition("#")
        if label:
            return f"{{ref}}`{kind} ({label.replace('-', ' ')}) <{label}>`"
        theme = self.config.html_theme_options
        file, _, test = path.partition("::")
        url = f"{theme['repository_url']}/blob/{theme['repository_branch']}/{file}"
        return f"[{kind} (`{test or Path(file).stem}`)]({url})"


def head(entry: dict) -> str:
    return f"[{entry['id']}]{{.claim-id}} [{' '.join(entry['source'])}]{{.claim-source}}"


class Versions(SphinxDirective):
    """A table of the versions that executed this book."""

    def run(self):
        rows = [
            ("Python", platform.python_version()),
            *((name, version(name)) for name in PACKAGES),
        ]
        body = "\n".join(f"| {name} | {release} |" for name, release in rows)
        return parse_markdown(self, f"| package | version |\n|---|---|\n{body}")


def parse_markdown(directive: SphinxDirective, text: str) -> list[nodes.Node]:
    container = nodes.container()
    source = directive.get_source_info()[0]
    directive.state.nested_parse(StringList(text.splitlines(), source), 0, container)
    return container.children


def use_local_mathjax(app, config) -> None:
    """Copy one script of sphinx-mathjax-offline; as an extension it would copy all 24 MB."""
    package = distribution("sphinx-mathjax-offline")
    script = package.locate_file(f"sphinx-mathjax-offline/static/mathjax/{config.mathjax_path}")
    config.html_static_path.append(str(script))


def fix_citation_list(app, pagename, templatename, context, doctree) -> None:
    """Drop a role that promises list items, which the bibliography of docutils has not."""
    body = context.get("body", "")
    context["body"] = body.replace('<div role="list" class="citation-list">', "<div>")


def keep_neighbours(app, doctree, docname) -> None:
    """Put what touches a formula in a text, a comma say, into a span that does not break.

    Browsers would begin a line with it, since a typeset formula is a box to them.
    """
    for formula in list(doctree.findall(nodes.math)):
        parent, at = formula.parent, formula.parent.index(formula)
        before, _, after = [None, *parent, None][at : at + 3]
        span = nodes.inline("", classes=["formula"])
        if isinstance(before, nodes.Text) and before[-1:].strip():
            parent.replace(before, nodes.Text(before[:-1]))
            span += nodes.Text(before[-1])
        parent.replace(formula, span)
        span += formula
        if isinstance(after, nodes.Text) and after[:1].strip():
            parent.replace(after, nodes.Text(after[1:]))
            span += nodes.Text(after[0])


def setup(app) -> dict:
    app.add_role("claim", ClaimRole())
    app.add_directive("ledger", Ledger)
    app.add_directive("versions", Versions)
    app.connect("config-inited", use_local_mathjax)
    app.connect("doctree-resolved", keep_neighbours)
    app.connect("html-page-context", fix_citation_list)
    return {"parallel_read_safe": True}
