/* The thinned network: what one mask leaves of a network, drawn unit by unit (chapter 02). */

export const about = {
  title: "A dropped unit takes its edges with it",
  words:
    "Each example of a batch gets a network of its own, and another one at the next draw. In " +
    "evaluation nothing is dropped.",
};

const NETS = { "5": [5], "3-5-4-2": [3, 5, 4, 2], "4-8-8-3": [4, 8, 8, 3] };
const EXAMPLES = 4;
const SEED = 2014;

export const controls = [
  { key: "p", label: "rate p", type: "range", min: 0, max: 0.95, step: 0.05, value: 0.5 },
  { key: "step", label: "New draw", type: "count", value: 0 },
  { key: "example", label: "example", type: "choice", options: { 1: "1", 2: "2", 3: "3", 4: "4" }, value: "1" },
  { key: "mode", label: "mode", type: "choice", options: { train: "train()", eval: "eval()" }, value: "train" },
  {
    key: "net", label: "network", type: "choice", value: "3-5-4-2",
    options: { "5": "one layer", "3-5-4-2": "small", "4-8-8-3": "larger" },
  },
];

/* Which layers of a network drop: the hidden ones, or the only one. */
export const hidden = (sizes) => sizes.map((_, k) => sizes.length === 1 || (k > 0 && k < sizes.length - 1));

/* For each layer its masks, EXAMPLES rows of 0 and 1: keep_mask of (EXAMPLES, units), stream = layer. */
export function masks(base, sizes, { p, step, training }) {
  return sizes.map((units, layer) =>
    training && hidden(sizes)[layer]
      ? base.keepMask({ seed: SEED, stream: layer, step }, EXAMPLES * units, p)
      : new Uint8Array(EXAMPLES * units).fill(1),
  );
}

/* How many hidden units and edges an example's masks leave, of how many, and on average. */
export function counts(base, sizes, drawn, example, { p, training }) {
  const rate = training ? base.threshold(p) / 65536 : 0;
  const row = drawn.map((mask, layer) => mask.slice(example * sizes[layer], (example + 1) * sizes[layer]));
  const kept = row.map((mask) => mask.reduce((sum, each) => sum + each, 0));
  const drops = hidden(sizes);
  const sum = (of) => sizes.reduce((total, _, k) => total + of(k), 0);
  const edge = (of) => (k) => (k ? of(k - 1) * of(k) : 0);
  const stays = (k) => (drops[k] ? 1 - rate : 1);
  return {
    row,
    units: { kept: sum((k) => drops[k] * kept[k]), all: sum((k) => drops[k] * sizes[k]), mean: sum((k) => drops[k] * sizes[k] * stays(k)) },
    edges: { kept: sum(edge((k) => kept[k])), all: sum(edge((k) => sizes[k])), mean: sum(edge((k) => sizes[k] * stays(k))) },
  };
}

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const network = base.panel(el, { height: 250, label: "A network and what a mask leaves of it" });
    const batch = base.panel(el, { height: 250, label: "The masks of four examples" });
    const said = base.sentence(el);

    function draw() {
      const sizes = NETS[model.get("net")];
      const training = model.get("mode") === "train";
      const given = { p: model.get("p"), step: model.get("step"), training };
      const example = Number(model.get("example")) - 1;
      const drawn = masks(base, sizes, given);
      const { row, units, edges } = counts(base, sizes, drawn, example, given);
      drawNetwork(sizes, row);
      drawBatch(sizes, drawn, example, given);
      const scale = training ? base.invertedScale(given.p) : 1;
      const parts = [make("b", {}, `${units.kept} of ${units.all}`), ` units stay (${text(units.mean, 1)} on average)`];
      if (edges.all) parts.push(", ", make("b", {}, `${edges.kept} of ${edges.all}`), ` edges (${text(edges.mean, 1)})`);
      said(...parts, training ? `; what the survivors send is multiplied by ${text(scale, 3)}.` : ": evaluation.");
    }

    function drawNetwork(sizes, row) {
      const x = (layer) => (sizes.length === 1 ? 160 : 24 + (layer / (sizes.length - 1)) * 272);
      const y = (layer, unit) => 125 + (unit - (sizes[layer] - 1) / 2) * Math.min(46, 230 / sizes[layer]);
      const lines = [], dots = [];
      sizes.forEach((units, layer) => {
        for (let i = 0; i < units; i++) {
          for (let j = 0; layer && j < sizes[layer - 1]; j++) {
            const stays = row[layer][i] && row[layer - 1][j];
            lines.push(make("line", {
              x1: x(layer - 1), y1: y(layer - 1, j), x2: x(layer), y2: y(layer, i),
              stroke: stays ? "var(--c-blue)" : "var(--line)", "stroke-width": stays ? 1.4 : 0.6,
              "stroke-dasharray": stays ? false : "2 3",
            }));
          }
          const on = row[layer][i];
          const radius = Math.min(13, 92 / Math.max(...sizes));
          dots.push(make("circle", {
            cx: x(layer), cy: y(layer, i), r: radius, class: on ? "on" : "off",
            fill: on ? "var(--c-blue)" : "var(--paper)", stroke: on ? "var(--c-blue)" : "var(--c-grey)",
            "stroke-dasharray": on ? false : "2 2",
          }));
          if (!on) {
            const r = radius * 0.5;
            dots.push(make("path", {
              d: `M${x(layer) - r} ${y(layer, i) - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
              stroke: "var(--c-grey)", "stroke-width": 1.4,
            }));
          }
        }
      });
      network.plot.replaceChildren(...lines, ...dots);
    }

    function drawBatch(sizes, drawn, example, { training }) {
      const shown = sizes.map((_, layer) => layer).filter((layer) => hidden(sizes)[layer]);
      const columns = shown.reduce((sum, layer) => sum + sizes[layer], 0) + shown.length - 1;
      const side = Math.min(26, 250 / columns);
      const parts = [make("text", { x: 0, y: 16 }, training ? "The same draw: a mask for each example" : "Evaluation: no mask")];
      for (let r = 0; r < EXAMPLES; r++) {
        const top = 36 + r * 50;
        if (r === example)
          parts.push(make("rect", { x: 0, y: top - 7, width: 320, height: 40, rx: 4, fill: "var(--field)", stroke: "var(--line)" }));
        parts.push(make("text", { x: 8, y: top + 18 }, String(r + 1)));
        let left = 34;
        for (const layer of shown) {
          for (let i = 0; i < sizes[layer]; i++, left += side) {
            const on = drawn[layer][r * sizes[layer] + i];
            parts.push(make("rect", {
              x: left, y: top, width: side - 3, height: 26, rx: 2,
              fill: on ? "var(--c-blue)" : "none", stroke: on ? "var(--c-blue)" : "var(--c-grey)",
              "stroke-dasharray": on ? false : "2 2",
            }));
          }
          left += side;
        }
      }
      batch.plot.replaceChildren(...parts);
    }

    model.on("change", draw);
    draw();
  },
};
