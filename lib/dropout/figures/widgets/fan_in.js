/* Same variance, other noise: the sum of n inputs under coins and under normal numbers (chapter 05). */

export const about = {
  title: "Many like inputs forget the coin, unless one of them dominates",
  words:
    "A unit adds up n inputs, each times a coin or times a normal number of the same mean and variance. Move n; " +
    "then let one input dominate.",
};

export const FANS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

export const controls = [
  {
    key: "size", label: "fan-in n", type: "range", min: 0, max: FANS.length - 1, step: 1, value: 7,
    show: (k) => String(FANS[k]),
  },
  { key: "p", label: "rate p", type: "range", min: 0.1, max: 0.9, step: 0.05, value: 0.2 },
  { key: "inputs", label: "inputs", type: "choice", options: { alike: "alike", one: "one dominates" }, value: "alike" },
  {
    key: "share", label: "its share of the noise", type: "range", min: 0.2, max: 0.9, step: 0.1, value: 0.8,
    show: (s) => `${Math.round(100 * s)} %`,
  },
];

/* The distribution function of the standard normal law (Marsaglia 2004). */
export function normalBelow(z) {
  if (Math.abs(z) > 9) return z < 0 ? 0 : 1;
  let sum = z;
  for (let term = z, k = 3; sum + (term *= (z * z) / k) !== sum; k += 2) sum += term;
  return 0.5 + (sum * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
}

/* The chances of k = first, first + 1, ... kept coins of n; those below 1e-15 of the greatest are left out. */
export function binomial(n, p) {
  const q = 1 - p;
  const mode = Math.min(n, Math.floor((n + 1) * q));
  const up = [1], down = [];
  for (let k = mode, c = 1; k < n && c > 1e-15; k++) up.push((c *= ((n - k) * q) / ((k + 1) * p)));
  for (let k = mode, c = 1; k > 0 && c > 1e-15; k--) down.push((c *= (k * p) / ((n - k + 1) * q)));
  const all = [...down.reverse(), ...up];
  const total = all.reduce((sum, each) => sum + each, 0);
  return { first: mode - down.length, chances: all.map((each) => each / total) };
}

/* What the large input sends if the others send 1 and it is to bring a share of the noise; no less than they. */
export const large = (n, share) => (n > 1 ? Math.max(1, Math.sqrt(((n - 1) * share) / (1 - share))) : 1);

/* The exact law of the sum z of n - 1 inputs of 1 and one of a: {mean, variance, step, atoms}.

   Each atom is [place in standard deviations from the mean, chance, place, whether the large input is kept];
   `step` is the distance of neighbours under one fate of the large input. */
export function law(n, p, a = 1) {
  const q = 1 - p;
  const mean = n - 1 + a;
  const variance = (p / q) * (n - 1 + a * a);
  const sd = Math.sqrt(variance);
  const comb = ({ first, chances }, from, chance, kept) =>
    chances.map((each, k) => [((from + first + k) / q - mean) / sd, chance * each, (from + first + k) / q, kept]);
  const others = binomial(n - 1, p);
  const atoms =
    a === 1 ? comb(binomial(n, p), 0, 1, true) : [...comb(others, 0, p, false), ...comb(others, a, q, true)];
  return { mean, variance, step: 1 / q / sd, atoms: atoms.sort((one, two) => one[0] - two[0]) };
}

/* Where the chances of a sum below c, or of one of at most c, differ most: {gap, c, z, coins, normal, within}. */
export function gap({ atoms }) {
  let best = { gap: 0 };
  let coins = 0;
  for (const [z, chance, c] of atoms) {
    const normal = normalBelow(z);
    for (const within of [false, true]) {
      if (within) coins += chance;
      const apart = Math.abs(coins - normal);
      if (apart > best.gap + 1e-12) best = { gap: apart, c, z, coins, normal, within };
    }
  }
  return best;
}

/* What the gap tends to as n grows, if one input keeps its share: a coin's two values plus a normal number. */
export function limit(p, share) {
  const q = 1 - p;
  const sd = Math.sqrt(1 - share);
  const low = -Math.sqrt((share * q) / p), high = Math.sqrt((share * p) / q);
  const apart = (z) =>
    Math.abs(p * normalBelow((z - low) / sd) + q * normalBelow((z - high) / sd) - normalBelow(z));
  let at = 0;
  for (let z = -5; z <= 5; z += 0.05) if (apart(z) > apart(at)) at = z;
  for (let h = 0.05; h > 1e-9; h /= 2)
    at = [at - h, at, at + h].reduce((best, z) => (apart(z) > apart(best) ? z : best));
  return apart(at);
}

/* Atoms spread over bars of this width, as steps [place, height from there on]; only those that `pick` takes. */
export function steps(atoms, width, pick = () => true) {
  const edges = atoms.filter(pick).flatMap(([z, chance]) => [
    [z - width / 2, chance / width],
    [z + width / 2, -chance / width],
  ]);
  edges.sort((one, two) => one[0] - two[0]);
  const out = [];
  let height = 0;
  for (const [z, change] of edges) {
    height += change;
    if (out.length && z - out.at(-1)[0] < 1e-9) out.at(-1)[1] = height;
    else out.push([z, height]);
  }
  return out;
}

const plural = (n) => (n === 1 ? "" : "s");
const density = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const bars = base.panel(el, { height: 256, label: "The law of the sum under coins, and under normal numbers" });
    const lines = base.panel(el, { height: 256, label: "The largest gap between the two, by fan-in" });
    const said = base.sentence(el, "min-height: clamp(5.6em, 5.6em + 34rem - 100vw, 9.8em)");
    const x = base.linear([-5, 5], [30, 316]), y = base.linear([0, 1], [212, 40]);
    const across = base.linear([0, 10], [36, 254]), up = base.linear([0, 0.55], [212, 40]);
    const bell = base.path(Array.from({ length: 101 }, (_, k) => {
      const z = k / 10 - 5;
      return [x(z), y(density(z))];
    }));
    const known = new Map(); // lines that were drawn before
    const line = (p, share) => {
      const key = `${p} ${share}`;
      if (!known.has(key)) known.set(key, FANS.map((n) => gap(law(n, p, share ? large(n, share) : 1)).gap));
      return known.get(key);
    };

    function draw() {
      const [size, p, share] = ["size", "p", "share"].map(model.get);
      const one = model.get("inputs") === "one";
      const n = FANS[size];
      const a = one ? large(n, share) : 1;
      const sum = law(n, p, a);
      const widest = gap(sum);
      drawBars(sum, widest, n, p, a);
      drawLines(size, p, share, one);
      const many = (count) => `${count} input${plural(count)} of 1`;
      const percent = `${Math.round(100 * share)} %`;
      const short = one && n > 1 && n * share < 1 - 1e-9 ? ` (for one to bring only ${percent}, n must be larger)` : "";
      said(
        a === 1 ? many(n) + short : `${many(n - 1)} and one of ${text(a, 1)}`,
        `. Under either noise the sum z has mean ${text(sum.mean, a === 1 ? 0 : 1)} and variance `,
        make("b", {}, text(sum.variance, 2)),
        `. At c = ${text(widest.c, 2)} the chance of z ${widest.within ? "≤" : "<"} c is `,
        make("b", {}, text(widest.coins, 3)), " with coins and ", make("b", {}, text(widest.normal, 3)),
        " with normal numbers: the widest gap, ", make("b", {}, text(widest.gap, 3)), ". As n grows ",
        one ? `and the one keeps its ${percent} ` : "", "the gap goes to ",
        one ? make("b", {}, text(limit(p, share), 3)) : "0", one ? ", not to 0." : ".",
      );
    }

    function outline(points) {
      const d = [[x(-5), y(0)]];
      for (const [z, height] of points) {
        const place = x(Math.max(-5, Math.min(5, z)));
        d.push([place, d.at(-1)[1]], [place, y(Math.max(0, height))]);
      }
      return base.path([...d, [x(5), y(0)]]);
    }

    function drawBars({ mean, variance, step, atoms }, { z }, n, p, a) {
      const sd = Math.sqrt(variance);
      const width = Math.min(step, 1);
      const all = steps(atoms, width), lost = steps(atoms, width, ([, , , kept]) => !kept);
      const whole = outline(all), part = a === 1 ? "" : outline(lost);
      const parts = [
        make("path", { d: whole + part, fill: "var(--c-blue)", "fill-opacity": 0.4, "fill-rule": "evenodd" }),
        make("path", { d: whole, fill: "none", stroke: "var(--c-blue)" }),
        make("path", { d: bell, fill: "none", stroke: "var(--ink)", "stroke-width": 1.8 }),
        make("line", { x1: x(z), x2: x(z), y1: y(0), y2: y(1), stroke: "var(--ink)", "stroke-dasharray": "3 3" }),
        make("text", { x: x(z) + (z > 0 ? 4 : -4), y: y(1) + 9, "text-anchor": z > 0 ? "start" : "end" }, "c"),
        make("text", { x: 0, y: 12 }, `Bars: ${n} coin${plural(n)}. Line: ${n} normal number${plural(n)}.`),
      ];
      if (a !== 1) {
        parts.unshift(make("path", { d: part, fill: "var(--c-orange)", "fill-opacity": 0.75, class: "lost" }));
        const top = (at) =>
          Math.max(density(at), ...all.filter(([place]) => Math.abs(place - at) < 1).map(([, height]) => height));
        const low = (n - 1 - mean) / sd, high = (n - 1 + a / (1 - p) - mean) / sd;
        parts.push(make("text", { x: x(low), y: y(top(low)) - 6, "text-anchor": "end" }, "it is dropped"));
        parts.push(make("text", { x: x(high), y: y(top(high)) - 6 }, "it is kept"));
      }
      bars.plot.replaceChildren(...parts);
      const labels = { xLabel: "sum z, a tick every two std", yLabel: "density (area: chance)" };
      base.axes(bars, x, y, { ...labels, xTicks: 0, yTicks: [0, 0.5, 1] });
      marks(bars, [-4, -2, 0, 2, 4].map((k) => [x(k), text(mean + k * sd, sd < 10 ? 1 : 0)]));
    }

    function drawLines(size, p, share, one) {
      const both = [line(p, 0), line(p, share)];
      const ends = both.map((each) => up(each.at(-1)));
      if (Math.abs(ends[0] - ends[1]) < 15) ends[both[0].at(-1) < both[1].at(-1) ? 1 : 0] = Math.max(...ends) - 15;
      const parts = both.flatMap((each, k) => {
        const stroke = k ? "var(--c-vermillion)" : "var(--c-blue)";
        return [
          make("path", {
            d: base.path(each.map((value, j) => [across(Math.log2(FANS[j])), up(value)])), fill: "none", stroke,
            "stroke-width": k === Number(one) ? 2.4 : 1.2, "stroke-dasharray": k ? "6 3" : false,
          }),
          make("text", { x: across(10) + 5, y: ends[k] + 4 }, k ? `one: ${Math.round(100 * share)} %` : "alike"),
        ];
      });
      const [cx, cy] = [across(Math.log2(FANS[size])), up(both[Number(one)][size])];
      const fill = one ? "var(--c-vermillion)" : "var(--c-blue)";
      parts.push(
        make("line", { x1: cx, x2: cx, y1: cy, y2: up(0), stroke: "var(--ink)", "stroke-dasharray": "3 3" }),
        make("circle", { cx, cy, r: 5, fill, stroke: "var(--paper)" }),
      );
      lines.plot.replaceChildren(...parts);
      const labels = { xLabel: "fan-in n", yLabel: "largest gap between their chances" };
      base.axes(lines, across, up, { ...labels, xTicks: 0, yTicks: [0, 0.1, 0.2, 0.3, 0.4, 0.5] });
      marks(lines, [1, 4, 16, 64, 256, 1024].map((n) => [across(Math.log2(n)), String(n)]));
    }

    /* Ticks along the foot of a panel, with words of their own. */
    function marks(panel, given) {
      for (const [place, word] of given) {
        panel.axes.append(
          make("line", { x1: place, x2: place, y1: 212, y2: 216 }),
          make("text", { x: place, y: 229, "text-anchor": "middle" }, word),
        );
      }
    }

    base.drag(lines, ([place]) => {
      const wanted = across.invert(place);
      const far = FANS.map((n) => Math.abs(Math.log2(n) - wanted));
      model.set("size", far.indexOf(Math.min(...far)));
    });
    model.on("change", draw);
    draw();
  },
};
