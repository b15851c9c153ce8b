/* The two scalings: vanilla and inverted dropout on the same masks, draw by draw (chapter 03). */

export const about = {
  title: "Vanilla or inverted, each mean approaches its own evaluation",
  words:
    "Four units under the same masks, scaled in two ways. A line is the mean of what a unit has sent so far; " +
    "dashed is what it sends in evaluation. Take more draws, then move the rate: which dashed lines move?",
};

export const H = [0.5, 1, 1.5, 2];
const SEED = 2015;
const MOST = 20000;

export const controls = [
  { key: "p", label: "rate p", type: "range", min: 0, max: 0.9, step: 0.05, value: 0.5 },
  {
    key: "draws", label: "draws", type: "choice", value: "100",
    options: { 1: "1", 10: "10", 100: "100", 1000: "1000", 10000: "10000" },
  },
  { key: "more", label: "One more", type: "count", value: 0 },
];

/* What survivors are multiplied by in training, and all units in evaluation. */
export const ways = (base, p) => ({
  vanilla: { training: 1, evaluation: 1 - base.threshold(p) / 65536 },
  inverted: { training: base.invertedScale(p), evaluation: 1 },
});

/* The 16-bit coins of the units in n draws, the step of the key being the draw; `known` is lengthened. */
export function coins(base, n, known = []) {
  for (let draw = known.length / H.length; draw < n; draw++)
    known.push(...base.lanes({ seed: SEED, step: draw }, H.length));
  return known;
}

/* Which units the draw of that number keeps, from 1. */
export const kept = (base, tossed, p, draw) =>
  H.map((_, unit) => (tossed[(draw - 1) * H.length + unit] < base.threshold(p) ? 0 : 1));

/* How often each unit was kept in the first d draws, for each d of an ascending list. */
export function tally(base, tossed, p, list) {
  const below = base.threshold(p);
  const count = H.map(() => 0);
  let draw = 0;
  return list.map((d) => {
    for (; draw < d; draw++)
      for (let unit = 0; unit < H.length; unit++) if (tossed[draw * H.length + unit] >= below) count[unit]++;
    return [...count];
  });
}

/* Some numbers of draws from 1 to n, evenly spaced to the eye on a log scale. */
export const looks = (n) =>
  [...new Set(Array.from({ length: 41 }, (_, k) => Math.round(n ** (k / 40))))].sort((a, b) => a - b);

const LEFT = 80, WIDE = 60, TOP = 26, BOTTOM = 172, HIGHEST = 4.2;
const SOFT = "fill: var(--soft)";
const COLOUR = { vanilla: "var(--c-vermillion)", inverted: "var(--c-blue)" };
const HEAD = {
  vanilla: ["Vanilla", "training m h, evaluation q h"],
  inverted: ["Inverted", "training m h / q, evaluation h"],
};

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const panels = Object.fromEntries(
      Object.keys(HEAD).map((way) => [
        way,
        base.panel(el, { height: 274, className: way, label: `${HEAD[way].join(" dropout: ")}. Means so far.` }),
      ]),
    );
    const said = base.sentence(el);
    base.predict(el, {
      question: "Guess first: at p = 0.8, by what does inverted dropout multiply the survivors?",
      min: 0, max: 100, step: 0.1,
      truth: () => base.invertedScale(0.8),
      told: (guess, truth) =>
        (Math.abs(guess - truth) < 0.05 ? "Yes, " : `You said ${guess}; it is `) +
        `${text(truth, 1)}. One unit in five stays, so it stands for five.`,
      done: () => model.set("p", 0.8),
    });

    const known = [];
    const y = base.linear([0, HIGHEST], [BOTTOM, TOP]);
    const symbols = (words) =>
      words.split(/(\b[mhq]\b)/).map((part, k) => (k % 2 ? make("tspan", { "font-style": "italic" }, part) : part));
    const sends = (value) => (value ? text(value, 2).replace(/0$/, "") : "0");
    let asked;
    const accept = () => (asked = model.get("draws"));

    function draw() {
      if (model.get("draws") !== asked) {
        accept();
        model.set("more", 0); // from there on one by one again
      }
      const p = model.get("p");
      const n = Math.min(Number(asked) + model.get("more"), MOST);
      const list = looks(n);
      const tossed = coins(base, n, known);
      const counts = tally(base, tossed, p, list);
      const stays = kept(base, tossed, p, n);
      const factors = ways(base, p);
      for (const way of Object.keys(HEAD)) drawWay(way, { n, list, counts, stays, factor: factors[way] });
      const share = counts.at(-1)[1] / n; // of the unit of value 1
      const { vanilla, inverted } = factors;
      const or = p ? " or 0" : ", never 0,";
      said(
        "A unit of value 1 is sent as ", make("b", {}, sends(inverted.training)), `${or} by inverted dropout, as `,
        make("b", {}, "1.0"), `${or} by vanilla. Mean of ${n === 1 ? "1 draw" : `${n} draws`}: `,
        make("b", {}, text(share * inverted.training, 3)), " and ", make("b", {}, text(share, 3)),
        `. Vanilla sends q = ${text(vanilla.evaluation, 2)} times what inverted sends: in each draw, in the mean, ` +
          "in evaluation.",
      );
    }

    function drawWay(way, { n, list, counts, stays, factor }) {
      const panel = panels[way];
      const colour = COLOUR[way];
      const [name, formula] = HEAD[way];
      const parts = [
        make("text", { x: 0, y: 13 }, make("tspan", { "font-weight": 650 }, `${name}: `), ...symbols(formula)),
        make("text", { x: 0, y: y(4) + 4, style: SOFT }, "sent on"),
      ];
      for (const value of [0, 1, 2, 3, 4])
        parts.push(make("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end", style: SOFT }, String(value)));
      const line = (row) => BOTTOM + 18 + 19 * row + (row ? 6 : 0);
      ["draws", "activation h", "last draw", "mean so far", "evaluation"].forEach((label, row) =>
        parts.push(make("text", { x: 0, y: line(row), style: SOFT }, ...symbols(label))),
      );
      const cell = (unit, row, words, more = {}) =>
        parts.push(
          make("text", { x: LEFT + WIDE * (unit + 0.5) - 3, y: line(row), "text-anchor": "middle", ...more }, words),
        );
      H.forEach((h, unit) => {
        const left = LEFT + WIDE * unit;
        const x = (d) => left + 5 + (n > 1 ? Math.log(d) / Math.log(n) : 0.5) * (WIDE - 16);
        const means = list.map((d, k) => (h * factor.training * counts[k][unit]) / d);
        const points = list.map((d, k) => [x(d), y(Math.min(means[k], HIGHEST))]);
        const mean = means.at(-1);
        const [endX, endY] = points.at(-1);
        const high = mean > HIGHEST;
        const level = y(h * factor.evaluation);
        parts.push(
          make("rect", { x: left, y: TOP, width: WIDE - 6, height: BOTTOM - TOP, rx: 3, fill: "var(--field)" }),
          make("path", {
            d: `M${left} ${level.toFixed(1)}h${WIDE - 6}`, class: "evaluation", stroke: "var(--ink)",
            "stroke-width": 1.6, "stroke-dasharray": "4 3",
          }),
          make("path", { d: base.path(points), class: "mean", fill: "none", stroke: colour, "stroke-width": 1.8 }),
          make("path", {
            d: high
              ? `M${(endX - 5).toFixed(1)} ${TOP + 8}h10l-5-8z`
              : `M${(endX - 4).toFixed(1)} ${endY.toFixed(1)}a4 4 0 1 0 8 0a4 4 0 1 0-8 0z`,
            class: high ? "end beyond" : "end", fill: colour,
          }),
        );
        cell(unit, 0, n > 1 ? `1–${n}` : "1", { style: SOFT });
        cell(unit, 1, String(h));
        cell(unit, 2, sends(stays[unit] * factor.training * h), { class: "last" });
        cell(unit, 3, text(mean, 3), { class: "so-far", "font-weight": 650 });
        cell(unit, 4, text(h * factor.evaluation, 3), { class: "sent" });
      });
      panel.plot.replaceChildren(...parts);
    }

    base.onReset(accept); // a link says how many more, too
    model.on("change", draw);
    accept();
    draw();
  },
};
