// A box above the questions, which shows those that have all the words typed into it.
window.addEventListener("DOMContentLoaded", () => {
  const questions = [...document.querySelectorAll(".bd-article .question")];
  if (!questions.length) return;
  const groups = [...new Set(questions.map((question) => question.closest("section")))];
  const squeeze = (text) => text.replace(/[\s-]+/g, "");
  const texts = questions.map((question) => question.textContent.toLowerCase());
  const squeezed = texts.map(squeeze);

  const box = Object.assign(document.createElement("div"), { className: "question-filter", role: "search" });
  box.innerHTML = `<label for="question-words">Search the questions</label>
    <input id="question-words" type="search" autocomplete="off" spellcheck="false" />
    <p role="status"></p>`;
  groups[0].before(box);
  const words = box.querySelector("input");
  const status = box.querySelector("p");

  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    // Long words are found however they are spaced: batchnorm, batch-norm, batch norm.
    const has = (index) => (word) =>
      texts[index].includes(word) || (word.length > 5 && squeezed[index].includes(squeeze(word)));
    const found = questions.filter((question, index) => {
      const shown = wanted.every(has(index));
      question.classList.toggle("filtered", !shown);
      return shown;
    });
    for (const group of groups) {
      group.classList.toggle("filtered", !found.some((question) => group.contains(question)));
    }
    status.textContent = found.length
      ? `${wanted.length ? `${found.length} of ` : ""}${questions.length} questions`
      : "No question has all these words. The book's own search looks through all its pages.";
  };
  words.addEventListener("input", show);
  words.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    words.value = "";
    show();
  });
  // A link to a question or a group shows it, whatever was filtered.
  window.addEventListener("hashchange", () => {
    words.value = "";
    show();
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  });
  show();
});
