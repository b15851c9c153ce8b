/* The ridge path: the least expected loss under dropout on the inputs of a linear model (chapter 07). */

export const about = {
  title: "With squared loss, dropout on centred inputs is, on average, ridge regression",
  words:
    "Ten measurements of 442 diabetics, each scaled to standard deviation 1, predict how far the disease has " +
    "progressed. Lines: ridge regression. Circles: least expected squared loss under dropout. Move p, then move the " +
    "features off centre (100 %: as measured).",
};

export const controls = [
  { key: "p", label: "rate p", type: "range", min: 0, max: 0.95, step: 0.01, value: 0.5 },
  {
    key: "shift", label: "off centre", type: "range", min: 0, max: 1, step: 0.05, value: 0,
    show: (shift) => `${Math.round(100 * shift)} %`,
  },
];

/* scikit-learn's diabetes data (Efron et al. 2004), with standard deviations over the 442 patients as units:
   where each feature has its mean, correlations below the diagonal, covariances with the target, and the
   target's mean and variance. All that least squares asks of data. */
export const DATA = {
  names: ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"],
  centres: [
    3.705315012, 2.942561802, 5.976675627, 6.850720897, 5.471402915, 3.800007952, 3.853726614, 3.157705744,
    8.895011887, 7.94719309,
  ],
  correlations: [
    [],
    [0.1737371006],
    [0.1850846661, 0.08816139902],
    [0.3354275871, 0.2410104866, 0.3954108987],
    [0.2600608202, 0.03527681918, 0.2497774217, 0.2424640227],
    [0.2192431398, 0.142637257, 0.2611699112, 0.1855484626, 0.8966629578],
    [-0.07518097488, -0.3790896292, -0.3668109784, -0.1787616312, 0.05151936431, -0.1964551237],
    [0.2038408997, 0.3321150931, 0.4138066018, 0.2576500533, 0.5422072805, 0.6598168887, -0.7384927293],
    [0.2707742414, 0.1499161365, 0.4461565386, 0.393480109, 0.5155029244, 0.3183566651, -0.3985772934, 0.617858974],
    [
      0.3017310076, 0.2081332162, 0.3886799939, 0.3904300231, 0.3257167531, 0.2906003755, -0.2736973015, 0.4172121137,
      0.4646688467,
    ],
  ],
  withTarget: [
    14.46851339, 3.316021309, 45.16003002, 33.99663211, 16.32694929, 13.40312629, -30.40104071, 33.14734545,
    43.57621111, 29.45342599,
  ],
  targetMean: 152.1334842,
  targetVariance: 5929.884897,
};
const COLOURS = {
  s1: "c-vermillion", s2: "c-orange", s5: "c-blue", bmi: "c-green", bp: "c-purple", sex: "ink",
};
const N = DATA.names.length;

/* The correlation of two features. */
export const correlation = (j, k) => (j === k ? 1 : DATA.correlations[Math.max(j, k)][Math.min(j, k)]);

/* The solution of a system of linear equations, by elimination with row exchanges. */
export function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    let top = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[top][k])) top = i;
    [rows[k], rows[top]] = [rows[top], rows[k]];
    for (let i = k + 1; i < n; i++) {
      const factor = rows[i][k] / rows[k][k];
      for (let j = k; j <= n; j++) rows[i][j] -= factor * rows[k][j];
    }
  }
  const out = new Array(n);
  for (let k = n - 1; k >= 0; k--) {
    let sum = rows[k][n];
    for (let j = k + 1; j < n; j++) sum -= rows[k][j] * out[j];
    out[k] = sum / rows[k][k];
  }
  return out;
}

/* Ridge regression on the standardised features, λ = p/q on the mean square: its weights. The bias is free. */
export function ridge(p) {
  const lambda = p / (1 - p);
  const matrix = DATA.names.map((_, j) => DATA.names.map((_, k) => correlation(j, k) + (j === k ? lambda : 0)));
  return solve(matrix, DATA.withTarget);
}

/* The weights, then the bias, of least expected mean square under inverted dropout at rate p.

   `shift` moves the features from their centre (0) to where they were measured (1). The normal equations
   hold the mean products of what arrives: a coin over q leaves the product of two features as it is on
   average, and the bias, which is not dropped; it divides the square of one feature by q. */
export function dropout(p, shift) {
  const centre = DATA.centres.map((each) => shift * each);
  const matrix = DATA.names.map((_, j) => [
    ...DATA.names.map((_, k) => (correlation(j, k) + centre[j] * centre[k]) / (j === k ? 1 - p : 1)),
    centre[j],
  ]);
  const right = DATA.withTarget.map((each, j) => each + centre[j] * DATA.targetMean);
  return solve([...matrix, [...centre, 1]], [...right, DATA.targetMean]);
}

/* What dropout charges the square of each weight: p/q times the feature's mean square. */
export const charges = (p, shift) => DATA.centres.map((each) => (p / (1 - p)) * (1 + (shift * each) ** 2));

/* The share of the target's variance, over the patients, that weights with their best bias explain. */
export function explained(weights) {
  let share = 0;
  for (let j = 0; j < N; j++) {
    share += 2 * weights[j] * DATA.withTarget[j];
    for (let k = 0; k < N; k++) share -= weights[j] * weights[k] * correlation(j, k);
  }
  return share / DATA.targetVariance;
}

/* The longest distance between two lists of weights, and where it is. */
export function farthest(one, two) {
  const far = DATA.names.map((_, j) => Math.abs(one[j] - two[j]));
  const most = Math.max(...far);
  return [most, DATA.names[far.indexOf(most)]];
}

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const paths = base.panel(el, { height: 270, label: "The ten weights by drop rate, ridge and dropout" });
    const rows = base.panel(el, { height: 270, label: "The ten weights at this rate, and what dropout charges each" });
    const said = base.sentence(el, "min-height: clamp(4.2em, 4.2em + 34rem - 100vw, 7em)");
    const x = base.linear([-0.13, 1], [32, 316]), y = base.linear([-42, 42], [226, 28]);
    const colour = (name) => `var(--${COLOURS[name] ?? "c-grey"})`;
    const rates = Array.from({ length: 20 }, (_, k) => k / 20);
    const fine = Array.from({ length: 61 }, (_, k) => 0.97 * (k / 60) ** 2);
    const ridges = fine.map(ridge);
    const start = DATA.names.map((name, j) => ({ name, at: y(ridges[0][j]) })).filter(({ name }) => COLOURS[name]);
    start.sort((one, two) => one.at - two.at);
    for (let k = 1; k < start.length; k++) start[k].at = Math.max(start[k].at, start[k - 1].at + 13);
    const pen = (name) => ({ fill: "none", stroke: colour(name), "stroke-width": 1.3 });
    const lines = DATA.names.map((name, j) =>
      make("path", { ...pen(name), d: base.path(fine.map((p, k) => [x(p), y(ridges[k][j])])) }),
    );
    const names = start.map(({ name, at }) => make("text", { x: x(0) - 5, y: at + 4, "text-anchor": "end" }, name));
    const circles = DATA.names.map((name) => make("path", pen(name)));
    let drawn; // the shift that the circles stand for

    base.predict(el, {
      question: "Centred, dropout at p = 0.5 explains 45 % of the variance. How many % with features as measured?",
      min: 0, max: 100, step: 1,
      truth: () => 100 * explained(dropout(0.5, 1)),
      told: (guess, truth) => `You said ${guess} %. It is ${text(truth, 0)} %; ridge keeps its 45 %.`,
      done: () => (model.set("p", 0.5), model.set("shift", 1)),
    });

    function draw() {
      const [p, shift] = [model.get("p"), model.get("shift")];
      const two = { ridge: ridge(p), dropout: dropout(p, shift).slice(0, N) };
      drawPaths(p, shift);
      drawRows(two, charges(p, shift));
      const [far, where] = farthest(two.ridge, two.dropout);
      const share = (weights) => make("b", {}, `${text(100 * explained(weights), 0)} %`);
      const lambda = text(p / (1 - p), 2);
      const [low, high] = [Math.min, Math.max].map((of) => of(...charges(p, shift)));
      const range = `${text(low, low < 10 ? 2 : 1)} to ${text(high, high < 10 ? 2 : 1)}`;
      const both = ["; both explain ", share(two.ridge), " of the variance."];
      if (p === 0) said("At p = 0 nothing is dropped. Both are least squares", ...both);
      else if (shift === 0)
        said(
          `At p = ${text(p)} both add λ = p/q = ${lambda} for each squared weight to the mean squared error. ` +
            "Their weights lie at most ",
          make("b", {}, text(far, 6)), " apart", ...both,
        );
      else
        said(
          `At p = ${text(p)} ridge adds λ = p/q = ${lambda} for each squared weight to the mean squared error, ` +
            `dropout ${range}. Their weights lie up to `,
          make("b", {}, text(far, 2)), ` apart (${where}). Ridge explains `, share(two.ridge),
          " of the variance, dropout ", share(two.dropout), ".",
        );
    }

    function drawPaths(p, shift) {
      if (drawn !== shift) {
        const found = rates.map((rate) => dropout(rate, shift));
        circles.forEach((circle, j) =>
          circle.setAttribute("d", rates.map((rate, k) => ring(x(rate), y(found[k][j]))).join("")),
        );
        drawn = shift;
      }
      const here = make("line", {
        x1: x(p), x2: x(p), y1: y(-42), y2: y(42), stroke: "var(--ink)", "stroke-dasharray": "3 3", class: "here",
      });
      const zero = make("line", { x1: x(0), x2: x(1), y1: y(0), y2: y(0), stroke: "var(--line)" });
      paths.plot.replaceChildren(zero, ...lines, ...circles, ...names, here);
      base.axes(paths, x, y, {
        xLabel: "drop rate p", yLabel: "weight (per standard deviation)", xTicks: [0, 0.2, 0.4, 0.6, 0.8, 1],
        yTicks: [-40, -20, 0, 20, 40],
      });
    }

    const ring = (cx, cy) => `M${(cx - 2.5).toFixed(1)} ${cy.toFixed(1)}a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0`;

    function drawRows({ ridge, dropout }, charged) {
      const across = base.linear([-42, 42], [38, 256]), down = base.linear([0, 1], [226, 226]);
      const parts = [
        make("text", { x: 0, y: 14 }, "bar: ridge, circle: dropout"),
        make("text", { x: 316, y: 14, "text-anchor": "end" }, "dropout's λ"),
        make("line", { x1: across(0), x2: across(0), y1: 22, y2: 226, stroke: "var(--line)" }),
      ];
      DATA.names.forEach((name, j) => {
        const level = 34 + 20 * j;
        const [bar, dot] = [ridge[j], dropout[j]].map((weight) => across(weight).toFixed(1));
        parts.push(
          make("text", { x: 32, y: level + 4, "text-anchor": "end" }, name),
          make("path", {
            d: `M${bar} ${level - 7}v14M${bar} ${level}H${dot}`, stroke: "var(--ink)", "stroke-width": 1.6,
          }),
          make("circle", { ...pen(name), cx: dot, cy: level, r: 4.5, fill: colour(name), "fill-opacity": 0.6 }),
          make("text", { x: 316, y: level + 4, "text-anchor": "end" }, text(charged[j], 2)),
        );
      });
      rows.plot.replaceChildren(...parts);
      base.axes(rows, across, down, { xLabel: "weight", xTicks: [-40, -20, 0, 20, 40], yTicks: 0 });
    }

    base.drag(paths, ([place]) => model.set("p", x.invert(place)));
    model.on("change", draw);
    draw();
  },
};
