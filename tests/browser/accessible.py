"""What axe says of a page, with the contrast of texts that look alike measured once."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

AXE = Axe().axe_script
# The rules whose verdict another theme or width can change, where all the same is shown.
BY_LOOK = ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]
OFTEN = 3  # texts of a look that are measured on a page, since axe leaves the contrast of some open
MEASURED: set[str] = set()  # the looks that passed, on any page

# Marks the texts to measure, at most `often` for each look that is not `known`: a page has hundreds
# that look alike, and axe would go through the boxes behind each. A look is all that a contrast
# depends on, and the kind of element. Returns the marked looks, in the order of their marks.
MARK = """([within, known, often]) => {
  known = new Set(known);
  const looks = [], count = new Map(), behind = new Map();
  const named = (box) => box ? `${box.localName}.${box.getAttribute("class") ?? ""}` : "";
  const under = (box) => {
    if (!box) return "";
    if (!behind.has(box)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(box);
      behind.set(box, [backgroundColor, backgroundImage, opacity, under(box.parentElement)].join());
    }
    return behind.get(box);
  };
  for (const box of document.querySelectorAll(`:is(${within}), :is(${within}) *`)) {
    const texts = [...box.childNodes].filter((each) => each.nodeType === Node.TEXT_NODE);
    const text = box.value || texts.map((each) => each.data).join("").trim();
    // Axe leaves the contrast of a sign open, and what only screen readers are told has none.
    if (!(text.length > 1) || box.closest("mjx-assistive-mml") || !box.checkVisibility()) continue;
    const { color, fontSize, fontWeight, textShadow } = getComputedStyle(box);
    const look = [named(box), named(box.parentElement), color, fontSize, fontWeight, textShadow,
      under(box)].join();
    const times = count.get(look) ?? 0;
    if (known.has(look) || times === often) continue;
    count.set(look, times + 1);
    box.dataset.look = looks.push(look) - 1;
  }
  return looks;
}"""
# Axe goes through all that is shown, though it is asked of a part.
ALONE = "article :not(:has({0}), {0}, :is({0}) *) {{ display: none !important; }}"
# The marks of the texts that pass, and what is wrong on the page. While axe looks, words of code
# give way to their bare text, but for those with a mark, and formulas are without the strokes of
# their letters: thousands of elements of which no other rule has anything to say. Without
# preloading, for axe would fetch the style sheets, which browsers refuse from disk.
RUN = """async ([within, rules]) => {
  const words = [...document.querySelectorAll(`:is(${within}) pre span`)].filter((word) =>
    !word.childElementCount && word.getAttributeNames().every((name) => name === "class"));
  const bare = words.map((word) => document.createTextNode(word.textContent));
  words.forEach((word, k) => word.replaceWith(bare[k]));
  const drawn = [...document.querySelectorAll("mjx-container svg")];
  const strokes = drawn.map((svg) => [...svg.childNodes]);
  drawn.forEach((svg) => svg.replaceChildren());
  axe.configure({ rules: [{ id: "color-contrast", selector: "[data-look]" }] });
  try {
    const { passes, violations } = await axe.run({ include: [[within]] }, {
      ...(rules ? { runOnly: rules } : {}), resultTypes: ["passes", "violations"], preload: false,
      selectors: false, elementRef: true,
    });
    const measured = passes.filter((rule) => rule.id === "color-contrast");
    const marks = measured.flatMap((rule) => rule.nodes.map((node) => node.element.dataset.look));
    const serious = violations.filter((rule) => ["serious", "critical"].includes(rule.impact));
    return [marks.map(Number), serious.flatMap((rule) => rule.nodes.map((node) =>
      `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))];
  } finally {
    words.forEach((word, k) => bare[k].replaceWith(word));
    drawn.forEach((svg, k) => svg.replaceChildren(...strokes[k]));
    document.querySelectorAll("[data-look]").forEach((each) => { delete each.dataset.look; });
  }
}"""


def serious_violations(
    page: Page, within: str = "html", rules: list[str] | None = None
) -> list[str]:
    """What axe finds on a page, or in elements of it, by all its rules or by some.

    The contrast of texts whose look has passed before, on this page or another, is not measured.
    """
    if page.evaluate("() => !window.axe"):
        page.evaluate(AXE)
    others = page.add_style_tag(content=ALONE.format(within))
    looks = page.evaluate(MARK, [within, list(MEASURED), OFTEN])
    marks, found = page.evaluate(RUN, [within, rules])
    others.evaluate("style => style.remove()")
    MEASURED.update(looks[mark] for mark in marks)
    return found
