"""A live figure in a page of its own, and its module's functions, for the tests and the stills."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from dropout.figures.widgets import HERE, live

PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{name}</title><style>
body {{ margin: 0 auto; max-width: 46rem; padding: 0 12px; background: {paper}; color: {ink} }}
html[data-theme="dark"] {{ --blue: #56b4e9; --green: #2cc295; --orange: #e69f00;
  --vermillion: #f0803c; --grey: #98a1ab; --pst-color-text-base: #d9dce0;
  --pst-color-text-muted: #a3abb4; --pst-color-border: #3a4048;
  --pst-color-background: #16181b; --pst-color-surface: #202429; }}
</style></head><body><main><h1>{name}</h1>{figure}<p>Below.</p></main></body></html>"""
COLOURS = {"light": ("#fdfcfa", "#1f2328"), "dark": ("#16181b", "#d9dce0")}

# What `evaluate` runs: `base` and `figure` are the modules, `given` is the test's.
CALL = """
const load = (source) => import("data:text/javascript;charset=utf-8," + encodeURIComponent(source));
const plain = (x) => ArrayBuffer.isView(x) ? Array.from(x, plain)
  : Array.isArray(x) ? x.map(plain)
  : !x || typeof x !== "object" ? x
  : Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)]));
const run = async ({base: b, figure: f, given, expression}) => {
  const base = await load(b), figure = f ? await load(f) : {};
  const call = new Function("base", "figure", "given", "return " + expression);
  return plain(await call(base, figure, given));
};
"""

Evaluate = Callable[..., Any]


def evaluator(browser: Browser | None) -> Evaluate:
    """evaluate(name, expression, given): a value of a figure's module, in a browser or in Node."""

    def evaluate(name: str | None, expression: str, given: Any = None) -> Any:
        what = {
            "base": (HERE / "base.js").read_text("utf-8"),
            "figure": (HERE / f"{name}.js").read_text("utf-8") if name else None,
            "given": given,
            "expression": expression,
        }
        if browser is not None:
            page = browser.new_page()
            try:
                return page.evaluate(f"async (what) => {{ {CALL} return run(what); }}", what)
            finally:
                page.close()
        node = shutil.which("node")
        assert node is not None
        script = f"{CALL} console.log(JSON.stringify(await run({json.dumps(what)})));"
        done = subprocess.run(
            [node, "--input-type=module", "-"], input=script, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() != "undefined" else None

    return evaluate


def written(folder: Path, name: str, theme: str = "light", **state: Any) -> Path:
    """A file with one live figure in it."""
    paper, ink = COLOURS[theme]
    figure = live(name, **state).html()
    path = folder / f"{name}-{theme}.html"
    path.write_text(
        PAGE.format(name=name, theme=theme, paper=paper, ink=ink, figure=figure), "utf-8"
    )
    return path


def opened(
    browser: Browser, path: Path, *, width: int = 760, link: str = "", **options: Any
) -> Page:
    """A page with the figure of a file alive in it; what goes wrong in it is in `page.errors`."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda m: m.type == "error" and page.errors.append(m.text))
    page.goto(path.as_uri() + link)
    if options.get("java_script_enabled", True):
        page.locator("figure.live[data-live=on]").wait_for()
    return page
