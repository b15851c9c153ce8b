/* The variance shift: what a batch norm stores in training and what it meets in evaluation (chapter 08). */

export const about = {
  title: "Dropout below a batch norm makes it store too large a variance",
  words:
    "Follow units of mean c and variance 1, in training and in evaluation. Move the rate, the mean and " +
    "the place; then renew the statistics.",
};

const SHORT = { direct: "right before", between: "between", after: "after" };
const TOGETHER = { alone: [0, 0], cancel: [0.1, 0], some: [0.1, 0.1], all: [0.1, 1] }; // ρ, cos²θ
const width = (exponent) => Math.round(2 ** exponent);

export const controls = [
  {
    key: "place", label: "dropout", type: "choice", value: "direct",
    options: { direct: "right before batch norm", between: "weights between", after: "after it" },
  },
  { key: "p", label: "rate p", type: "range", min: 0, max: 0.8, step: 0.05, value: 0.5 },
  { key: "c", label: "mean c", type: "range", min: 0, max: 2, step: 0.1, value: 1 },
  {
    key: "together", label: "inputs, weights", type: "choice", value: "some",
    options: { alone: "uncorrelated", cancel: "weights cancel", some: "agree a little", all: "equal weights" },
  },
  {
    key: "d", label: "inputs d", type: "range", min: 1, max: 10, step: 0.5, value: 5,
    show: (exponent) => String(width(exponent)),
  },
  {
    key: "statistics", label: "statistics", type: "choice", value: "training",
    options: { training: "from training", on: "update_bn", off: "renewed, dropout off" },
  },
];

/* The variance wᵀΣw of a unit above d inputs of variance 1 and correlation ρ, for weights of length 1. */
export const clean = ({ d, together }) => {
  const [rho, cos2] = TOGETHER[together];
  return 1 + rho * (d * cos2 - 1);
};

/* What the masks add to a variance: (p/q)(c² + v), with v = 1. */
export const noise = ({ p, c }) => (p / (1 - p)) * (c * c + 1);

/* The variance of a unit in both modes, stage by stage, and what its batch norm stores and meets. */
export function variances(given) {
  const added = noise(given);
  const stages = [["units", 1, 1]];
  let met = 1, stored = 1;
  if (given.place !== "after") {
    stages.push(["dropout", 1 + added, 1]);
    if (given.place === "between") {
      met = clean(given);
      stages.push(["weights", met + added, met]);
    }
    stored = met + added;
  }
  if (given.statistics === "off") stored = met;
  stages.push(["batch norm", 1, met / stored]); // in training it divides by the variance of the batch
  if (given.place === "after") stages.push(["dropout", 1 + noise({ p: given.p, c: 0 }), 1]);
  return { stages, stored, met, added, ratio: met / stored };
}

/* The fewest inputs with which the shift is at least `wanted`, with weights between. */
export function fewest({ p, c, together }, wanted) {
  const [rho, cos2] = TOGETHER[together];
  const needed = (wanted / (1 - wanted)) * noise({ p, c }); // of wᵀΣw
  return Math.ceil((needed - 1 + rho) / (rho * cos2) - 1e-9);
}

const QUESTION = { p: 0.5, c: 1, place: "between", together: "some", statistics: "training" };
const WANTED = 0.8;
const DASHES = { direct: false, between: "8 3", after: "2 3" };
const TOP = 24, BOTTOM = 222;

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const left = base.panel(el, { height: 266, label: "The variance of a unit from stage to stage, in both modes" });
    const right = base.panel(el, { height: 266, label: "The variance shift against the rate, for three places" });
    const said = base.sentence(el, "min-height: 4.2em");

    const log = base.linear([-1.6, 2.35], [BOTTOM, TOP]);
    const v = (value) => log(Math.log10(value));
    const x = base.linear([0, 0.8], [36, 214]);
    const y = base.linear([0, 1], [BOTTOM, TOP]);
    const line = (points, look) => make("path", { d: base.path(points), fill: "none", ...look });
    const shift = (given) => variances({ ...given, statistics: "training" }).ratio;

    function draw() {
      const given = Object.fromEntries(controls.map(({ key }) => [key, model.get(key)]));
      given.d = width(given.d);
      const found = variances(given);
      drawWay(found);
      drawShift(given, found);
      say(given, found);
    }

    function drawWay({ stages, stored }) {
      const last = stages.length - 1;
      const at = (k) => 58 + (k / last) * 216;
      const parts = [make("path", { d: `M36 ${TOP}V${BOTTOM}H316`, class: "live-frame" })];
      for (const value of [0.1, 1, 10, 100]) {
        parts.push(make("line", { x1: 32, x2: 36, y1: v(value), y2: v(value) }));
        parts.push(make("text", { x: 29, y: v(value) + 4, "text-anchor": "end" }, String(value)));
      }
      parts.push(make("text", { x: 2, y: 15, class: "live-label" }, "variance"));
      const drawn = [make("line", { x1: 36, x2: 316, y1: v(1), y2: v(1), stroke: "var(--line)" })];
      const ways = [1, 2].map((column) => stages.map((stage, k) => [at(k), v(stage[column])]));
      drawn.push(make("path", {
        d: `${base.path([...ways[0], ...[...ways[1]].reverse()])}Z`, fill: "var(--c-vermillion)", "fill-opacity": 0.14,
      }));
      drawn.push(line(ways[0], { stroke: "var(--c-vermillion)", "stroke-width": 2.2 }));
      drawn.push(line(ways[1], { stroke: "var(--c-blue)", "stroke-width": 2.2, "stroke-dasharray": "6 3" }));
      stages.forEach(([name, training, evaluation], k) => {
        const middle = { x: at(k), "text-anchor": "middle" };
        const number = { ...middle, style: "paint-order: stroke; stroke: var(--paper); stroke-width: 3px" };
        parts.push(make("line", { x1: at(k), x2: at(k), y1: BOTTOM, y2: BOTTOM + 4 }));
        parts.push(make("text", { ...middle, y: BOTTOM + 17, class: "live-label" }, name));
        if (name === "batch norm") {
          parts.push(make("text", { ...middle, y: BOTTOM + 34, class: "live-label" }, `stored ${text(stored)}`));
        }
        const [above, below] = [v(training), v(evaluation)];
        const apart = training / evaluation > 1.005;
        drawn.push(make("circle", { cx: at(k), cy: above, r: 4.5, fill: "var(--c-vermillion)" }));
        drawn.push(make("rect", { x: at(k) - 4, y: below - 4, width: 8, height: 8, fill: "var(--c-blue)" }));
        drawn.push(make("text", { ...number, y: above - 10 }, text(training)));
        if (apart) drawn.push(make("text", { ...number, y: below + 18 }, text(evaluation)));
        if (name === "dropout") {
          drawn.push(make("text", { ...middle, y: above - 25 }, apart ? "training" : "both"));
          if (apart) drawn.push(make("text", { ...middle, y: below + 33 }, "evaluation"));
        }
      });
      left.axes.replaceChildren(...parts);
      left.plot.replaceChildren(...drawn);
    }

    function drawShift(given, { ratio }) {
      const drawn = [], labels = [];
      for (const place of Object.keys(SHORT)) {
        const chosen = place === given.place;
        const look = {
          stroke: chosen ? "var(--ink)" : "var(--c-grey)",
          "stroke-width": chosen ? 2.6 : 1.6,
          "stroke-dasharray": DASHES[place],
        };
        const points = Array.from({ length: 41 }, (_, k) => [x(k / 50), y(shift({ ...given, place, p: k / 50 }))]);
        drawn.push(line(points, look));
        labels.push({ place, chosen, look, at: points.at(-1)[1] });
      }
      labels.sort((a, b) => b.at - a.at);
      labels.forEach((label, k) => {
        label.at = Math.min(label.at, k ? labels[k - 1].at - 17 : BOTTOM); // none over another
        drawn.push(line([[218, label.at], [234, label.at]], label.look));
        const place = { x: 238, y: label.at + 4, "font-weight": label.chosen ? 650 : false };
        drawn.push(make("text", place, SHORT[label.place]));
      });
      const px = x(given.p), from = y(shift(given)), to = y(ratio);
      if (from - to > 12) {
        const d = `M${px} ${from - 3}V${to + 9}m-4 5l4 -6l4 6`;
        drawn.push(make("path", { d, fill: "none", stroke: "var(--c-blue)", "stroke-width": 1.6 }));
        const side = given.p < 0.4 ? { x: px + 10 } : { x: px - 10, "text-anchor": "end" };
        if (from - to > 60) drawn.push(make("text", { ...side, y: (from + to) / 2 }, "renewed"));
      }
      drawn.push(make("circle", { cx: px, cy: to, r: 6, fill: "var(--c-blue)", stroke: "var(--paper)" }));
      right.plot.replaceChildren(...drawn);
    }

    function say(given, { stored, met, added, ratio }) {
      const { place, statistics, together } = given;
      const bold = (value) => make("b", {}, text(value));
      const parts = [];
      if (place === "after") {
        parts.push("The batch norm stores ", bold(stored), " and meets ", bold(met));
        parts.push(given.p ? ". Units drop above it all the same, but no batch norm stores their noise." : ".");
      } else if (statistics === "off") {
        parts.push("The batch norm, renewed with dropout off, stores ", bold(stored), " and meets ", bold(met));
        parts.push(": what leaves it in evaluation is as wide as in training.");
      } else {
        const again = "update_bn leaves dropout on: the batch norm again stores ";
        parts.push(statistics === "on" ? again : "The batch norm stored ", bold(stored));
        parts.push(`, ${text(met)} of it from the data and ${text(added)} from the masks, and meets `, bold(met));
        parts.push(": a shift of ", bold(ratio), ". What leaves it in evaluation is ");
        parts.push(bold(Math.sqrt(ratio)), " times as wide as in training.");
      }
      const [rho, cos2] = TOGETHER[together];
      if (place === "between") parts.push(rho ? ` (ρ = ${rho}, cos²θ = ${cos2}.)` : " (ρ = 0.)");
      said(...parts);
    }

    base.axes(right, x, y, { xLabel: "rate p", yLabel: "variance shift", xTicks: 4, yTicks: 5 });
    base.drag(right, ([px]) => model.set("p", x.invert(px)));
    base.predict(el, {
      question:
        "With p = 0.5, c = 1 and weights between that agree a little: how many inputs d make the shift 0.8?",
      min: 2, max: 1e6, step: 1,
      truth: () => fewest(QUESTION, WANTED),
      told: (d, found) => `You said ${d}, where it is ${text(shift({ ...QUESTION, d }))}. It takes ${found}.`,
      done() {
        for (const [key, value] of Object.entries(QUESTION)) model.set(key, value);
        model.set("d", 9.5); // the first on the slider
      },
    });
    model.on("change", draw);
    draw();
  },
};
