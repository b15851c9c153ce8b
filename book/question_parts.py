"""The questions page in Sphinx: what people ask, the answer, and the section that shows it."""

import yaml
from docutils import nodes
from ledger_parts import parse_markdown, read_noted
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)
QUESTIONS = "book/questions.yml"


class Questions(SphinxDirective):
    """The questions of one group, the directive's argument, in their order in the file."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        group = self.arguments[0]
        entries = yaml.safe_load(read_noted(self.env, QUESTIONS))
        entries = [entry for entry in entries if entry["group"] == group]
        if not entries:
            place = self.get_source_info()
            LOGGER.warning("%s has no question in %r", QUESTIONS, group, location=place)
        rows = parse_markdown(self, "\n\n".join(map(row, entries)))
        questions = [node for node in rows if "question" in node.get("classes", ())]
        for entry, question in zip(entries, questions, strict=True):
            question[0] += permalink(entry)
        return rows


def row(entry: dict) -> str:
    """An entry as Markdown; name_sections gives the links their words."""
    links = "; ".join(f"{{ref}}`{label} <{label}>`" for label in labels(entry))
    return "\n\n".join(
        (
            f"(question-{entry['id']})=\n::::{{div}} question\n[{entry['ask']}]{{.question-ask}}",
            entry["answer"],
            f"[Shown in {links}]{{.question-shown}}\n::::",
        )
    )


def labels(entry: dict) -> list[str]:
    places = entry["at"] if isinstance(entry["at"], list) else [entry["at"]]
    return [place.partition("#")[2] for place in places]


def permalink(entry: dict) -> nodes.raw:
    link = f'class="headerlink" href="#question-{entry["id"]}" title="Link to this question"'
    return nodes.raw("", f"<a {link}>#</a>", format="html")


def name_sections(app, doctree, docname) -> None:
    """Let each link say the page and the section to which it leads."""
    for shown in doctree.findall(nodes.inline):
        if "question-shown" in shown["classes"]:
            for link in shown.findall(nodes.reference):
                words = place(app.env, link.astext())
                link.clear()
                link += nodes.Text(words)


def place(env, label: str) -> str:
    """The short title of the page that has a label, and the title of the section around it."""
    docname, anchor = env.get_domain("std").anonlabels[label]
    page = env.titles[docname].astext()
    node = next((n for n in env.get_doctree(docname).findall() if has_id(n, anchor)), None)
    while node is not None and not isinstance(node, nodes.section):
        node = node.parent
    section = node.next_node(nodes.title).astext() if node is not None else page
    return page if section == page else f"{page.partition(':')[0]}: {section}"


def has_id(node: nodes.Node, anchor: str) -> bool:
    return isinstance(node, nodes.Element) and anchor in node["ids"]


def setup(app) -> dict:
    app.add_directive("questions", Questions)
    app.connect("doctree-resolved", name_sections)
    return {"parallel_read_safe": True}
