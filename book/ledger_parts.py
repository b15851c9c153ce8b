"""The claims ledger in Sphinx: rows, overview, links to claims, and what `make robust` found."""

import json
import re
from html import escape
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

LOGGER = logging.getLogger(__name__)
LEDGER = "book/ledger.yml"
ROBUST = "book/results/robust.json"
VERDICTS = ("holds", "holds if", "overstated", "wrong as written", "context", "open")
TRIED = ("sampled", "trained")  # the kinds of evidence that another seed could change
GROUPS = {  # by the number of the first claim
    1: "The procedure", 10: "Inverted scaling", 20: "Ensembles", 30: "Noise variance",
    40: "MC dropout", 50: "Ridge equivalence", 60: "Batch-norm tension", 70: "Variants",
    80: "Training with it", 90: "Transformers", 95: "Does it work?",
}  # fmt: skip


def read_ledger(env) -> list[dict]:
    """The ledger's entries; the page being read is read again when the ledger changes."""
    return yaml.safe_load(read_noted(env, LEDGER))


def read_robust(env) -> dict[str, dict]:
    """For each notebook how often its assertions held on fresh seeds."""
    return json.loads(read_noted(env, ROBUST))["notebooks"]


def read_noted(env, name: str) -> str:
    """A file's text; the page being read is read again when the file changes."""
    path = Path(env.srcdir, name)
    env.note_dependency(str(path))
    return path.read_text("utf-8")


def plain(text: str) -> str:
    """A claim's Markdown as the plain text of a tooltip."""
    for mark in ("$", "`", "*", "\\"):
        text = text.replace(mark, "")
    return " ".join(text.split())


class ClaimRole(SphinxRole):
    """``{claim}`C10` `` links to a claim's row in the ledger."""

    def run(self):
        text = nodes.inline("", self.text)
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


def explain_claims(app, doctree, docname) -> None:
    """Give each link to a claim the claim's words and verdict as its tooltip."""
    links = [
        link
        for link in doctree.findall(nodes.reference)
        if re.search(r"#claim-c\d+$", link.get("refuri", ""))
    ]
    if not links:
        return
    # The pages are written: nothing is read again, and nothing notes that it was read.
    ledger = yaml.safe_load(Path(app.srcdir, LEDGER).read_text("utf-8"))
    entries = {entry["id"]: entry for entry in ledger}
    for link in links:
        entry = entries[link.astext()]
        link["reftitle"] = f"{entry['verdict']}: {plain(entry['claim'])}"


class Ledger(SphinxDirective):
    """All claims in order, below an overview that has a dot for each."""

    def run(self):
        entries = read_ledger(self.env)
        robust = read_robust(self.env) if any(map(places, entries)) else {}
        overview = nodes.raw("", self.overview(entries), format="html")
        parts = []
        for entry in entries:
            if title := GROUPS.get(int(entry["id"][1:])):
                parts.append(f"```{{rubric}} {title}\n```")
            parts.append(self.row(entry, robust))
        return [overview, *parse_markdown(self, "\n\n".join(parts))]

    @staticmethod
    def overview(entries: list[dict]) -> str:
        """A dot for each claim; and how many have each verdict, which ledger.js makes filters."""
        dots = "".join(
            f'<a class="dot {style(e)}" href="#claim-{e["id"].lower()}" '
            f'title="{e["id"]}, {e["verdict"]}: {escape(plain(e["claim"]))}" '
            f'aria-label="{e["id"]}, {e["verdict"]}"></a>'
            for e in entries
        )
        found = [entry["verdict"] for entry in entries]
        counts = "".join(
            f'<li class="verdict {v.replace(" ", "-")}" data-verdict="{v.replace(" ", "-")}">'
            f"{v} {found.count(v)}</li>"
            for v in VERDICTS
            if v in found
        )
        return (
            f'<nav class="claim-strip" aria-label="All claims">{dots}</nav>'
            f'<ul class="claim-filters" data-all="{len(entries)}">{counts}</ul>'
        )

    def row(self, entry: dict, robust: dict[str, dict]) -> str:
        verdict = entry["verdict"]
        parts = [f"{head(entry)} [{verdict}]{{.verdict .{style(entry)}}}", entry["claim"]]
        if verdict != "open":
            evidence = " · ".join(self.evidence_link(**item) for item in entry["evidence"])
            foot = f"Evidence: {evidence}. Chapter: {{doc}}`/chapters/{entry['chapter']}`."
            parts += [
                f"[{entry['because']}]{{.claim-reason}}",
                f"[{foot}{held(entry, robust)}]{{.claim-evidence}}",
            ]
        body = "\n\n".join(parts)
        return f"(claim-{entry['id'].lower()})=\n::::{{div}} claim {style(entry)}\n{body}\n::::"

    def evidence_link(self, kind: str, at: str) -> str:
        if kind == "cited":
            return f"cited {{cite:t}}`{at}`"
        path, _, label = at.partition("#")
        if label:
            return f"{{ref}}`{kind} ({label.replace('-', ' ')}) <{label}>`"
        file, _, test = path.partition("::")
        text = f"{kind} (`{test or Path(file).stem}`)"
        theme = self.config.html_theme_options
        if not theme.get("repository_url"):
            return text
        return f"[{text}]({theme['repository_url']}/blob/{theme['repository_branch']}/{file})"


def places(entry: dict) -> list[list[str]]:
    """Chapter and label of the entry's evidence that other seeds could change."""
    items = [item for item in entry.get("evidence", []) if item["kind"] in TRIED]
    return [item["at"].split("#") for item in items if "#" in item["at"]]


def style(entry: dict) -> str:
    return entry["verdict"].replace(" ", "-")


def head(entry: dict) -> str:
    return f"[{entry['id']}]{{.claim-id}} [{' '.join(entry['source'])}]{{.claim-source}}"


def held(entry: dict, robust: dict[str, dict]) -> str:
    """How often the entry's sampled and trained evidence held on fresh seeds, at the least."""
    counts = [
        (found["held"], robust[name]["shifts"])
        for name, label in places(entry)
        for found in robust.get(name, {}).get("assertions", ())
        if found["label"] == label
    ]
    if not counts:
        return ""
    least, shifts = min(counts)
    return f" On {shifts} sets of fresh seeds: held {least} times."


class Robust(SphinxDirective):
    """For each notebook, how many assertions it has and how often the weakest of them held."""

    def run(self):
        lines = ["| notebook | assertions | sets of fresh seeds | always held | least |",
                 "|---|---:|---:|---:|---:|"]  # fmt: skip
        for name, row in read_robust(self.env).items():
            counts = [found["held"] for found in row["assertions"]]
            folder = "book" if f"book/{name}" in self.env.found_docs else "chapters"
            lines.append(
                f"| {{doc}}`/{folder}/{name}` | {len(counts)} | {row['shifts']} "
                f"| {counts.count(row['shifts'])} | {min(counts, default='–')} |"
            )
        return parse_markdown(self, "\n".join(lines))


def parse_markdown(directive: SphinxDirective, text: str) -> list[nodes.Node]:
    """The nodes of a Markdown text, as if it stood where the directive stands."""
    container = nodes.container()
    source = directive.get_source_info()[0]
    directive.state.nested_parse(StringList(text.splitlines(), source), 0, container)
    return container.children


def setup(app) -> dict:
    app.add_role("claim", ClaimRole())
    app.add_directive("ledger", Ledger)
    app.add_directive("robust", Robust)
    app.connect("doctree-resolved", explain_claims)
    return {"parallel_read_safe": True}
