"""Live figures: a picture that answers when it is moved, with no kernel, server or network.

A figure is one ES module, `NAME.js`, without imports: its `controls`, its mathematics as exported
functions, and `export default {render({model, el, base})}`. What figures share is `base.js`. The
masks that they draw are the library's own.
"""

import html
import json
from hashlib import sha256
from pathlib import Path
from textwrap import fill
from typing import Any

HERE = Path(__file__).parent


def names() -> list[str]:
    """The live figures there are."""
    return sorted(path.stem for path in HERE.glob("*.js") if path.stem != "base")


class Live:
    """A live figure as Jupyter shows it: its still picture, which comes to life where scripts run.

    `state` is what its controls are set to; a control that is not named stands at its default.
    """

    def __init__(self, name: str, state: dict[str, Any]):
        self.name, self.state = name, state

    def __repr__(self) -> str:
        words = "".join(f", {key}={value!r}" for key, value in self.state.items())
        return f"live({self.name!r}{words})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What it shows in a sentence, for where no markup is shown, and the figure."""
        told = (HERE / "stills" / f"{self.name}.txt").read_text("utf-8").strip()
        return {"text/plain": fill(f"A live figure. {told}", 88), "text/html": self.html()}

    def html(self) -> str:
        """The figure as a piece of a page: its still picture, and the script that wakes it."""
        still = HERE / "stills" / f"{self.name}.html"
        named = sha256(json.dumps([self.name, self.state], sort_keys=True).encode()).hexdigest()
        identity = f"live-{self.name}-{named[:8]}"
        base, figure = (_literal(_source(each)) for each in ("base", self.name))
        mount = f"""
const load = (source) => import("data:text/javascript;charset=utf-8," + encodeURIComponent(source));
const [base, figure] = await Promise.all([load({base}), load({figure})]);
base.mount({_literal(identity)}, figure, {_literal(self.state)});
"""
        return (
            f'<figure class="live" id="{html.escape(identity)}">'
            f"<style>{(HERE / 'base.css').read_text('utf-8')}</style>"
            f"<noscript><style>.live :is(.live-controls, .live-predict) {{display: none}}</style>"
            f"</noscript>"
            f'<div class="live-body">{still.read_text("utf-8") if still.exists() else ""}</div>'
            f'</figure><script type="module">{mount}</script>'
        )


def live(name: str, **state: Any) -> Live:
    """A live figure of this book, to be shown as the value of a notebook's cell.

    It works in a page that is opened from disk and in JupyterLab. `state` sets its controls by
    their keys (numbers, words, truth values). Raises ValueError where there is no such figure, and
    TypeError where a value is of another kind. A control that there is not leaves the still
    picture, and an error in the console.

    >>> live("thinned", p=0.25)
    live('thinned', p=0.25)
    """
    if name not in names():
        raise ValueError(f"no live figure {name!r}; there are {', '.join(names())}")
    for key, value in state.items():
        if not isinstance(value, (bool, int, float, str)):
            raise TypeError(f"{key} must be a number, a word or a truth value, got {value!r}")
    return Live(name, state)


def _source(name: str) -> str:
    return (HERE / f"{name}.js").read_text("utf-8")


def _literal(value: object) -> str:
    """A value as JavaScript, in which no tag can end the script."""
    return json.dumps(value).replace("<", "\\u003c")
