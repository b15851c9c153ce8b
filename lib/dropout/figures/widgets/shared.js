/* Who shares a coin: one tensor under eight ways to share, and how loud each is (chapter 11). */

export const about = {
  title: "Who shares a coin falls together, and the fraction kept jumps further",
  words:
    "One tensor: 2 examples, 3 channels, 6 × 6 places. Choose who shares a coin, point at an element, and draw " +
    "anew: how far does the fraction kept jump? (Blocks overlap: there neighbours share some of their coins.)",
};

export const SHAPE = [2, 3, 6, 6];
const SIZE = 216;
const SEED = 2016;
const BLOCK = 3;
const CORNERS = 6 - BLOCK + 1; // along each side of a map

/* The axes along which a coin is shared, as keep_mask has them; null where blocks overlap. */
export const SHARED = {
  element: [], weight: [0], feature: [2], row: [3], block: null, channel: [2, 3], example: [1, 2, 3],
  batch: [0, 1, 2, 3],
};
const SAYS = {
  element: "A coin for each element, as in Dropout",
  weight: "A coin for each place, shared by the examples, as when weights are dropped",
  feature:
    "A coin for each column, a feature if the rows are time steps, as in LockedDropout; time step in the figure above",
  row: "A coin for each row, a word with all its features if the rows are words",
  block: "A coin for each corner of a 3 × 3 block, as in DropBlock2d",
  channel: "A coin for each channel of an example, as in Dropout2d",
  example: "A coin for each example, as in DropPath",
  batch: "One coin for the whole batch",
};

export const controls = [
  {
    key: "who", label: "who shares", type: "choice", value: "channel",
    options: Object.fromEntries(Object.keys(SHARED).map((name) => [name, name])),
  },
  { key: "p", label: "rate p", type: "range", min: 0.05, max: 0.95, step: 0.05, value: 0.35 },
  {
    key: "at", label: "element", type: "range", min: 0, max: SIZE - 1, step: 1, value: 15,
    show: (at) => place(at).join(","),
  },
  { key: "step", label: "New draw", type: "count", value: 0 },
  { key: "std", label: "show the std", type: "check", value: false },
];

/* Example, channel, row and column of an element. */
export const place = (at) => [Math.floor(at / 108), Math.floor(at / 36) % 3, Math.floor(at / 6) % 6, at % 6];

/* The shape of the coins: 1 along an axis that shares them; of blocks, that of their corners. */
export const coinShape = (who) =>
  SHARED[who] ? SHAPE.map((n, axis) => (SHARED[who].includes(axis) ? 1 : n)) : [2, 3, CORNERS, CORNERS];

export const coins = (who) => coinShape(who).reduce((product, n) => product * n, 1);

/* The coins that decide on an element, by their numbers in C order: one, or all corners of blocks over it. */
export function coinsOf(who, at) {
  const shape = coinShape(who);
  const where = place(at);
  const number = (index) => index.reduce((sum, k, axis) => sum * shape[axis] + k, 0);
  if (SHARED[who]) return [number(where.map((k, axis) => (shape[axis] === 1 ? 0 : k)))];
  const [n, c, row, column] = where;
  const corners = (k) => {
    const first = Math.max(0, k - BLOCK + 1);
    return Array.from({ length: Math.min(k, CORNERS - 1) - first + 1 }, (_, i) => first + i);
  };
  return corners(row).flatMap((r) => corners(column).map((s) => number([n, c, r, s])));
}

const tables = {};
const table = (who) => (tables[who] ??= Array.from({ length: SIZE }, (_, at) => coinsOf(who, at)));

/* The elements with which an element shares a coin, itself among them. */
export function sharers(who, at) {
  const own = new Set(table(who)[at]);
  return table(who).flatMap((theirs, other) => (theirs.some((coin) => own.has(coin)) ? [other] : []));
}

/* γ · 2³² of dropout.mask.block_threshold: the smallest for which a share p of the map drops. */
export function blockThreshold(p) {
  const covers = Array.from({ length: 36 }, (_, at) => table("block")[at].length);
  let [low, high] = [0, 2 ** 32];
  while (low < high) {
    const gamma = Math.floor((low + high) / 2);
    const log = Math.log1p(-gamma / 2 ** 32);
    const share = covers.reduce((sum, n) => sum - Math.expm1(n * log), 0) / 36;
    [low, high] = share >= p ? [low, gamma] : [gamma + 1, high];
  }
  return low;
}

/* The library's mask: 1 for each element that is kept. Blocks have coins of 32 bits, the others of 16. */
export function mask(base, who, { p, step }) {
  const key = { seed: SEED, step };
  const t = who === "block" ? blockThreshold(p) : 0;
  const kept = SHARED[who]
    ? base.keepMask(key, coins(who), p)
    : Array.from(base.words(key, coins(who)), (word) => (word < t ? 0 : 1));
  return Uint8Array.from(table(who), (mine) => (mine.every((coin) => kept[coin]) ? 1 : 0));
}

/* Of a map, for each number of dropped corners how many of their sets keep so many places: all 2^16 sets. */
let sets;
function blockSets() {
  if (sets) return sets;
  const ones = (x) => {
    x -= (x >>> 1) & 0x55555555;
    x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
    return (((x + (x >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
  };
  const n = CORNERS * CORNERS;
  const half = [0, 18].map((first) =>
    Array.from({ length: n }, (_, corner) =>
      table("block").slice(first, first + 18).reduce((bits, over, k) => bits | (over.includes(corner) << k), 0),
    ),
  );
  const gone = half.map(() => new Int32Array(1 << n));
  sets = Array.from({ length: n + 1 }, () => new Float64Array(37));
  sets[0][36] = 1;
  for (let set = 1; set < 1 << n; set++) {
    const last = 31 - Math.clz32(set);
    half.forEach((bits, k) => (gone[k][set] = gone[k][set ^ (1 << last)] | bits[last]));
    sets[ones(set)][36 - ones(gone[0][set]) - ones(gone[1][set])] += 1;
  }
  return sets;
}

/* How likely it is that so many of the 216 elements are kept, exactly. */
export function chances(base, who, p) {
  const out = new Float64Array(SIZE + 1);
  if (who === "block") {
    const gamma = blockThreshold(p) / 2 ** 32;
    const map = new Float64Array(37);
    blockSets().forEach((row, k) => {
      const chance = gamma ** k * (1 - gamma) ** (CORNERS * CORNERS - k);
      row.forEach((count, kept) => (map[kept] += count * chance));
    });
    let all = [1];
    for (let maps = 0; maps < 6; maps++) {
      const next = new Float64Array(all.length + 36);
      all.forEach((a, i) => map.forEach((b, j) => (next[i + j] += a * b)));
      all = next;
    }
    out.set(all);
    return out;
  }
  const n = coins(who);
  const rate = base.threshold(p) / 65536;
  let log = n * Math.log(rate);
  for (let k = 0; k <= n; k++) {
    out[(k * SIZE) / n] = Math.exp(log);
    log += Math.log((n - k) / (k + 1)) + Math.log((1 - rate) / rate);
  }
  return out;
}

/* Mean and variance of the fraction kept. */
export function moments(chance) {
  const mean = chance.reduce((sum, each, kept) => sum + (each * kept) / SIZE, 0);
  return { mean, variance: chance.reduce((sum, each, kept) => sum + each * (kept / SIZE - mean) ** 2, 0) };
}

/* The line that draws the mask. */
export function line(who) {
  if (!SHARED[who]) return `m = drop_block2d(torch.ones(x.shape), p, ${BLOCK}, key=key) > 0`;
  const axes = SHARED[who];
  const shared = axes.length ? `, shared=(${axes.join(", ")}${axes.length === 1 ? "," : ""})` : "";
  return `m = keep_mask(key, x.shape, p${shared})`;
}

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const SIDE = 15;
    const FIELD = { fill: "var(--field)", stroke: "var(--line)" };
    const tensor = base.panel(el, { height: 262, label: "The tensor: which elements are kept, and who shares a coin" });
    const strips = base.panel(el, { height: 262, label: "How much is kept, over all draws, for each way to share" });
    const code = make("p", { style: "flex: 1 1 100%; margin: 0; max-width: none" });
    const height = "min-height: max(4.2em, (760px - 100vw) * 0.4)";
    el.append(code);
    const said = base.sentence(el, height);
    const names = Object.keys(SHARED);
    const given = () => ({ p: model.get("p"), step: model.get("step") });
    let pointed = null; // an element under the mouse
    let drawn = "";

    function draw() {
      drawTensor();
      const { p, step } = given();
      const [who, std] = [model.get("who"), model.get("std")];
      const now = [who, p, step, std].join();
      if (drawn === now) return;
      drawn = now;
      const rows = names.map((name) => {
        const chance = chances(base, name, p);
        const kept = mask(base, name, { p, step }).reduce((sum, each) => sum + each, 0);
        return { name, chance, kept, ...moments(chance) };
      });
      drawStrips(rows, who, std);
      code.replaceChildren(make("code", {}, line(who)), SHARED[who] ? `, of shape ${coinShape(who).join(" × ")}` : "");
      const { kept, mean, variance } = rows.find(({ name }) => name === who);
      const n = coins(who);
      const each = std ? `, ${SIZE / n} element${n === SIZE ? "" : "s"}${n === 1 ? "" : " each"}` : "";
      const gamma = `, each of which drops its block with the chance γ = ${text(blockThreshold(p) / 2 ** 32, 4)}`;
      const spread = [" and the standard deviation ", make("b", {}, text(Math.sqrt(variance), 3))];
      said(
        `${SAYS[who]}: `, make("b", {}, `${n} coin${n === 1 ? "" : "s"}${SHARED[who] ? each : gamma}`),
        ". This draw keeps ", make("b", {}, `${kept} of ${SIZE}`), `, a fraction of ${text(kept / SIZE)}. Over all `,
        "draws it has the mean ", make("b", {}, text(mean)), ...(std ? spread : []), ".",
      );
    }

    /* The corner of a map, and that of an element. */
    const map = (n, c) => [22 + c * 102, 24 + n * 106];
    const cell = ([n, c, r, s]) => [map(n, c)[0] + s * SIDE, map(n, c)[1] + r * SIDE];

    function drawTensor() {
      const at = pointed ?? model.get("at");
      const kept = mask(base, model.get("who"), given());
      const group = new Set(sharers(model.get("who"), at));
      const d = { kept: "", dropped: "", edge: "" };
      for (let k = 0; k < SIZE; k++) {
        const where = place(k);
        const [x, y] = cell(where);
        if (kept[k]) d.kept += `M${x + 1} ${y + 1}h13v13h-13z`;
        else d.dropped += `M${x + 5} ${y + 5}l5 5m0 -5l-5 5`;
        if (!group.has(k)) continue;
        const [r, s] = [where[2], where[3]];
        if (!r || !group.has(k - 6)) d.edge += `M${x} ${y}h${SIDE}`;
        if (r === 5 || !group.has(k + 6)) d.edge += `M${x} ${y + SIDE}h${SIDE}`;
        if (!s || !group.has(k - 1)) d.edge += `M${x} ${y}v${SIDE}`;
        if (s === 5 || !group.has(k + 1)) d.edge += `M${x + SIDE} ${y}v${SIDE}`;
      }
      const [x, y] = cell(place(at));
      const under = SHARED[model.get("who")] ? "under its coin" : "that share a coin with it";
      const middle = { "text-anchor": "middle" };
      const others = group.size === 1 ? "alone, with a coin of its own" : `and ${group.size - 1} more ${under}`;
      const turned = (n) => `translate(12 ${map(n, 0)[1] + 45}) rotate(-90)`;
      const edge = { fill: "none", stroke: "var(--ink)", "stroke-width": 2.6, "stroke-linecap": "square" };
      tensor.plot.replaceChildren(
        ...[0, 1, 2].map((c) => make("text", { x: map(0, c)[0] + 45, y: 15, ...middle }, `channel ${c}`)),
        ...[0, 1].map((n) => make("text", { transform: turned(n), ...middle }, `example ${n}`)),
        make("path", { d: d.kept, fill: "var(--c-blue)", class: "kept" }),
        make("path", { d: d.dropped, fill: "none", stroke: "var(--c-grey)", "stroke-width": 1.2, class: "dropped" }),
        make("path", { d: d.edge, ...edge, class: "edge" }),
        make("circle", { cx: x + 7.5, cy: y + 7.5, r: 4, ...edge, fill: "var(--paper)", "stroke-width": 2 }),
        make("text", { x: 22, y: 239 }, `■ kept, × dropped. Outlined: x[${place(at).join(", ")}]`),
        make("text", { x: 22, y: 256 }, others),
      );
    }

    const x = base.linear([0, 1], [62, 268]);
    const xLabel = "fraction kept: all draws, and ● this one";
    base.axes(strips, x, base.linear([0, 1], [227, 227]), { xLabel, xTicks: 5, yTicks: [] });

    function drawStrips(rows, who, std) {
      const mean = x(rows[0].mean).toFixed(1);
      const parts = [
        make("text", { x: 0, y: 14 }, "A coin for each"),
        make("text", { x: 318, y: 14, "text-anchor": "end" }, std ? "std" : ""),
        make("line", { x1: mean, x2: mean, y1: 22, y2: 227, stroke: "var(--c-grey)", "stroke-dasharray": "2 3" }),
      ];
      rows.forEach(({ name, chance, kept, variance }, k) => {
        const [y, on] = [44 + 25 * k, name === who];
        const most = chance.reduce((a, b) => Math.max(a, b), 0);
        let bars = "";
        chance.forEach((each, n) => {
          const high = (each / most) * 17;
          if (high > 0.2) bars += `M${x(n / SIZE).toFixed(1)} ${y}v${(-high).toFixed(1)}`;
        });
        const look = { y, "font-weight": on ? 650 : false };
        const dot = { cx: x(kept / SIZE).toFixed(1), cy: y, r: 3.4, fill: "var(--ink)", stroke: "var(--paper)" };
        const width = Math.max(0.9, Math.min(4, 180 / coins(name)));
        if (on) parts.unshift(make("rect", { x: -4, y: y - 20, width: 328, height: 25, rx: 3, ...FIELD }));
        parts.push(
          make("text", { x: 0, ...look }, name),
          make("line", { x1: 62, x2: 268, y1: y, y2: y, stroke: "var(--line)" }),
          make("path", { d: bars, stroke: on ? "var(--c-blue)" : "var(--c-grey)", "stroke-width": width }),
          make("circle", { ...dot, class: name }),
          make("text", { x: 318, "text-anchor": "end", ...look }, std ? text(Math.sqrt(variance), 3) : ""),
        );
      });
      strips.plot.replaceChildren(...parts);
    }

    /* The element under a point of the tensor, or null. */
    function touched([x, y]) {
      const [c, n] = [Math.floor((x - 22) / 102), Math.floor((y - 24) / 106)];
      const [s, r] = [Math.floor((x - map(n, c)[0]) / SIDE), Math.floor((y - map(n, c)[1]) / SIDE)];
      return n >= 0 && n < 2 && c >= 0 && c < 3 && r < 6 && s < 6 ? ((n * 3 + c) * 6 + r) * 6 + s : null;
    }
    function point(at) {
      if (at === pointed) return;
      pointed = at;
      drawTensor();
    }
    tensor.svg.style.cursor = "crosshair";
    tensor.svg.addEventListener("click", (event) => {
      const at = touched(tensor.at(event));
      if (at !== null) model.set("at", at);
    });
    tensor.svg.addEventListener("pointermove", (event) => point(touched(tensor.at(event))));
    tensor.svg.addEventListener("pointerleave", () => point(null));
    strips.svg.style.cursor = "pointer";
    strips.svg.addEventListener("click", (event) => {
      const name = names[Math.floor((strips.at(event)[1] - 24) / 25)];
      if (name) model.set("who", name);
    });

    base.predict(el, {
      question:
        "Shared in the way chosen, how many times as large is the variance of the fraction kept as with a coin for " +
        "each element?",
      min: 0, max: 999, step: 1,
      truth() {
        const [who, { p }] = [model.get("who"), given()];
        const [way, one] = [who, "element"].map((each) => moments(chances(base, each, p)).variance);
        return { who, p, times: way / one };
      },
      told(number, { who, p, times }) {
        const why = SHARED[who]
          ? `${text(times, 0)} times: as many as there are elements to a coin`
          : `${text(times, 1)} times at p = ${text(p)}: as blocks overlap, p matters`;
        return `You said ${number} times. By ${who} it is ${why}.`;
      },
      done: () => model.set("std", true),
    });
    model.on("change", draw);
    draw();
  },
};
