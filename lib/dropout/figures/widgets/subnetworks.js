/* The sub-networks: what every mask of a small network answers, and three ways to sum them up (chapter 04). */

export const about = {
  title: "One softmax layer: evaluation is its sub-networks' geometric mean",
  words:
    "All 256 masks of a small network. A dot is an answer among three classes; its area is the probability of the " +
    "masks that give it (at least a speck). Add hidden layers, linear or tanh: does the cross of evaluation stay " +
    "in the ring?",
};

const SEED = 2025;
const CLASSES = 3;
const UNITS = 8; // that drop, so 256 masks

export const controls = [
  { key: "p", label: "rate p", type: "range", min: 0, max: 0.9, step: 0.05, value: 0.5 },
  {
    key: "net", label: "hidden layers", type: "choice", value: "softmax",
    options: { softmax: "none", linear: "2 linear", tanh: "2 tanh" },
  },
  {
    key: "strength", label: "weight size", type: "range", min: 0.5, max: 4, step: 0.25, value: 2,
    show: (value) => value.toFixed(2),
  },
  { key: "draw", label: "New weights", type: "count", value: 0 },
];

/* A network {x, layers}: eight dropped inputs, or four inputs and two hidden layers of four dropped units.

   A layer has rows of weights N(0, strength² / columns); `drop` says whether its inputs drop. */
export function network(base, { net, strength, draw }) {
  const deep = net !== "softmax";
  const sizes = deep ? [4, 4, 4, CLASSES] : [8, CLASSES];
  const layers = sizes.slice(1).map((rows, k) => {
    const columns = sizes[k];
    const drawn = base.normals({ seed: SEED, stream: k + 1, step: draw }, rows * columns);
    const weights = Array.from({ length: rows }, (_, i) =>
      Array.from(drawn.slice(i * columns, (i + 1) * columns), (z) => (strength * z) / Math.sqrt(columns)),
    );
    return { weights, drop: !deep || k > 0, tanh: net === "tanh" && k < sizes.length - 2 };
  });
  return { x: Array.from(base.normals({ seed: SEED, stream: 0, step: draw }, sizes[0])), layers };
}

/* The scores under every mask, three a mask, survivors multiplied by `scale`.

   Mask k has the binary digits of k, the last layer's units first. A layer's sums are made by doubling: the sums
   so far, then the same with the next unit's term added. */
export function subNetworks({ x, layers }, scale) {
  let scores = Float64Array.from(x);
  for (const { weights, drop, tanh } of layers) {
    const units = weights[0].length;
    const step = (scores.length / units) * weights.length; // from a mask to the next
    const sums = new Float64Array((drop ? 2 ** units : 1) * step);
    for (let first = 0, from = 0; first < step; from += units) {
      for (const row of weights) {
        for (let j = units - 1, half = 1; j >= 0; j--) {
          const term = scores[from + j] * row[j];
          if (!drop) sums[first] += term;
          else {
            for (let k = 0; k < half; k++) sums[first + (k + half) * step] = sums[first + k * step] + term * scale;
            half *= 2;
          }
        }
        first++;
      }
    }
    scores = tanh ? sums.map(Math.tanh) : sums;
  }
  return scores;
}

/* The scores of evaluation: nothing dropped, nothing scaled. */
export const evaluation = ({ x, layers }) =>
  subNetworks({ x, layers: layers.map((layer) => ({ ...layer, drop: false })) }, 1);

/* Softmax of each three of some numbers. */
export function softmax(scores) {
  const out = new Float64Array(scores.length);
  for (let k = 0; k < scores.length; k += CLASSES) {
    const top = Math.max(scores[k], scores[k + 1], scores[k + 2]);
    let total = 0;
    for (let c = k; c < k + CLASSES; c++) total += out[c] = Math.exp(scores[c] - top);
    for (let c = k; c < k + CLASSES; c++) out[c] /= total;
  }
  return out;
}

const ones = (mask) => (mask ? (mask & 1) + ones(mask >> 1) : 0);
const KEPT = Uint8Array.from({ length: 2 ** UNITS }, (_, mask) => ones(mask));

/* All answers and their chances at rate p, and the three that sum them up. */
export function summary(base, net, p) {
  const q = 1 - base.threshold(p) / 65536;
  const by = Array.from({ length: UNITS + 1 }, (_, kept) => q ** kept * (1 - q) ** (UNITS - kept));
  const scores = subNetworks(net, base.invertedScale(p));
  const answers = softmax(scores);
  const arithmetic = new Float64Array(CLASSES);
  const means = new Float64Array(CLASSES); // log P is a score less log Z, which is the same for all classes
  for (let k = 0; k < KEPT.length; k++) {
    for (let c = 0; c < CLASSES; c++) {
      arithmetic[c] += by[KEPT[k]] * answers[CLASSES * k + c];
      means[c] += by[KEPT[k]] * scores[CLASSES * k + c];
    }
  }
  const chances = Float64Array.from(KEPT, (kept) => by[kept]);
  return { answers, chances, arithmetic, geometric: softmax(means), scaling: softmax(evaluation(net)) };
}

/* Total variation: the share of the probability that two distributions place differently. */
export const distance = (a, b) => a.reduce((sum, each, c) => sum + Math.abs(each - b[c]), 0) / 2;

const RATES = Array.from({ length: 19 }, (_, k) => k / 20);

const gaps = ({ arithmetic, geometric, scaling }) => ({
  arithmetic: distance(arithmetic, scaling),
  geometric: distance(geometric, scaling),
});

/* How far the two means are from weight scaling, at each rate of the slider. */
export const distances = (base, net) => RATES.map((p) => ({ p, ...gaps(summary(base, net, p)) }));

const A = [160, 20], B = [5, 288], C = [315, 288]; // corners of the triangle
const AREA = 2600; // of all dots together, in square pixels
const SPECK = 0.7; // the least radius

/* Where in the triangle an answer is. */
export const place = (answer) => [0, 1].map((k) => answer[0] * A[k] + answer[1] * B[k] + answer[2] * C[k]);

/* Dots [x, y, radius]: answers that fall together, to a tenth of a pixel, are one. */
export function dots(answers, chances) {
  const found = new Map();
  chances.forEach((chance, k) => {
    const at = place(answers.subarray(CLASSES * k, CLASSES * k + CLASSES)).map((pixel) => Math.round(10 * pixel));
    const key = at[0] * 10000 + at[1];
    found.set(key, (found.get(key) ?? 0) + chance);
  });
  return [...found].map(([key, chance]) => [
    Math.floor(key / 10000) / 10, (key % 10000) / 10, Math.sqrt((AREA * chance) / Math.PI),
  ]);
}

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const triangle = base.panel(el, { height: 314, label: "The answers of all masks in a triangle of three classes" });
    const far = base.panel(el, { height: 314, label: "How far the two means are from weight scaling, at each rate" });
    const said = base.sentence(el);

    const x = base.linear([0, 0.9], [40, 244]);
    let shown, net, curve;

    function draw() {
      const given = { net: model.get("net"), strength: model.get("strength"), draw: model.get("draw") };
      const asked = JSON.stringify(given);
      if (asked !== shown) {
        net = network(base, given);
        curve = distances(base, net);
        shown = asked;
      }
      const p = model.get("p");
      const now = summary(base, net, p);
      drawTriangle(now);
      const gap = gaps(now);
      drawDistances(p, gap);
      said(
        "At p = ", text(p, 2), " weight scaling is ", make("b", {}, text(gap.geometric, 3)),
        " from the geometric mean of the sub-networks and ", make("b", {}, text(gap.arithmetic, 3)),
        " from their arithmetic mean. ",
        given.net === "tanh"
          ? "A nonlinear layer stands above dropped units: the theorem does not cover it."
          : "No nonlinearity but the softmax stands above a dropped unit: the first is 0 at every rate.",
      );
    }

    function ring([px, py], r = 8) {
      return make("circle", {
        cx: px.toFixed(1), cy: py.toFixed(1), r, class: "geometric", fill: "none", stroke: "var(--c-blue)",
        "stroke-width": 2.6,
      });
    }

    function diamond([px, py], r = 6.5) {
      return make("path", {
        d: `M${px.toFixed(1)} ${(py - r).toFixed(1)}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`, class: "arithmetic",
        fill: "var(--c-vermillion)", stroke: "var(--paper)", "stroke-width": 1.2,
      });
    }

    function cross([px, py], r = 5) {
      return make("path", {
        d: `M${(px - r).toFixed(1)} ${py.toFixed(1)}h${2 * r}m${-r} ${-r}v${2 * r}`, class: "scaling",
        stroke: "var(--ink)", "stroke-width": 2.2, fill: "none",
      });
    }

    function drawTriangle({ answers, chances, arithmetic, geometric, scaling }) {
      const sizes = new Map();
      for (const [px, py, radius] of dots(answers, chances)) {
        const wide = (2 * Math.max(radius, SPECK)).toFixed(1);
        sizes.set(wide, `${sizes.get(wide) ?? ""}M${px} ${py}h0`);
      }
      const clouds = [...sizes].sort((a, b) => b[0] - a[0]).map(([wide, d]) =>
        make("path", { d, class: "dots", "stroke-width": wide, "stroke-linecap": "round", stroke: "var(--c-grey)" }),
      );
      const [a, g, s] = [arithmetic, geometric, scaling].map(place);
      triangle.plot.replaceChildren(
        make("path", { d: `${base.path([A, B, C])}Z`, fill: "var(--field)", stroke: "var(--c-grey)" }),
        make("g", { opacity: 0.65, fill: "none" }, clouds),
        diamond(a), ring(g), cross(s),
        make("g", { class: "key" }, cross([8, 10]), ring([8, 31]), diamond([8, 52])),
        make("text", { x: 21, y: 14 }, "weight scaling"),
        make("text", { x: 21, y: 35 }, "geometric mean"),
        make("text", { x: 21, y: 56 }, "arithmetic mean"),
        make("text", { x: A[0] + 12, y: A[1] - 4 }, "class 1"),
        make("text", { x: 0, y: 309 }, "class 2"),
        make("text", { x: 320, y: 309, "text-anchor": "end" }, "class 3"),
      );
    }

    function drawDistances(p, gap) {
      const most = Math.max(...curve.map((each) => Math.max(each.arithmetic, each.geometric)));
      const top = [0.05, 0.1, 0.2, 0.5, 1].find((each) => each >= most) ?? 1;
      const y = base.linear([0, top], [272, 34]);
      base.axes(far, x, y, {
        xLabel: "rate p", yLabel: "distance from weight scaling (total variation)", xTicks: [0, 0.3, 0.6, 0.9],
        yTicks: 5, digits: top < 0.1 ? 2 : undefined,
      });
      const line = (key, more) =>
        make("path", {
          d: base.path(curve.map((each) => [x(each.p), y(each[key])])), class: `curve ${key}`, fill: "none",
          "stroke-width": 2.4, ...more,
        });
      const last = curve.at(-1);
      const lower = last.arithmetic < last.geometric ? "arithmetic" : "geometric";
      const upper = lower === "geometric" ? "arithmetic" : "geometric";
      const low = Math.min(y(last[lower]), 270);
      const high = Math.min(y(last[upper]), low - 15);
      const label = (key, at) => make("text", { x: 254, y: at + 4 }, key);
      far.plot.replaceChildren(
        make("path", { d: base.path([[x(p), 272], [x(p), 34]]), stroke: "var(--line)", "stroke-width": 1 }),
        line("arithmetic", { stroke: "var(--c-vermillion)" }),
        line("geometric", { stroke: "var(--c-blue)", "stroke-dasharray": "7 3" }),
        diamond([x(p), y(gap.arithmetic)], 6),
        ring([x(p), y(gap.geometric)], 6),
        label(lower, low),
        label(upper, high),
      );
    }

    base.drag(far, ([px]) => model.set("p", x.invert(px)));
    model.on("change", draw);
    draw();
  },
};
