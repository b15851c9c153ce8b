/* Where dropout sits in a transformer: its places in a block, and what falls at each (chapter 12). */

export const about = {
  title: "Coins fall on a block's branches, and attention rows stop summing to 1",
  words:
    "It begins with the defaults of nn.TransformerEncoderLayer, places 2 to 5 and p = 0.1, in a block whose norms " +
    "come first. Switch places on and off, below or by their circles, raise p, and see what falls with each mask. " +
    "No place in a block is on the residual path.",
};

const WORDS = ["the", "dog", "saw", "the", "cat", "run"];
const [T, D, INNER, HEAD] = [WORDS.length, 8, 16, 4];
const SEED = 2544; // of the masks
const DATA = 2017; // of queries and keys

/* What the mask of each place decides on: rows, columns. A mask of paths has a coin for each branch. */
export const SHAPES = { 1: [T, D], 2: [T, T], 3: [T, D], 4: [T, INNER], 5: [T, D], 6: [2, 1] };

export const controls = [
  { key: "on1", label: "1 embeddings", type: "check", value: false },
  { key: "on2", label: "2 attention weights", type: "check", value: true },
  { key: "on3", label: "3 attention output", type: "check", value: true },
  { key: "on4", label: "4 inside", type: "check", value: true },
  { key: "on5", label: "5 feed-forward output", type: "check", value: true },
  { key: "on6", label: "6 drop path", type: "check", value: false },
  { key: "p", label: "rate p", type: "range", min: 0.05, max: 0.9, step: 0.05, value: 0.1 },
  { key: "step", label: "New draw", type: "count", value: 0 },
];

/* Queries and keys of the six words, rows of four numbers. */
export const queries = (base) => base.normals({ seed: DATA, stream: 20 }, T * HEAD);
export const keys = (base) => base.normals({ seed: DATA, stream: 21 }, T * HEAD);

/* The weights of attention: softmax of q · k / √d, a row for each word. */
export function weights(base) {
  const [q, k] = [queries(base), keys(base)];
  const out = [];
  for (let i = 0; i < T; i++) {
    const row = WORDS.map((_, j) => {
      let dot = 0;
      for (let f = 0; f < HEAD; f++) dot += q[i * HEAD + f] * k[j * HEAD + f];
      return Math.exp(dot / Math.sqrt(HEAD));
    });
    const sum = row.reduce((a, b) => a + b, 0);
    out.push(...row.map((each) => each / sum));
  }
  return out;
}

/* The mask of a place, 1 where it keeps: the library's, of its shape, with the place as stream. */
export function mask(base, place, { p, step, on }) {
  const [rows, columns] = SHAPES[place];
  const n = rows * columns;
  return on ? base.keepMask({ seed: SEED, stream: Number(place), step }, n, p) : new Uint8Array(n).fill(1);
}

/* Rows of attention after dropout, their sums, and the standard deviations of these over all masks. */
export function dropped(base, before, kept, { p, on }) {
  const scale = on ? base.invertedScale(p) : 1;
  const after = before.map((a, k) => a * kept[k] * scale);
  const rows = (of) => WORDS.map((_, i) => of(i * T, (i + 1) * T));
  const sums = rows((from, to) => after.slice(from, to).reduce((a, b) => a + b, 0));
  const squares = rows((from, to) => before.slice(from, to).reduce((sum, a) => sum + a * a, 0));
  return { after, sums, stds: squares.map((each) => Math.sqrt((scale - 1) * each)) };
}

/* The sums of the rows, each averaged over the first so many draws. */
export function averages(base, before, p, draws) {
  const total = new Float64Array(T);
  for (let step = 0; step < draws; step++) {
    const kept = mask(base, 2, { p, step, on: true });
    dropped(base, before, kept, { p, on: true }).sums.forEach((sum, i) => (total[i] += sum / draws));
  }
  return total;
}

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const block = base.panel(el, { height: 322, label: "A transformer block, its places for dropout, their masks" });
    const rows = base.panel(el, { height: 322, label: "Rows of attention weights before and after dropout" });
    const height = "min-height: max(4.2em, (760px - 100vw) * 0.5)";
    const said = base.sentence(el, height);
    const before = weights(base);
    const on = (place) => model.get(`on${place}`);

    function draw() {
      const [p, step] = [model.get("p"), model.get("step")];
      const kept = Object.fromEntries(
        Object.keys(SHAPES).map((place) => [place, mask(base, place, { p, step, on: on(place) })]),
      );
      const fell = Object.fromEntries(
        Object.entries(kept).map(([place, each]) => [place, each.reduce((sum, keep) => sum + 1 - keep, 0)]),
      );
      const used = dropped(base, before, kept[2], { p, on: on(2) });
      drawBlock(kept, fell, base.invertedScale(p));
      drawRows(kept[2], used, p);
      const branches = ["the attention branch", "the feed-forward branch"].filter((_, k) => !kept[6][k]).join(" and ");
      const what = {
        1: `${fell[1]} of 48 numbers of the words`,
        2: `${fell[2]} of 36 weights, where a word does not hear one of the six`,
        3: `${fell[3]} of 48 numbers that attention adds`,
        4: `${fell[4]} of 96 inner units, each of one word`,
        5: `${fell[5]} of 48 numbers that the feed-forward layer adds`,
        6: branches ? `${branches}, for the whole sequence` : "no branch",
      };
      const list = Object.keys(SHAPES).filter(on).map((place) => `${what[place]} (${place})`);
      said(
        on(2) ? "The rows sum to " : "With place 2 off the rows sum to ",
        make("b", {}, used.sums.map((sum) => text(sum)).join(", ")),
        list.length ? `. Dropped: ${list.join("; ")}.` : ". Nothing is dropped.",
      );
    }

    const letters = (x, y, what, anchor = "middle") => make("text", { x, y, "text-anchor": anchor }, what);

    /* A circle with the number of a place; it is also a switch. */
    function circle(place, x, y) {
      const yes = on(place);
      const ring = yes
        ? { stroke: "var(--c-vermillion)", "stroke-width": 3.2 }
        : { stroke: "var(--c-grey)", "stroke-width": 1.2, "stroke-dasharray": "2 2" };
      const node = make("g", { style: "cursor: pointer", class: `place p${place} ${yes ? "on" : "off"}` },
        make("circle", { cx: x, cy: y, r: 9.5, fill: "var(--paper)", ...ring }), letters(x, y + 4.5, String(place)));
      node.addEventListener("click", () => model.set(`on${place}`, !on(place)));
      return node;
    }

    /* A mask as a grid of cells with its upper left corner at x, y. */
    function grid(place, kept, x, y, faint) {
      const d = { kept: "", dropped: "" };
      const [high, wide] = SHAPES[place];
      kept.forEach((keep, k) => {
        const [left, top] = [x + (k % wide) * 7, y + Math.floor(k / wide) * 7];
        if (keep) d.kept += `M${left} ${top}h6v6h-6z`;
        else d.dropped += `M${left + 1} ${top + 1}l4 4m0 -4l-4 4`;
      });
      const paper = { x: x - 2, y: y - 2, width: 7 * wide + 3, height: 7 * high + 3, fill: "var(--paper)" };
      return make("g", { opacity: faint ? 0.35 : false, class: `grid g${place}` }, make("rect", paper),
        make("path", { d: d.kept, fill: "var(--c-blue)", opacity: on(place) ? false : 0.45 }),
        make("path", { d: d.dropped, stroke: "var(--ink)", "stroke-width": 1.3, fill: "none" }));
    }

    function drawBlock(kept, fell, scale) {
      const many = (place) => (on(place) ? `${fell[place]} of ${kept[place].length} fall` : "off");
      const line = { stroke: "var(--ink)", "stroke-width": 4, fill: "none" };
      const parts = [
        letters(0, 14, "A block and its masks: a row for each word, × falls", "start"),
        make("path", { d: "M44 54H16V310m-6 -9l6 10l6 -10", ...line }), letters(30, 316, "residual path", "start"),
        grid(1, kept[1], 44, 33), circle(1, 118, 42), letters(132, 47, "words + positions, 6 × 8", "start"),
        letters(109, 70, many(1), "start"),
      ];
      const branch = (name, y, falls, grids, steps) => {
        const sum = { fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 1.5 };
        const look = { ...line, stroke: "var(--c-grey)", "stroke-width": 2, "stroke-dasharray": falls ? "3 4" : false };
        const end = y + 50;
        const fate = !on(6) ? "" : falls ? ": falls whole" : `: kept, × ${text(scale)}`;
        parts.push(
          make("path", { d: `M16 ${y}H310V${end}H28`, ...look }), make("circle", { cx: 16, cy: end, r: 9, ...sum }),
          make("path", { d: `M11 ${end}h10m-5 -5v10`, ...sum }), circle(6, 62, end),
          letters(310, end + 15, name + fate, "end"), ...steps.map(([x, up, what]) => letters(x, y + up, what)),
        );
        for (const [place, x, label] of grids) {
          const middle = x + SHAPES[place][1] * 3.5;
          parts.push(grid(place, kept[place], x, y - 21, falls), letters(middle, y + 36, many(place)),
            circle(place, middle - 38, y - 34), letters(middle - 25, y - 29, label, "start"));
        }
      };
      branch("attention", 122, !kept[6][0], [[2, 108, "weights, 6 × 6"], [3, 222, "output, 6 × 8"]],
        [[63, -6, "norm, q, k, v"], [63, 16, "softmax"], [187, -6, "· v, W"]]);
      branch("feed-forward", 234, !kept[6][1], [[4, 86, "inside, 6 × 16"], [5, 228, "output, 6 × 8"]],
        [[54, -6, "norm, W₁"], [54, 16, "ReLU"], [213, -6, "W₂"]]);
      block.plot.replaceChildren(...parts);
    }

    function drawRows(kept, { after, sums, stds }, p) {
      const most = on(2) ? base.invertedScale(p) : 1;
      const x = base.linear([0, Math.max(1.25, most)], [36, 236]);
      const parts = [
        make("text", { x: 0, y: 14 }, "Rows of attention: softmax, and below it"),
        make("text", { x: 0, y: 30 }, on(2) ? `what is left, × ${text(most)}` : "the same: place 2 is off"),
        make("text", { x: 276, y: 30, "text-anchor": "end" }, "sum"),
        make("text", { x: 318, y: 30, "text-anchor": "end" }, "std"),
      ];
      WORDS.forEach((name, i) => {
        const y = 40 + i * 40;
        const bars = { kept: "", dropped: "", used: "" };
        let [from, to] = [0, 0];
        for (let k = i * T; k < (i + 1) * T; k++) {
          const box = (at, width, top) =>
            `M${x(at).toFixed(1)} ${top}H${Math.max(x(at), x(at + width) - 1).toFixed(1)}v12H${x(at).toFixed(1)}z`;
          bars[kept[k] ? "kept" : "dropped"] += box(from, before[k], y);
          if (kept[k]) bars.used += box(to, after[k], y + 15);
          from += before[k];
          to += after[k];
        }
        parts.push(
          make("text", { x: 0, y: y + 18 }, name),
          make("path", { d: bars.kept, fill: "var(--c-blue)", opacity: 0.45 }),
          make("path", { d: bars.dropped, fill: "none", stroke: "var(--c-grey)", "stroke-dasharray": "2 2" }),
          make("path", { d: bars.used, fill: "var(--c-blue)", class: "used" }),
          make("text", { x: 276, y: y + 18, "text-anchor": "end", "font-weight": 650 }, text(sums[i])),
          make("text", { x: 318, y: y + 18, "text-anchor": "end" }, text(stds[i])),
        );
      });
      const one = { x1: x(1), x2: x(1), y1: 36, y2: 278 };
      parts.push(make("line", { ...one, stroke: "var(--ink)", "stroke-dasharray": "4 3" }));
      rows.plot.replaceChildren(...parts);
      base.axes(rows, x, base.linear([0, 1], [280, 280]), { xLabel: "sum of the weights in a row", yTicks: [] });
    }

    base.predict(el, {
      question: "Average the sums after dropout, row by row, over 1,000 draws. About what comes out?",
      min: 0, max: 10, step: 0.01,
      truth: () => ({ p: model.get("p"), means: averages(base, before, model.get("p"), 1000) }),
      told(number, { p, means }) {
        const [low, high] = [Math.min(...means), Math.max(...means)].map((each) => text(each));
        const over = "over all masks each is 1 exactly";
        return `You said ${number}. At p = ${text(p)} the six averages lie from ${low} to ${high}; ${over}.`;
      },
    });
    model.on("change", draw);
    draw();
  },
};
