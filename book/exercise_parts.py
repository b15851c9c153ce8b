"""Exercises in Sphinx: the two cells of a notebook that ask one become a form, which works in the
page without a server (book/static/exercises.js).
"""

import importlib
import inspect
import json
import re
from html import escape

from docutils import nodes
from ledger_parts import parse_markdown
from sphinx.util.docutils import SphinxDirective

TAG = "exercise"  # of the cells of a notebook
ASKED = re.compile(r"""\bexercise\(["'](\d\d\.\d+)["']\)""")


# ---- the notebook -------------------------------------------------------------------------------


def exercises_to_text(app, docname, source) -> None:
    """A notebook's cells that ask an exercise, and those for its answer, as one directive each.

    So they are neither executed nor shown.
    """
    if app.env.doc2path(docname).endswith(".ipynb") and f'"{TAG}"' in source[0]:
        notebook = json.loads(source[0])
        notebook["cells"] = [each for cell in notebook["cells"] for each in shown_as(cell)]
        source[0] = json.dumps(notebook)


def shown_as(cell: dict) -> list[dict]:
    """What stands on the page for a cell of a notebook."""
    if cell["cell_type"] != "code" or TAG not in cell["metadata"].get("tags", ()):
        return [cell]
    asked = ASKED.search("".join(cell["source"]))
    if asked is None:  # the cell for an answer
        return []
    text = f"```{{worked-exercise}} {asked[1]}\n```"
    return [{"cell_type": "markdown", "id": cell.get("id", ""), "metadata": {}, "source": text}]


# ---- the page -----------------------------------------------------------------------------------


class Tag(nodes.General, nodes.Element):
    """An HTML element of any name: `tag`, and its `attributes`."""


def tag(name: str, *children: nodes.Node, classes=(), ids=(), **attributes: str) -> Tag:
    return Tag("", *children, tag=name, classes=list(classes), ids=list(ids), names_of=attributes)


def open_tag(translator, node: Tag) -> None:
    names = {name.replace("_", "-"): text for name, text in node["names_of"].items()}
    translator.body.append(translator.starttag(node, node["tag"], "", **names))


def close_tag(translator, node: Tag) -> None:
    translator.body.append(f"</{node['tag']}>\n")


def html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


class WorkedExercise(SphinxDirective):
    """One exercise: its question, a place for the answer, hints, solution."""

    required_arguments = 1

    def run(self):
        from dropout.exercises import find
        from dropout.exercises.question import solution_text

        exercise = find(self.arguments[0])
        chapter = exercise.id.partition(".")[0]
        file = importlib.import_module(f"dropout.exercises.chapter_{chapter}").__file__
        self.env.note_dependency(file)
        asked = getattr(self.env, "exercises", {})
        asked.setdefault(self.env.docname, []).append(exercise.id)
        self.env.exercises = asked
        name = f"exercise-{exercise.id.replace('.', '-')}"
        hints = [
            tag("details", summary(f"Hint {k} of {len(exercise.hints)}"), *self.parsed(hint))
            for k, hint in enumerate(exercise.hints, 1)
        ]
        solution = self.parsed(solution_text(exercise))
        return [
            tag(
                "section",
                self.heading(exercise, f"{name}-title"),
                self.trains(exercise),
                *self.parsed(exercise.question),
                *self.place(exercise),
                tag("div", *hints, classes=["hints"]),
                tag("details", summary("Solution"), *solution, classes=["solution"]),
                html(data_script(page_data(exercise))),
                classes=["exercise"],
                ids=[name],
                aria_labelledby=f"{name}-title",
            )
        ]

    def parsed(self, text: str) -> list[nodes.Node]:
        return parse_markdown(self, text.strip())

    def heading(self, exercise, name: str) -> nodes.Node:
        title = self.parsed(exercise.title)[0].children
        kind = tag("span", nodes.Text(exercise.kind), classes=["exercise-kind"])
        number = tag("span", nodes.Text(f"Exercise {exercise.id}"), classes=["exercise-number"])
        return tag("h3", number, nodes.Text(" "), *title, nodes.Text(" "), kind, ids=[name])

    def trains(self, exercise) -> nodes.Node:
        found = self.parsed(f"Trains {exercise.trains}.")
        found[0]["classes"].append("trains")
        return found[0]

    def place(self, exercise) -> list[nodes.Node]:
        """The place for the answer, which the page's script fills."""
        from dropout.exercises.forms import Choice, Code

        parts: list[nodes.Node] = []
        if isinstance(exercise, Choice):
            options = [tag("li", *inline(self.parsed(o))) for o in exercise.options.values()]
            parts.append(tag("ol", *options, classes=["options"], type="a"))
        if isinstance(exercise, Code):
            start = nodes.literal_block("", exercise.given.strip(), language="python")
            parts.append(tag("div", start, classes=["start"]))
        call = f'q = exercise("{exercise.id}")'
        if isinstance(exercise, Code) and not exercise.in_page:
            return [*parts, *self.parsed(f"Work it in the notebook: `{call}`.")]
        said = (
            "Answered in the page with JavaScript, or in the notebook: "
            f"<code>{escape(call)}</code>."
        )
        return [
            *parts,
            html(f'<noscript><p>{said}</p></noscript><div class="answer"></div>'),
        ]


def summary(text: str) -> Tag:
    return tag("summary", nodes.Text(text))


def inline(found: list[nodes.Node]) -> list[nodes.Node]:
    """The content of a text's only paragraph, without the paragraph."""
    return found[0].children if len(found) == 1 else found


def page_data(exercise) -> dict:
    """What the page's script knows of an exercise."""
    from dropout.exercises import formulas
    from dropout.exercises.forms import Choice, Code, Formula, Number, number, source_of

    data = {"id": exercise.id, "after": exercise.after, "reveals": exercise.reveals}
    wrong = [[entry.answer, entry.says] for entry in exercise.wrong if hasattr(entry, "answer")]
    match exercise:
        case Number():
            unit = f", {exercise.unit}" if exercise.unit else ""
            data |= {
                "form": "number",
                "label": f"Your answer, a number{unit}",
                "answer": exercise.answer,
                "within": exercise.within,
                "follows": exercise.gap,
                "wrong": [[number(entry.answer), entry.says] for entry in exercise.known],
            }
        case Choice():
            data |= {
                "form": "choice",
                "options": dict(exercise.options),
                "answer": exercise.answer,
                "wrong": wrong,
            }
        case Formula():
            also = "".join(f"; `{name}` is `{text}`" for name, text in exercise.also.items())
            data |= {
                "form": "formula",
                "label": f"Your answer, a formula in {formulas.listed(exercise.names)}{also}",
                "names": list(exercise.names),
                "also": list(exercise.also),
                "points": exercise.points,
                "answer": exercise.answer,
                "wrong": wrong,
            }
        case Code(in_page=True):
            data |= {
                "form": "code",
                "label": f"Your `{exercise.name}`",
                "name": exercise.name,
                "given": exercise.given.strip(),
                "check": source_of(exercise.check),
                "check_name": exercise.check.__name__,
                "takes": exercise.takes,
                "misconceptions": exercise.misconceptions,
                "seconds": exercise.seconds,
            }
    return data


def data_script(data: object, **attributes: str) -> str:
    """JSON for the page's script. No text in it can end the element."""
    names = "".join(f' {name}="{text}"' for name, text in attributes.items())
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json"{names}>{text}</script>'


# ---- all pages ----------------------------------------------------------------------------------


def python_sources() -> list[str]:
    """What MicroPython runs before a reader's code: one space, so without imports of each other."""
    from dropout.exercises import in_page, probes

    return [
        re.sub(r"^from dropout\.exercises.*\n", "", inspect.getsource(module), flags=re.MULTILINE)
        for module in (probes, in_page)
    ]


def tell_pages(app, pagename, templatename, context, doctree) -> None:
    """Every page knows which page asks which exercises; one that runs code has the checker."""
    asked = getattr(app.env, "exercises", {})
    pages = {context["pathto"](name): keys for name, keys in sorted(asked.items()) if keys}
    scripts = [data_script(pages, id="exercise-pages")]
    if pagename in asked and '"form": "code"' in context.get("body", ""):
        scripts.append(data_script(python_sources(), id="exercise-python"))
    context["metatags"] = context.get("metatags", "") + "\n".join(scripts)


def forget(app, env, docname) -> None:
    getattr(env, "exercises", {}).pop(docname, None)


def merge(app, env, docnames, other) -> None:
    known = getattr(other, "exercises", {})
    env.exercises = getattr(env, "exercises", {}) | {
        name: known[name] for name in docnames if name in known
    }


def setup(app) -> dict:
    app.add_node(Tag, html=(open_tag, close_tag))
    app.add_directive("worked-exercise", WorkedExercise)
    app.connect("source-read", exercises_to_text)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("html-page-context", tell_pages)
    return {"parallel_read_safe": True}
