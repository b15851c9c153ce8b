// Exercises in the page: a form for each, what an answer is told, and what is remembered of it. What
// is right and wrong is decided in formulas.js, and for code in python.js.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "{}");

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key in made && key !== "form" && key !== "list") made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  // ---- what is remembered: {"03.1": {answer, passed, attempts, message}} ------------------------

  const PLACE = "dropout-exercises";
  let unkept = {}; // where the browser refuses to keep anything

  function memory() {
    try {
      const found = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
      return found && typeof found === "object" ? found : {};
    } catch {
      return unkept;
    }
  }

  function remember(change) {
    const all = memory();
    change(all);
    unkept = all;
    try {
      localStorage.setItem(PLACE, JSON.stringify(all));
    } catch {
      // Then it lasts as long as the page.
    }
    showProgress();
  }

  // ---- messages: a little Markdown --------------------------------------------------------------

  const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|(\(?)\$([^$]+)\$([^\s$`*]*)/g;

  function inline(text) {
    const parts = [];
    let place = 0;
    for (const match of text.matchAll(INLINE)) {
      parts.push(text.slice(place, match.index));
      place = match.index + match[0].length;
      const [, code, strong, em, before, formula, after] = match;
      if (code) parts.push(element("code", { className: "literal" }, code));
      else if (strong) parts.push(element("strong", {}, ...inline(strong)));
      else if (em) parts.push(element("em", {}, ...inline(em)));
      else {
        const math = element("span", { className: "math notranslate nohighlight" }, `\\(${formula}\\)`);
        parts.push(element("span", { className: "formula" }, before, math, after));
      }
    }
    return [...parts, text.slice(place)];
  }

  function say(place, text) {
    const blocks = text.split("\n\n").filter((each) => each.trim());
    place.replaceChildren(...blocks.map((block) => element("p", {}, ...inline(block))));
    // MathJax may still be on its way; then it finds the message with the rest of the page.
    if (place.querySelector(".math")) {
      window.MathJax?.startup?.promise?.then(() => MathJax.typesetPromise([place])).then(markWideFormulas);
    }
  }

  // ---- one exercise -----------------------------------------------------------------------------

  // Notebooks have hints and the like by calls; the page has them below the answer.
  const inPage = (message) => message.replace("take a hint, `q.hint()`", "take a hint, below");

  class Exercise {
    constructor(section) {
      this.section = section;
      this.asked = JSON.parse(section.querySelector("script[type='application/json']").textContent);
      this.place = section.querySelector(".answer");
      if (!this.place || !this.asked.form) return;
      this.name = section.id;
      const { field, inputs } = this[`${this.asked.form}Field`]();
      this.inputs = inputs;
      this.button = element("button", { type: "submit", className: "check" }, "Check");
      this.buttons = element("div", { className: "buttons" }, this.button);
      this.said = element("div", { className: "said", role: "status" });
      this.printed = element("pre", { className: "printed", hidden: true });
      this.form = element("form", { noValidate: true }, field, this.buttons, this.said, this.printed);
      this.form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.check();
      });
      this.place.replaceChildren(this.form);
      if (this.asked.form === "code") this.addCodeButtons();
      this.restore();
      if (this.asked.reveals) this.veil();
    }

    numberField() {
      const input = element("input", { id: `${this.name}-answer`, type: "text", autocomplete: "off",
        spellcheck: false, inputMode: this.asked.form === "number" ? "text" : "", maxLength: 1000 });
      input.setAttribute("autocapitalize", "off");
      const label = element("label", { htmlFor: input.id }, ...inline(this.asked.label));
      return { field: element("div", { className: "field" }, label, input), inputs: [input] };
    }

    formulaField() {
      return this.numberField();
    }

    choiceField() {
      const list = this.section.querySelector("ol.options");
      const inputs = Object.keys(this.asked.options).map((value) =>
        element("input", { type: "radio", name: this.name, value }));
      const labels = [...list.children].map((item, k) =>
        element("label", {}, inputs[k], element("span", { className: "letter" }, inputs[k].value),
          element("span", {}, ...item.childNodes)));
      list.remove();
      const legend = element("legend", {}, "Your answer");
      return { field: element("fieldset", { className: "choices" }, legend, ...labels), inputs };
    }

    codeField() {
      const id = `${this.name}-answer`;
      const text = element("textarea", { id, value: this.asked.given, spellcheck: false, wrap: "off",
        autocomplete: "off" });
      text.setAttribute("autocapitalize", "off");
      text.setAttribute("aria-describedby", `${id}-keys`);
      const lines = element("div", { className: "lines", "aria-hidden": "true" });
      const fit = () => {
        const count = Math.max(text.value.split("\n").length + 1, 4);
        text.rows = count;
        lines.textContent = Array.from({ length: count }, (_, k) => k + 1).join("\n");
      };
      text.addEventListener("input", fit);
      text.addEventListener("keydown", (event) => typed(event, text));
      this.fit = fit;
      fit();
      this.section.querySelector(".start")?.remove();
      const label = element("label", { htmlFor: id }, ...inline(this.asked.label));
      const keys = element("p", { id: `${id}-keys`, className: "keys" },
        "Python alone, without NumPy and PyTorch. Tab indents; Escape, then Tab leaves.");
      const editor = element("div", { className: "editor" }, lines, text);
      return { field: element("div", { className: "field" }, label, editor, keys), inputs: [text] };
    }

    addCodeButtons() {
      this.stop = element("button", { type: "button", hidden: true }, "Stop");
      this.stop.addEventListener("click", () => this.running.abort());
      const anew = element("button", { type: "button" }, "Begin again");
      anew.addEventListener("click", () => {
        if (this.busy) return;
        // As if typed, so that it can be undone.
        this.inputs[0].select();
        document.execCommand("insertText", false, this.asked.given);
        this.hush();
      });
      this.buttons.append(this.stop, anew);
    }

    get answer() {
      if (this.asked.form !== "choice") return this.inputs[0].value;
      return this.inputs.find((each) => each.checked)?.value ?? "";
    }

    set answer(value) {
      if (this.asked.form === "choice") {
        for (const each of this.inputs) each.checked = each.value === value;
      } else {
        this.inputs[0].value = value;
        this.fit?.();
      }
    }

    async check() {
      if (this.busy) return;
      const { answer, asked } = this;
      if (asked.form === "choice" && !answer) {
        this.tell({ passed: false, message: "Choose one of the answers.", read: false });
        return;
      }
      const result = asked.form === "code" ? await this.run(answer) : formulas.judge(asked, answer);
      this.tell(result);
      if (!result.read) return;
      remember((all) => {
        const before = all[asked.id] ?? {};
        all[asked.id] = {
          answer,
          message: result.message,
          right: result.passed,
          passed: before.passed || result.passed,
          attempts: (before.attempts ?? 0) + 1,
        };
      });
      this.mark();
      this.reveal(`You said ${asked.form === "number" ? formulas.short(answer) : answer}`);
    }

    // Runs code, with a limit in time and a button to stop it.
    async run(source) {
      this.busy = true;
      this.said.className = "said";
      say(this.said, "Running …");
      this.printed.hidden = true;
      this.stop.hidden = false;
      this.running = new AbortController();
      let result;
      try {
        // Code from other pages comes with blanks that Python does not read.
        const job = { ...this.asked, source: source.replaceAll("\u00a0", " ") };
        result = await python.run(job, this.asked.seconds, this.running.signal);
      } catch (error) {
        result = { passed: false, read: false,
          message: `Python does not start here (${error.message}): work it in the notebook.` };
      }
      this.busy = false;
      if (document.activeElement === this.stop) this.button.focus();
      this.stop.hidden = true;
      this.printed.textContent = ["Printed:", ...(result.printed ?? [])].join("\n");
      this.printed.hidden = !result.printed?.length;
      const ended = {
        time: `Your code does not end within ${this.asked.seconds} seconds.\n\n`
          + "Next: look for a loop whose condition never becomes false.",
        crash: "Your code brings Python down.\n\nNext: look for a function that calls itself for ever.",
        stop: "Stopped.",
      }[result.ended];
      return ended ? { passed: false, message: ended, read: result.ended !== "stop" } : result;
    }

    tell({ passed, message, read: wasRead }) {
      const head = passed ? "**Right.** " : wasRead ? "**Not yet.** " : "";
      this.said.className = `said ${passed ? "right" : "wrong"}`;
      say(this.said, head + inPage(message));
    }

    mark() {
      this.section.classList.toggle("solved", memory()[this.asked.id]?.passed === true);
    }

    restore() {
      const known = memory()[this.asked.id];
      this.mark();
      if (typeof known?.answer !== "string") return;
      this.answer = known.answer;
      this.tell({ passed: known.right === true, message: String(known.message ?? ""), read: true });
    }

    clear() {
      this.answer = this.asked.form === "code" ? this.asked.given : "";
      this.hush();
      this.mark();
    }

    hush() {
      this.said.className = "said";
      this.said.replaceChildren();
      this.printed.hidden = true;
    }

    // ---- a prediction: what settles it is shown once an answer is given

    veil() {
      const found = document.getElementById(this.asked.reveals);
      this.veiled = found?.closest("figure") ?? found?.closest("section:not(.exercise)");
      if (!this.veiled || memory()[this.asked.id]?.attempts) return;
      const link = element("a", { href: `#${this.name}` }, `exercise ${this.asked.id}`);
      const button = element("button", { type: "button" }, "Show it without a guess");
      button.addEventListener("click", () => {
        this.reveal("");
        this.veiled.tabIndex = -1;
        this.veiled.focus();
      });
      this.cover = element("div", { className: "veil" },
        element("p", {}, "What do you expect here? First answer ", link, "."), button);
      this.veiled.classList.add("veiled");
      this.veiled.prepend(this.cover);
    }

    reveal(said) {
      if (!this.cover) return;
      this.veiled.classList.remove("veiled");
      const right = this.asked.form === "number" ? formulas.shown(this.asked.answer) : this.asked.answer;
      if (said) this.cover.replaceWith(element("p", { className: "guess" }, `${said}; it is ${right}.`));
      else this.cover.remove();
      this.cover = null;
    }
  }

  // Tab indents, Shift+Tab takes it back, Enter keeps the indentation; after Escape Tab leaves.
  let leaving = false;
  function typed(event, text) {
    const { selectionStart: start, value } = text;
    const before = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
    if (event.key === "Tab" && !leaving && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      if (!event.shiftKey) document.execCommand("insertText", false, " ".repeat(4 - (before.length % 4)));
      else if (/^ +$/.test(before)) {
        text.selectionStart = start - ((before.length - 1) % 4) - 1;
        document.execCommand("delete");
      }
    } else if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.isComposing) {
      event.preventDefault();
      const deeper = /:\s*$/.test(before) ? "    " : "";
      document.execCommand("insertText", false, `\n${/^ */.exec(before)[0]}${deeper}`);
    }
    if (event.key !== "Shift") leaving = event.key === "Escape";
  }

  // ---- the page: progress in the contents, a button to forget -----------------------------------

  function showProgress() {
    const known = memory();
    for (const [address, keys] of Object.entries(read("exercise-pages"))) {
      const solved = keys.filter((key) => known[key]?.passed).length;
      const tried = keys.some((key) => known[key]);
      for (const link of document.querySelectorAll(".bd-sidebar-primary .bd-links a")) {
        if (link.getAttribute("href") !== address) continue;
        link.querySelector(".progress-of")?.remove();
        if (!tried) continue;
        link.append(element("span", { className: "progress-of", title: "exercises solved" },
          `${solved} of ${keys.length}`));
      }
    }
  }

  function start() {
    showProgress();
    window.addEventListener("storage", showProgress); // another page of the book, open beside this
    window.addEventListener("pageshow", showProgress);
    const sections = [...document.querySelectorAll("section.exercise")];
    if (!sections.length) return;
    const exercises = sections.map((section) => new Exercise(section)).filter((each) => each.form);
    if (!exercises.length) return;
    const button = element("button", { type: "button", className: "forget" },
      "Forget my answers on this page");
    button.addEventListener("click", () => {
      if (!confirm("Forget your answers on this page? They cannot be brought back.")) return;
      remember((all) => exercises.forEach((each) => delete all[each.asked.id]));
      exercises.forEach((each) => each.clear());
    });
    sections.at(-1).after(button);
    // A formula in a fold has its width when it is unfolded.
    for (const fold of document.querySelectorAll(".exercise details")) {
      fold.addEventListener("toggle", markWideFormulas);
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
