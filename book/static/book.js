// A formula that is wider than its column scrolls inside itself, and so must be reachable by
// keyboard. The theme sees to code and tables; formulas get their width when they are typeset.
function markWideFormulas() {
  for (const formula of document.querySelectorAll("mjx-container")) {
    const column = formula.closest("p, li, dd, td, th, figcaption, div");
    const wide = formula.firstElementChild.getBoundingClientRect().width > column.clientWidth;
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
