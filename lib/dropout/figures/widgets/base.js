/* What all live figures share: the library's coins, the controls and their state, axes.

   A figure exports `controls`, a list of
     {key, label, type: "range", min, max, step, value, show?}   a slider; show(value) says it
     {key, label, type: "choice", options: {value: text}, value} a few buttons, one pressed
     {key, label, type: "check", value}                          on or off
     {key, label, type: "count", value}                          a button that adds one
   and `about`, {title, words}; its render is given a model of their values (get, set, on), an element
   to draw in and `base`, which has
     philox4x32, words, lanes, threshold, keepMask, invertedScale, normals, uniforms: coins and numbers
     text, make, path, linear, ticks, panel, axes, drag, sentence: words and pictures
     predict: a question
     onReset(f): what is called when the figure begins anew, by Reset or by a link */

/* ---- coins: dropout.mask, in JavaScript ------------------------------------------------------ */

/* The high word of a product with a constant, whose halves are given; Math.imul has the low one. */
function high(a, top, bottom) {
  const [low, up] = [a & 0xffff, a >>> 16];
  const left = Math.imul(up, bottom) >>> 0;
  const right = Math.imul(low, top) >>> 0;
  const middle = (Math.imul(low, bottom) >>> 16) + (left & 0xffff) + (right & 0xffff);
  return Math.imul(up, top) + (left >>> 16) + (right >>> 16) + (middle >>> 16);
}

/* Ten rounds of Philox4x32 on one counter, written to four places of `out`: many are drawn a frame. */
function philox(out, at, c0, c1, c2, c3, k0, k1) {
  for (let round = 0; round < 10; round++) {
    const [u, v] = [c0, c2];
    c0 = high(v, 0xcd9e, 0x8d57) ^ c1 ^ k0;
    c1 = Math.imul(v, 0xcd9e8d57);
    c2 = high(u, 0xd251, 0x1f53) ^ c3 ^ k1;
    c3 = Math.imul(u, 0xd2511f53);
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[at] = c0;
  out[at + 1] = c1;
  out[at + 2] = c2;
  out[at + 3] = c3;
}

/* The same for a counter of four words and a key of two. */
export function philox4x32(counter, key) {
  const out = new Uint32Array(4);
  philox(out, 0, ...counter, ...key);
  return [...out];
}

const TWO32 = 0x100000000;

/* The 32-bit words `start` to `start + n` of a key {seed, stream, step}; a seed from 2^53 on is a BigInt. */
export function words({ seed, stream = 0, step = 0 }, n, start = 0) {
  const [k0, k1] = [Number(BigInt(seed) & 0xffffffffn), Number(BigInt(seed) >> 32n)];
  const first = Math.floor(start / 4);
  const blocks = Math.ceil((start + n) / 4) - first;
  const out = new Uint32Array(4 * blocks);
  for (let k = 0; k < blocks; k++) {
    const block = first + k;
    philox(out, 4 * k, block % TWO32, Math.floor(block / TWO32), stream, step, k0, k1);
  }
  return out.slice(start - 4 * first, start - 4 * first + n);
}

/* The 16 bits of each of the elements `start` to `start + n`. */
export function lanes(key, n, start = 0) {
  const first = Math.floor(start / 2);
  const drawn = words(key, Math.floor((start + n + 1) / 2) - first, first);
  const out = new Uint16Array(n);
  for (let i = 0, at = start - 2 * first; i < n; i++, at++) out[i] = at % 2 ? drawn[at >>> 1] >>> 16 : drawn[at >>> 1];
  return out;
}

/* round(65536 p), ties to even: an element drops whose lane is below. */
export function threshold(p) {
  const exact = 65536 * p;
  const below = Math.floor(exact);
  const rest = exact - below;
  return rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below;
}

/* 1 for a kept element, 0 for a dropped one. */
export function keepMask(key, n, p, start = 0) {
  const t = threshold(p);
  const drawn = lanes(key, n, start);
  const out = new Uint8Array(n);
  for (let i = 0; i < n; i++) out[i] = drawn[i] < t ? 0 : 1;
  return out;
}

/* What survivors are multiplied by: 65536 / (65536 - t), or 0 where none survive. */
export function invertedScale(p) {
  const kept = 65536 - threshold(p);
  return kept ? 65536 / kept : 0;
}

/* Standard normal numbers, for data and weights, by Box and Muller from the words of a key. */
export function normals(key, n, start = 0) {
  const drawn = words(key, 2 * n, 2 * start);
  return Float64Array.from({ length: n }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log((drawn[2 * i] + 0.5) / TWO32));
    return radius * Math.cos((2 * Math.PI * (drawn[2 * i + 1] + 0.5)) / TWO32);
  });
}

/* Numbers between 0 and 1. */
export function uniforms(key, n, start = 0) {
  return Float64Array.from(words(key, n, start), (word) => (word + 0.5) / TWO32);
}

/* ---- words and pictures ---------------------------------------------------------------------- */

/* A number with so many decimals and a true minus sign. */
export function text(value, digits = 2) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const shown = value.toFixed(digits);
  return Number(shown) === 0 ? shown.replace("-", "") : shown.replace("-", "−");
}

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(
  "svg g path line rect circle ellipse text tspan polyline polygon defs clipPath title marker".split(" "),
);

/* An element of HTML or SVG: tag, attributes, children (elements or strings). */
export function make(tag, attributes = {}, ...children) {
  const drawn = DRAWN.has(tag);
  const node = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat());
  return node;
}

/* A path through points [x, y], in pixels. */
export function path(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/* From data to pixels along a straight line: scale(value), scale.invert(pixel). */
export function linear([low, high], [from, to]) {
  const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
  scale.invert = (pixel) => low + ((pixel - from) / (to - from)) * (high - low);
  scale.domain = [low, high];
  scale.range = [from, to];
  return scale;
}

/* About so many round numbers from low to high. */
export function ticks(low, high, about = 5) {
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((each) => each >= raw * 0.999);
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(k * step);
  return out;
}

/* A panel: an SVG that is as wide as its place, at most 420 pixels, with room for axes.

   Panels stand side by side where there is room and one above the other on a phone, so a panel is
   drawn for a width of 320 and its letters stay legible. Gives {svg, plot, axes, width, height, at}:
   `plot` is a group to draw in, `axes` one that belongs to axes; `at(event)` is where a pointer is. */
export function panel(el, { width = 320, height = 240, label, className = "" }) {
  const plot = make("g");
  const axes = make("g", { class: "live-axes" });
  const svg = make(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: `live-panel ${className}` },
    axes,
    plot,
  );
  el.append(svg);
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };
  return { svg, plot, axes, width, height, at };
}

/* Axes of a panel, drawn anew: scales x and y, labels, ticks (numbers, or how many). */
export function axes(panel, x, y, { xLabel = "", yLabel = "", xTicks = 5, yTicks = 4, digits } = {}) {
  const [left, right] = x.range;
  const [bottom, top] = y.range;
  const marks = (given, scale) =>
    Array.isArray(given) ? given : given ? ticks(Math.min(...scale.domain), Math.max(...scale.domain), given) : [];
  const shown = (value, all) => {
    const step = all.length > 1 ? Math.abs(all[1] - all[0]) : 1;
    return text(value, digits ?? Math.max(0, Math.min(4, -Math.floor(Math.log10(step) + 1e-9))));
  };
  const parts = [make("path", { d: path([[left, top], [left, bottom], [right, bottom]]), class: "live-frame" })];
  const xs = marks(xTicks, x);
  for (const value of xs) {
    const place = x(value);
    parts.push(make("line", { x1: place, x2: place, y1: bottom, y2: bottom + 4 }));
    parts.push(make("text", { x: place, y: bottom + 17, "text-anchor": "middle" }, shown(value, xs)));
  }
  const ys = marks(yTicks, y);
  for (const value of ys) {
    const place = y(value);
    parts.push(make("line", { x1: left - 4, x2: left, y1: place, y2: place }));
    parts.push(make("text", { x: left - 7, y: place + 4, "text-anchor": "end" }, shown(value, ys)));
  }
  if (xLabel)
    parts.push(make("text", { x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle", class: "live-label" }, xLabel));
  if (yLabel) parts.push(make("text", { x: 2, y: top - 9, class: "live-label" }, yLabel));
  panel.axes.replaceChildren(...parts);
}

/* Call `move` with a pointer's place while it is down on a panel; the arrow keys are the sliders'. */
export function drag(panel, move) {
  panel.svg.classList.add("live-drag");
  panel.svg.addEventListener("pointerdown", (event) => {
    panel.svg.setPointerCapture(event.pointerId);
    move(panel.at(event));
  });
  panel.svg.addEventListener("pointermove", (event) => {
    if (panel.svg.hasPointerCapture(event.pointerId)) move(panel.at(event));
  });
}

/* The sentence of a figure: what it is called with is seen at once, and heard after half a second at rest. */
export function sentence(el, style) {
  const seen = make("p", { class: "live-said", style });
  const heard = make("span", { class: "live-heard", role: "status" });
  el.append(seen, heard);
  let rest;
  return (...parts) => {
    const changes = seen.hasChildNodes(); // the first is no news
    seen.replaceChildren(...parts);
    clearTimeout(rest);
    if (changes) rest = setTimeout(() => (heard.textContent = seen.textContent), 500);
  };
}

/* A question whose answer the reader commits to before it is shown.

   The answer, `truth()`, is asked for at the press of the button; then `told(guess, truth)` says
   how far apart they are, and `done` is called. Gives a function that takes guess and answer away. */
export function predict(el, { question, min, max, step, truth, told, done = () => {} }) {
  const field = make("input", { type: "number", min, max, step, inputmode: "decimal" });
  const label = make("label", {}, make("span", {}, question), " ", field);
  const button = make("button", { type: "submit" }, "That is my guess");
  const answer = make("p", { class: "live-told", role: "status" });
  const form = make("form", { class: "live-predict", novalidate: true }, label, " ", button, answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const guess = field.valueAsNumber;
    if (!(guess >= min && guess <= max)) {
      answer.textContent = `A number from ${text(min, places(step))} to ${text(max, places(step))}, please.`;
      return;
    }
    answer.textContent = told(guess, truth());
    done();
  });
  el.append(form);
  return () => (answer.textContent = field.value = "");
}

/* ---- state ----------------------------------------------------------------------------------- */

/* The decimals of a step: 2 for .25. */
const places = (step) => [0, 1, 2, 3].find((k) => Math.abs(step * 10 ** k - Math.round(step * 10 ** k)) < 1e-9) ?? 4;

/* The nearest value that a control can have, or its default where there is none. */
export function allowed(control, value) {
  if (control.type === "choice") return Object.hasOwn(control.options, value) ? String(value) : control.value;
  if (control.type === "check") return value === true || value === "true" || value === 1;
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
  if (!Number.isFinite(number)) return control.value;
  if (control.type === "count") return Math.min(Math.max(Math.round(number), 0), 0xffffffff);
  const steps = Math.round((Math.min(Math.max(number, control.min), control.max) - control.min) / control.step);
  return Number(Math.min(control.min + steps * control.step, control.max).toFixed(6));
}

/* The values of controls, in anywidget's form: get, set, on. Each is one that its control allows. */
export function state(controls, given = {}) {
  const by = new Map(controls.map((control) => [control.key, control]));
  const known = (key) => {
    if (!by.has(key)) throw new Error(`no control ${key}; there are ${[...by.keys()].join(", ")}`);
    return by.get(key);
  };
  Object.keys(given).forEach(known);
  const defaults = Object.fromEntries(
    controls.map((control) => [control.key, allowed(control, given[control.key] ?? control.value)]),
  );
  const values = { ...defaults };
  const listeners = [];
  const model = {
    get: (key) => values[key],
    has: (key) => by.has(key),
    set(key, value) {
      const next = allowed(known(key), value);
      if (next === values[key]) return;
      values[key] = next;
      for (const listener of listeners) listener(key);
    },
    on: (_, listener) => listeners.push(listener),
    changed: () => Object.entries(values).filter(([key, value]) => value !== defaults[key]),
    reset: () => Object.entries(defaults).forEach(([key, value]) => model.set(key, value)),
  };
  return model;
}

/* What a link says of a figure, #name:p=0.3&seed=4, or null where it is not this figure's. */
export function fromLink(name, hash) {
  if (!hash.startsWith(`#${name}:`)) return null;
  return Object.fromEntries(new URLSearchParams(hash.slice(name.length + 2)));
}

/* ---- controls -------------------------------------------------------------------------------- */

function built(control, model) {
  const { key, type } = control;
  if (type === "range") {
    const show = control.show ?? ((value) => text(value, places(control.step)));
    const input = make("input", { type: "range", min: control.min, max: control.max, step: control.step });
    const shown = make("span", { class: "live-value", "aria-hidden": "true" });
    input.addEventListener("input", () => model.set(key, input.valueAsNumber));
    const update = () => {
      input.value = model.get(key);
      input.setAttribute("value", model.get(key));
      input.setAttribute("aria-valuetext", show(model.get(key)));
      shown.textContent = show(model.get(key));
    };
    return [make("label", { class: "live-range" }, make("span", {}, control.label), input, shown), update];
  }
  if (type === "check") {
    const input = make("input", { type: "checkbox" });
    input.addEventListener("change", () => model.set(key, input.checked));
    const update = () => {
      input.checked = model.get(key);
      input.toggleAttribute("checked", model.get(key));
    };
    return [make("label", { class: "live-check" }, input, make("span", {}, control.label)), update];
  }
  if (type === "count") {
    const button = make("button", { type: "button" }, control.label);
    button.addEventListener("click", () => model.set(key, model.get(key) + 1));
    return [button, () => {}];
  }
  const buttons = Object.entries(control.options).map(([value, label]) => {
    const button = make("button", { type: "button", "data-value": value }, label);
    button.addEventListener("click", () => model.set(key, value));
    return button;
  });
  const update = () =>
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.value === model.get(key))));
  const group = make("div", { class: "live-choice", role: "group", "aria-label": control.label },
    make("span", { "aria-hidden": "true" }, control.label), make("span", { class: "live-options" }, ...buttons));
  return [group, update];
}

const stored = (key) => {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {}; // no storage, or not ours
  }
};

const COPY = "Copy a link to this";

/* Put a figure in the place of its still picture, in the state of the link, or of last time, or of the cell. */
export async function mount(id, figure, given = {}) {
  const [root, copy] = await found(id);
  const name = id.split("-")[1];
  const key = `${id}:${copy}:${location.pathname}`;
  const { controls, about } = figure;
  const model = state(controls, given);
  const put = (values) =>
    Object.entries(values).forEach(([each, value]) => model.has(each) && model.set(each, value));
  const linked = fromLink(name, location.hash);
  put(linked ?? stored(key));

  const body = root.querySelector(".live-body").cloneNode(false);
  const stage = make("div", { class: "live-stage" });
  const parts = controls.map((control) => built(control, model));
  const reset = make("button", { type: "button", class: "live-plain" }, "Reset");
  const link = make("button", { type: "button", class: "live-plain" }, COPY);
  const form = make("form", { class: "live-controls", "aria-label": about.title },
    ...parts.map(([node]) => node), make("div", { class: "live-ends" }, reset, link));
  form.addEventListener("submit", (event) => event.preventDefault());
  body.append(
    make("p", { class: "live-title" }, about.title), make("p", { class: "live-words" }, about.words), stage, form,
  );
  const update = () => parts.forEach(([, each]) => each());
  update();

  const listeners = [];
  const resets = [];
  let asked = false; // for a frame
  let following = false; // a link: it stays in the address until a control is changed
  model.on("change", () => {
    update();
    link.textContent = COPY;
    const stale = !following && fromLink(name, location.hash);
    if (stale) history.replaceState(null, "", location.pathname + location.search);
    try {
      const changed = Object.fromEntries(model.changed());
      if (Object.keys(changed).length) localStorage.setItem(key, JSON.stringify(changed));
      else localStorage.removeItem(key);
    } catch {
      /* a page without storage forgets */
    }
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      listeners.forEach((listener) => listener());
    });
  });
  const begin = (values = {}) => {
    model.reset();
    put(values);
    resets.forEach((each) => each());
  };
  reset.addEventListener("click", () => begin());
  link.addEventListener("click", async () => {
    const there = new URL(location.href);
    there.hash = `${name}:${new URLSearchParams(model.changed())}`;
    try {
      await navigator.clipboard.writeText(there.href);
      link.textContent = "Copied";
    } catch {
      history.replaceState(null, "", there.hash); // not allowed to copy here
      link.textContent = "It is in the address";
    }
  });
  figure.default.render({
    model: { get: model.get, set: model.set, on: (_, listener) => listeners.push(listener) },
    el: stage,
    base: {
      ...api,
      predict: (...question) => resets.push(predict(...question)),
      onReset: (each) => resets.push(each),
    },
  });
  root.querySelector(".live-body").replaceWith(body);
  root.setAttribute("aria-label", about.title);
  root.dataset.live = "on";
  const show = () => root.scrollIntoView({ block: "center" });
  if (linked) show();
  addEventListener("hashchange", function follow() {
    if (!root.isConnected) return removeEventListener("hashchange", follow);
    const values = fromLink(name, location.hash);
    if (!values) return;
    following = true;
    begin(values);
    following = false;
    show();
  });
}

/* The element of a figure, and which of its copies it is: in some programs a script runs before it is there. */
async function found(id) {
  for (let k = 0; k < 100; k++) {
    const copies = [...document.querySelectorAll(`[id="${id}"]`)];
    const copy = copies.findIndex((root) => !root.dataset.live);
    if (copy >= 0) {
      copies[copy].dataset.live = "coming"; // it is taken
      return [copies[copy], copy];
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no element ${id}`);
}

const api = {
  philox4x32, words, lanes, threshold, keepMask, invertedScale, normals, uniforms,
  text, make, path, linear, ticks, panel, axes, drag, sentence,
};
