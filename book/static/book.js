// Text that changes its typeface jumps: the page shows itself once its fonts are there, which the
// style sheet brings along, or after half a second.
const dressed = () => document.documentElement.classList.remove("dressing");
document.documentElement.classList.add("dressing");
setTimeout(dressed, 500);
Promise.all(
  ['1em "Source Serif 4"', 'italic 1em "Source Serif 4"', '1em "Source Sans 3"'].map((font) =>
    document.fonts.load(font)
  )
).then(dressed, dressed);

// A formula that is wider than the text takes the room of code; one that is wider than its column
// scrolls inside itself, and so must be reachable by keyboard. The theme sees to code and tables;
// formulas get their width when they are typeset.
function markWideFormulas() {
  for (const formula of document.querySelectorAll("mjx-container")) {
    const width = formula.firstElementChild.getBoundingClientRect().width;
    const column = formula.closest("p, li, dd, td, th, figcaption, div");
    if (column.matches("div.math")) {
      column.classList.remove("roomy");
      column.classList.toggle("roomy", width > column.clientWidth);
    }
    const wide = width > column.clientWidth;
    formula.classList.toggle("scrolls", wide);
    formula.toggleAttribute("tabindex", wide);
    if (wide) formula.tabIndex = 0;
  }
}

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  markWideFormulas();
  window.addEventListener("resize", markWideFormulas);
});

// From the figures' colours to those of the dark page: ink to pale, white to the background, and
// the palette of `dropout.figures` each to its light twin. The numbers are a fit to those pairs. A
// hue rotation would turn orange into brown.
const DARK_FIGURE = `<svg width="0" height="0" style="position: absolute" aria-hidden="true">
<filter id="dark-figure" color-interpolation-filters="sRGB">
<feComponentTransfer><feFuncR type="gamma" exponent="1.34"/><feFuncG type="gamma" exponent="1.34"/>
<feFuncB type="gamma" exponent="1.34"/></feComponentTransfer>
<feColorMatrix values="0.71 -1.14 -0.30 0 0.74  -0.44 -0.03 -0.26 0 0.75  -0.40 -1.20 0.87 0 0.75
0 0 0 1 0"/>
<feComponentTransfer><feFuncR type="gamma" exponent="0.55"/><feFuncG type="gamma" exponent="0.55"/>
<feFuncB type="gamma" exponent="0.55"/></feComponentTransfer></filter></svg>`;
document.addEventListener("DOMContentLoaded", () =>
  document.body.insertAdjacentHTML("beforeend", DARK_FIGURE)
);

// Paper is white: a dark page is printed in the light colours, its figures too.
const onPaper = window.matchMedia("print");
let themeOnScreen = null;
function dressForPaper() {
  const root = document.documentElement;
  if (onPaper.matches && themeOnScreen === null) {
    themeOnScreen = root.dataset.theme;
    root.dataset.theme = "light";
    markWideFormulas();
  } else if (!onPaper.matches && themeOnScreen !== null) {
    root.dataset.theme = themeOnScreen;
    themeOnScreen = null;
    markWideFormulas();
  }
}
onPaper.addEventListener("change", dressForPaper);
