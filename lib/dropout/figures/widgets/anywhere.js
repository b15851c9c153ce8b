/* A mask anywhere: one tensor's coins, drawn in parts by number and by turn (chapter 16). */

export const about = {
  title: "A coin computed from its number is the same on every device",
  words:
    "One mask of 8 × 24 elements is drawn in parts, twice, by the same generator. Split it another way, or " +
    "click on an element to see where its coin comes from.",
};

const ROWS = 8, COLUMNS = 24, ALL = ROWS * COLUMNS;
const SEED = 16;
const SPLITS = { one: [1, 1], rows2: [2, 1], rows4: [4, 1], columns4: [1, 4], tiles: [2, 2] };
const COLOURS = ["var(--c-blue)", "var(--c-vermillion)", "var(--c-green)", "var(--c-purple)"];

export const controls = [
  {
    key: "split", label: "split", type: "choice", value: "tiles",
    options: {
      one: "one device", rows2: "rows over 2", rows4: "rows over 4", columns4: "columns over 4", tiles: "4 tiles",
    },
  },
  {
    key: "stream", label: "by turn", type: "choice", value: "same",
    options: { same: "one seed for all", rank: "seed + rank", shared: "one stream in turn" },
  },
  {
    key: "layout", label: "in memory", type: "choice", value: "row",
    options: { row: "row-major", column: "column-major" },
  },
  { key: "last", label: "last device first", type: "check", value: false },
  { key: "p", label: "rate p", type: "range", min: 0.05, max: 0.95, step: 0.05, value: 0.5 },
  {
    key: "element", label: "element", type: "range", min: 0, max: ALL - 1, step: 1, value: 137,
    show: (i) => `(${Math.floor(i / COLUMNS)}, ${i % COLUMNS})`,
  },
];

/* The parts of a split, one a device: where each starts and how large it is. */
export function parts(split) {
  const [down, across] = SPLITS[split];
  const [rows, columns] = [ROWS / down, COLUMNS / across];
  return Array.from({ length: down * across }, (_, device) => ({
    device, rows, columns, row: Math.floor(device / across) * rows, column: (device % across) * columns,
  }));
}

/* The numbers in the whole of a part's elements, in the order in which they lie in its memory. */
export function memory({ row, column, rows, columns }, layout) {
  return Array.from({ length: rows * columns }, (_, k) => {
    const [r, c] = layout === "row" ? [Math.floor(k / columns), k % columns] : [k % rows, Math.floor(k / rows)];
    return (row + r) * COLUMNS + column + c;
  });
}

/* For each element who draws it, from what seed, and by which number: its own, or how many were drawn before. */
export function plan({ split, stream, layout, last }, byNumber) {
  const out = new Array(ALL);
  const devices = last ? parts(split).reverse() : parts(split);
  let drawn = 0;
  for (const part of devices) {
    if (stream !== "shared") drawn = 0;
    const seed = !byNumber && stream === "rank" ? SEED + part.device : SEED;
    for (const i of memory(part, layout)) {
      out[i] = { device: part.device, seed, number: byNumber ? i : drawn };
      drawn++;
    }
  }
  return out;
}

/* 1 for each element that a plan keeps, 0 for one that it drops. */
export function draw(base, planned, p) {
  const t = base.threshold(p);
  const lanes = {};
  for (const { seed } of planned) lanes[seed] ??= base.lanes({ seed }, ALL);
  return Uint8Array.from(planned, ({ seed, number }) => (lanes[seed][number] < t ? 0 : 1));
}

/* What one device alone keeps, which goes through its memory row by row: the mask to compare with. */
export const alone = (base, p) => base.keepMask({ seed: SEED }, ALL, p);

/* In how many elements two masks differ. */
export const differing = (a, b) => a.reduce((sum, each, i) => sum + (each !== b[i]), 0);

/* How many different masks the devices have, each read in the order of its memory. */
export const masksOf = (kept, { split, layout }) =>
  new Set(parts(split).map((part) => memory(part, layout).map((i) => kept[i]).join(""))).size;

/* The block and lane of a number, and the eight lanes of its block, 16 bits each. */
export function coin(base, { seed, number }) {
  const block = Math.floor(number / 8);
  return { block, lane: number % 8, lanes: base.lanes({ seed }, 8, 8 * block) };
}

const TOP = 27, CELL = 13, HIGH = 15, ACROSS = 2, LABEL = 15; // of the grid, in pixels
const QUESTION = { split: "columns4", stream: "rank", layout: "row", last: false, p: 0.05 };

export default {
  render({ model, el, base }) {
    const { make } = base;
    const panels = [true, false].map((byNumber) => {
      const panel = base.panel(el, {
        height: 322, label: byNumber ? "The mask with coins by number" : "The mask with coins by turn",
      });
      const pick = (event) => model.set("element", nearest(...panel.at(event)));
      panel.svg.style.cursor = "crosshair";
      panel.svg.addEventListener("click", pick);
      panel.svg.addEventListener("pointermove", (event) => event.buttons && pick(event));
      return { panel, byNumber };
    });
    const said = base.sentence(el, "min-height: clamp(4.2em, 20em - 40vw, 7em)");
    base.predict(el, {
      question:
        `Columns over four devices, seed + rank, p = ${QUESTION.p}. ` +
        `By turn, how many of ${ALL} bits will differ?`,
      min: 0, max: ALL, step: 1,
      truth: () => differing(draw(base, plan(QUESTION, false), QUESTION.p), alone(base, QUESTION.p)),
      told: (guess, truth) => `You said ${guess}, it is ${truth}. Exercise 16.5 asks why. By number it is 0.`,
      done: () => Object.entries(QUESTION).forEach(([key, value]) => model.set(key, value)),
    });

    const given = () => Object.fromEntries(controls.map(({ key }) => [key, model.get(key)]));
    const corner = (part) => {
      const [down, across] = [part.row / part.rows, part.column / part.columns];
      const spare = 4 - ROWS / part.rows; // labels that this split does not have
      return [across * ACROSS, TOP + (down + 1 + spare / 2) * LABEL];
    };
    const place = (part, i) => {
      const [left, top] = corner(part);
      return [left + (i % COLUMNS) * CELL, top + Math.floor(i / COLUMNS) * HIGH];
    };

    function nearest(x, y) {
      const state = given();
      let best = model.get("element"), least = Infinity;
      for (const part of parts(state.split))
        for (const i of memory(part, "row")) {
          const [left, top] = place(part, i);
          const far = (left + CELL / 2 - x) ** 2 + (top + HIGH / 2 - y) ** 2;
          if (far < least && far < 1600) [best, least] = [i, far];
        }
      return best;
    }

    function update() {
      const state = given();
      const reference = alone(base, state.p);
      const found = panels.map(({ panel, byNumber }) => {
        const planned = plan(state, byNumber);
        const kept = draw(base, planned, state.p);
        const differ = differing(kept, reference);
        picture(panel, byNumber, state, planned, kept, reference, differ);
        return { differ, masks: masksOf(kept, state) };
      });
      const devices = parts(state.split).length;
      const have = (masks) =>
        masks === 1 ? `all ${devices} devices have one mask` : `${devices} devices have ${masks} different masks`;
      const sentence = ({ differ, masks }, from) => [
        make("b", {}, `${differ} of ${ALL}`), ` bits differ${from}${devices > 1 ? `, and ${have(masks)}` : ""}. `,
      ];
      const [number, turn] = [sentence(found[0], " from what one device draws row by row"), sentence(found[1], "")];
      said("By number ", ...number, "By turn ", ...turn);
    }

    function picture({ plot }, byNumber, state, planned, kept, reference, differ) {
      const { element, p } = state;
      const out = [
        make("text", { x: 0, y: 14, "font-weight": 650 }, byNumber ? "Coins by number" : "Coins by turn"),
        make("path", { d: "M222 7h5v5h-5z", fill: "var(--ink)" }),
        make("text", { x: 232, y: 14 }, `${differ} bits differ`),
      ];
      const marks = [];
      for (const part of parts(state.split)) {
        const [on, off] = [[], []];
        for (const i of memory(part, "row")) {
          const [x, y] = place(part, i).map((each) => Number(each.toFixed(1)));
          (kept[i] ? on : off).push(`M${x + 1} ${y + 1}h11v13h-11z`);
          if (kept[i] !== reference[i]) marks.push(`M${x + 4} ${y + 5}h5v5h-5z`);
        }
        const [left, top] = place(part, part.row * COLUMNS + part.column);
        const colour = COLOURS[part.device];
        out.push(
          make("text", { x: left + 1, y: top - 3 }, `device ${part.device}`),
          make("path", { d: on.join(""), fill: colour, stroke: colour, class: "on" }),
          make("path", { d: off.join(""), fill: "none", stroke: colour, "stroke-width": 0.8, opacity: 0.55 }),
        );
      }
      const [x, y] = place(parts(state.split)[planned[element].device], element);
      const around = { x: x - 0.5, y: y - 0.5, width: 14, height: 16, fill: "none" };
      out.push(
        make("path", { d: marks.join(""), fill: "var(--ink)", stroke: "var(--paper)", class: "differ" }),
        make("rect", { ...around, stroke: "var(--ink)", "stroke-width": 2.5 }),
      );
      plot.replaceChildren(...out, ...inspected(byNumber, element, planned[element], p));
    }

    /* From a number to a coin, step by step. */
    function inspected(byNumber, element, { device, seed, number }, p) {
      const [row, column] = [Math.floor(element / COLUMNS), element % COLUMNS];
      const { block, lane, lanes } = coin(base, { seed, number });
      const hex = (value) => value.toString(16).padStart(4, "0");
      const t = base.threshold(p);
      const top = 228;
      const out = [
        make("text", { x: 0, y: top }, `element (${row}, ${column}), drawn by device ${device}`),
        make("text", { x: 0, y: top + 18 }, byNumber
          ? `its number: ${COLUMNS} · ${row} + ${column} = ${number}`
          : `its turn: ${number} drawn before it from seed ${seed}`),
        make("text", { x: 0, y: top + 36 }, `block ${number} // 8 = ${block}, lane ${number} % 8 = ${lane}:`),
      ];
      lanes.forEach((each, k) => {
        const [x, here] = [1 + 40 * k, k === lane];
        const line = { stroke: here ? "var(--ink)" : "var(--line)", "stroke-width": here ? 2 : 1, fill: "none" };
        const weight = { "text-anchor": "middle", "font-weight": here ? 650 : 400 };
        out.push(
          make("rect", { x, y: top + 45, width: 37, height: 22, rx: 2, ...line }),
          make("text", { x: x + 18.5, y: top + 60, ...weight }, hex(each)),
        );
      });
      const drops = lanes[lane] < t;
      out.push(make("text", { x: 0, y: top + 86, class: "coin" },
        `${hex(lanes[lane])} ${drops ? "<" : "≥"} t = ${hex(t)} (hexadecimal): ${drops ? "dropped" : "kept"}`));
      return out;
    }

    model.on("change", update);
    update();
  },
};
