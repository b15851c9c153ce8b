// The counts of verdicts above the ledger become buttons that show one verdict at a time.
window.addEventListener("DOMContentLoaded", () => {
  const list = document.querySelector(".claim-filters");
  if (!list) return;
  const buttons = [["", `all ${list.dataset.all}`], ...[...list.children].map((item) => [item.dataset.verdict, item.textContent])]
    .map(([verdict, text]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
      button.className = verdict ? `verdict ${verdict}` : "verdict";
      button.addEventListener("click", () => show(verdict));
      button.dataset.verdict = verdict;
      return button;
    });
  const show = (verdict) => {
    for (const row of document.querySelectorAll(".claim, .claim-strip .dot")) {
      row.classList.toggle("filtered", verdict !== "" && !row.classList.contains(verdict));
    }
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.verdict === verdict);
  };
  const bar = Object.assign(document.createElement("div"), { className: "claim-filters", role: "group" });
  bar.setAttribute("aria-label", "Show the claims with one verdict");
  bar.append(...buttons);
  list.replaceWith(bar);
  show("");
  // A link to a claim shows it, whatever was filtered.
  window.addEventListener("hashchange", () => show(""));
});
