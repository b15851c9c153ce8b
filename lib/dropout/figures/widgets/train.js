/* Train it here: two networks from the same first weights, one of them with dropout (chapter 01). */

export const about = {
  title: "A network can learn wrong labels by heart, and dropout can hold it back",
  words:
    "Two networks, alike but for dropout, learn the same 100 points; ringed ones carry a wrong label. The stronger " +
    "the colour, the surer the network in evaluation. Change a setting and press Run: when is dropout no help?",
};

const TRAIN = 100, TEST = 500, BATCH = 50;
export const STEPS = 2000;
const EVERY = 25; // steps between two measurements
const MOMENTUM = 0.9;
const BAND = 0.2; // half of a moon's breadth
const MASKS = [1, 2], POINTS = [7, 8], WEIGHTS = 9, ORDER = 10; // streams of a run's seed

const options = (...values) => Object.fromEntries(values.map((value) => [value, value]));

export const controls = [
  { key: "p", label: "rate p", type: "range", min: 0, max: 0.9, step: 0.1, value: 0.5 },
  {
    key: "noise", label: "wrong labels", type: "range", min: 0, max: 0.3, step: 0.05, value: 0.15,
    show: (value) => `${Math.round(100 * value)} %`,
  },
  { key: "width", label: "width", type: "choice", options: options("8", "16", "32", "64"), value: "32" },
  { key: "lr", label: "learning rate", type: "choice", options: options("0.01", "0.03", "0.1", "0.3"), value: "0.1" },
  { key: "decay", label: "weight decay", type: "choice", options: options("0", "0.001", "0.003", "0.01"), value: "0" },
  { key: "c", label: "max-norm c", type: "choice", options: options("off", "1", "2", "3"), value: "off" },
  { key: "seed", label: "New seed", type: "count", value: 0 },
];

/* ---- the task -------------------------------------------------------------------------------- */

/* Browsers differ in the last bit of a cosine, and a thousand steps make much of it. */
const rounded = (value) => Math.round(value * 2 ** 20) / 2 ** 20;

/* Which number is the least, which comes next, ... */
const order = (numbers) => Array.from(numbers.keys()).sort((a, b) => numbers[a] - numbers[b]);

/* Points of two half-moons that do not touch, in turn, and their labels, of which a share is wrong. */
export function points(base, key, n, noise) {
  const drawn = base.uniforms(key, 3 * n);
  const x = new Float64Array(2 * n);
  const y = new Uint8Array(n);
  for (let k = 0; k < n; k++) {
    const angle = Math.PI * drawn[3 * k];
    const radius = 1 + BAND * (2 * drawn[3 * k + 1] - 1);
    const [right, up] = [radius * Math.cos(angle), radius * Math.sin(angle)];
    y[k] = k % 2;
    x[2 * k] = rounded(y[k] ? 0.5 - right : right - 0.5);
    x[2 * k + 1] = rounded(y[k] ? 0.25 - up : up - 0.25);
  }
  const wrong = order(drawn.filter((_, k) => k % 3 === 2)).slice(0, Math.round(noise * n));
  for (const k of wrong) y[k] = 1 - y[k];
  return { x, y, wrong };
}

/* The loss of one who knows the moons and the share of wrong labels, but not which they are. */
export const best = (noise) => (noise ? -noise * Math.log(noise) - (1 - noise) * Math.log(1 - noise) : 0);

/* ---- the network: 2 inputs, two hidden layers of ReLU units, one output ---------------------- */

/* Where which parameters begin: 2 weights for each unit, its biases, weights (inputs x units), and so on. */
const places = (width) => {
  const b1 = 2 * width, w2 = b1 + width, b2 = w2 + width * width, w3 = b2 + width, b3 = w3 + width;
  return { b1, w2, b2, w3, b3, all: b3 + 1 };
};

/* First weights and biases, uniform within 1 / sqrt(inputs) of 0 as those of nn.Linear. */
export function firstWeights(base, seed, width) {
  const { w2, all } = places(width);
  const drawn = base.uniforms({ seed, stream: WEIGHTS }, all);
  return drawn.map((u, k) => (2 * u - 1) / Math.sqrt(k < w2 ? 2 : width));
}

export function network(first, width) {
  const [velocity, gradient] = [new Float64Array(first.length), new Float64Array(first.length)];
  return { width, weights: first.slice(), velocity, gradient };
}

/* The masks of a step for both hidden layers, a row of units for each point; null where nothing drops. */
export const masks = (base, { seed, p, width }, step) =>
  p ? MASKS.map((stream) => base.keepMask({ seed, stream, step }, BATCH * width, p)) : null;

/* Which points a step learns from: an epoch goes through all of them in an order of its own. */
export function batch(base, seed, step) {
  const each = TRAIN / BATCH;
  const epoch = Math.floor((step - 1) / each);
  const start = ((step - 1) % each) * BATCH;
  return order(base.uniforms({ seed, stream: ORDER, step: epoch }, TRAIN)).slice(start, start + BATCH);
}

const one = new Float64Array(64), two = new Float64Array(64), back = new Float64Array(64);

/* The output at a point, before the sigmoid; `one` and `two` hold what the hidden units send on. */
export function score({ weights, width }, x, y, drawn = null, scale = 1, row = 0) {
  const { b1, w2, b2, w3, b3 } = places(width);
  for (let i = 0; i < width; i++) two[i] = weights[b2 + i];
  for (let j = 0; j < width; j++) {
    const sum = weights[b1 + j] + x * weights[2 * j] + y * weights[2 * j + 1];
    const sent = sum > 0 && (!drawn || drawn[0][row * width + j]) ? sum * scale : 0;
    one[j] = sent;
    if (!sent) continue;
    for (let i = 0, at = w2 + j * width; i < width; i++, at++) two[i] += sent * weights[at];
  }
  let out = weights[b3];
  for (let i = 0; i < width; i++) {
    two[i] = two[i] > 0 && (!drawn || drawn[1][row * width + i]) ? two[i] * scale : 0;
    out += two[i] * weights[w3 + i];
  }
  return out;
}

/* The exponential by sums and products alone, which have the same bits in every browser. */
export function exp(value) {
  const x = Math.min(Math.max(value, -700), 700);
  const twos = Math.round(x / Math.LN2);
  let sum = 1;
  for (let n = 14; n > 0; n--) sum = 1 + (sum * (x - twos * Math.LN2)) / n;
  return sum * 2 ** twos;
}

/* The gradient of the mean cross-entropy of some points, of which each has its row of the masks. */
function differentiate(net, data, rows, drawn, scale) {
  const { weights, width, gradient } = net;
  const { b1, w2, b2, w3, b3 } = places(width);
  gradient.fill(0);
  for (let k = 0; k < rows.length; k++) {
    const [x, y] = [data.x[2 * rows[k]], data.x[2 * rows[k] + 1]];
    const out = score(net, x, y, drawn, scale, k);
    const error = (1 / (1 + exp(-out)) - data.y[rows[k]]) / rows.length;
    gradient[b3] += error;
    for (let i = 0; i < width; i++) {
      back[i] = two[i] ? error * weights[w3 + i] * scale : 0;
      gradient[w3 + i] += error * two[i];
      gradient[b2 + i] += back[i];
    }
    for (let j = 0; j < width; j++) {
      const sent = one[j];
      if (!sent) continue;
      let sum = 0;
      for (let i = 0, at = w2 + j * width; i < width; i++, at++) {
        gradient[at] += sent * back[i];
        sum += weights[at] * back[i];
      }
      gradient[b1 + j] += sum * scale;
      gradient[2 * j] += sum * scale * x;
      gradient[2 * j + 1] += sum * scale * y;
    }
  }
}

/* One step of SGD with momentum on some of the points, then max-norm where c is not 0. */
export function step(net, data, rows, { lr, decay, c }, drawn = null, scale = 1) {
  const { weights, velocity, gradient, width } = net;
  differentiate(net, data, rows, drawn, drawn ? scale : 1);
  for (let k = 0; k < weights.length; k++) {
    velocity[k] = MOMENTUM * velocity[k] + gradient[k] + decay * weights[k];
    weights[k] -= lr * velocity[k];
  }
  if (!c) return;
  const { w2, w3 } = places(width);
  const bound = (start, inputs, apart) => {
    let squares = 0;
    for (let k = 0; k < inputs; k++) squares += weights[start + k * apart] ** 2;
    const factor = c / Math.sqrt(squares);
    for (let k = 0; factor < 1 && k < inputs; k++) weights[start + k * apart] *= factor;
  };
  for (let i = 0; i < width; i++) {
    bound(2 * i, 2, 1);
    bound(w2 + i, width, width);
  }
  bound(w3, width, 1);
}

/* In evaluation: mean cross-entropy, accuracy, and how many of the wrong labels are given. */
export function measure(net, data) {
  let loss = 0;
  const right = data.y.map((label, k) => {
    const out = score(net, data.x[2 * k], data.x[2 * k + 1]);
    const margin = label ? out : -out;
    loss += Math.log1p(Math.exp(-Math.abs(margin))) + Math.max(-margin, 0);
    return out > 0 === label > 0;
  });
  const learned = data.wrong.reduce((sum, k) => sum + right[k], 0);
  return { loss: loss / right.length, accuracy: right.reduce((a, b) => a + b, 0) / right.length, learned };
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* A run before its first step: two networks, their points, and the log of what they do. */
export function begun(base, settings) {
  const { seed, noise, width } = settings;
  const [train, test] = [TRAIN, TEST].map((n, k) => points(base, { seed, stream: POINTS[k] }, n, noise));
  const first = firstWeights(base, seed, width);
  const nets = [network(first, width), network(first, width)];
  const same = assessed(nets[0], train, test);
  return { settings, step: 0, train, test, nets, log: [{ step: 0, each: [same, same] }] };
}

function assessed(net, train, test) {
  const [seen, unseen] = [measure(net, train), measure(net, test)];
  return { train: seen.loss, test: unseen.loss, accuracy: unseen.accuracy, learned: seen.learned };
}

/* An entry of the log: for each network its losses, test accuracy and repeated wrong labels. */
export const entry = ({ step, nets, train, test }) => ({ step, each: nets.map((net) => assessed(net, train, test)) });

/* One step of both networks, the second one with dropout. */
export function advance(base, run) {
  const { settings, nets, train } = run;
  run.step++;
  const rows = batch(base, settings.seed, run.step);
  step(nets[0], train, rows, settings);
  step(nets[1], train, rows, settings, masks(base, settings, run.step), base.invertedScale(settings.p));
  if (run.step % EVERY === 0) run.log.push(entry(run));
}

/* ---- pictures -------------------------------------------------------------------------------- */

const WIDE = 240, HIGH = 150, CELL = 7.5;
const COLUMNS = WIDE / CELL + 1, ROWS = HIGH / CELL + 1;
const across = (x) => WIDE / 2 + 62.5 * x;
const down = (y) => HIGH / 2 - 62.5 * y;
const LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95].map((chance) => Math.log(chance / (1 - chance)));

/* The outputs on a grid over the picture, row by row. */
export const surface = (net) =>
  Float64Array.from({ length: COLUMNS * ROWS }, (_, k) => {
    const [x, y] = [(k % COLUMNS) * CELL, Math.floor(k / COLUMNS) * CELL];
    const out = score(net, (x - WIDE / 2) / 62.5, (HIGH / 2 - y) / 62.5);
    return Math.min(Math.max(out, -40), 40) || 0; // a network may have blown up
  });

/* What is shown of a run: its log, and both surfaces. */
export const result = ({ log, nets }) => ({ log, surfaces: nets.map(surface) });

/* The outlines of where a grid's values exceed a level: closed loops of places [column, row].

   Around each cell, clockwise, every edge on which one leaves the region is joined to the next on
   which one enters it. What lies beyond the grid is outside. */
export function outline(values, columns, level) {
  const rows = values.length / columns;
  const wide = columns + 2;
  const inside = (i, j) => i >= 0 && j >= 0 && i < columns && j < rows && values[j * columns + i] > level;
  const next = new Map();
  for (let j = -1; j < rows; j++) {
    for (let i = -1; i < columns; i++) {
      const corner = [inside(i, j), inside(i + 1, j), inside(i + 1, j + 1), inside(i, j + 1)];
      if (corner[0] === corner[1] && corner[1] === corner[2] && corner[2] === corner[3]) continue;
      const at = (j + 1) * wide + i + 1; // of an edge to the right; the one down from there is odd
      const edge = [2 * at, 2 * at + 3, 2 * (at + wide), 2 * at + 1];
      for (let k = 0; k < 4; k++) {
        if (!corner[k] || corner[(k + 1) % 4]) continue;
        let to = k + 1;
        while (!corner[(to + 1) % 4]) to++;
        next.set(edge[k], edge[to % 4]);
      }
    }
  }
  const clamped = (value, size) => Math.min(Math.max(value, 0), size - 1);
  const place = (edge) => {
    const [i, j] = [((edge >> 1) % wide) - 1, Math.floor((edge >> 1) / wide) - 1];
    const [i2, j2] = edge % 2 ? [i, j + 1] : [i + 1, j];
    const within = i >= 0 && j >= 0 && i2 < columns && j2 < rows;
    const [from, to] = [values[j * columns + i], values[j2 * columns + i2]];
    const part = within ? (level - from) / (to - from) : 0;
    return [clamped(i, columns) + part * (i2 - i) * within, clamped(j, rows) + part * (j2 - j) * within];
  };
  const loops = [];
  for (const start of next.keys()) {
    const loop = [];
    for (let edge = start; next.has(edge); ) {
      loop.push(place(edge));
      const on = next.get(edge);
      next.delete(edge);
      edge = on;
    }
    if (loop.length) loops.push(loop);
  }
  return loops;
}

/* ---- the default run, stored by tests/browser/trained.py ------------------------------------- */

/* Two digits a loss, in thousandths, then accuracies and repeated labels at the end; a digit a value of a surface. */
const DIGITS = Array.from({ length: 92 }, (_, k) => String.fromCharCode(35 + k)).filter((each) => each !== "\\");

export function stored() {
  const digits = Array.from(STORED, (each) => DIGITS.indexOf(each));
  const pair = () => DIGITS.length * digits.shift() + digits.shift();
  const both = (read) => [read(), read()];
  const log = Array.from({ length: STEPS / EVERY + 1 }, (_, k) => {
    return { step: k * EVERY, each: both(() => ({ train: pair() / 1000, test: pair() / 1000 })) };
  });
  for (const net of log.at(-1).each) Object.assign(net, { accuracy: pair() / 1000, learned: pair() });
  const surfaces = both(() => {
    return Float64Array.from(digits.splice(0, COLUMNS * ROWS), (digit) => 2 * Math.log((digit + 0.5) / (90.5 - digit)));
  });
  return { log, surfaces };
}

const STORED = [
  "*R*]*R*](K(z(h).'}(Z(T(n'X(;(0(_'D(>(+(e'B(a'}(b'7(d's(Z'.(i'm(`&~(a'`({&u)*'^(f&p)I'Z(x&q)m'M(u&h)Q'V),&^*/'E)0&k",
  "*`'C(r&m+<'F)'&T*k';)6&a+*'>),&X+]'C)7&d+R'6)T&r,/'3)>&B,>'@)y&5,-'0*$&6,g'3*+&1,j'4)h&<-l'0)}&I-f'1*D&8-]',*?&z/9",
  "'5*T%x-c'9+7&;/9'0+,%y.W'#*~&?/k'#+h&A.F'+*k&(.d&{+H&-01&t*q%i/k&h+h%j0l&n+t%Q0X&|,:%P1J&}+e%Y2g&s,r&k3X&u,^%n0p&t",
  "+u%v14&|,3%G1W&x+J%v3+&|,<&*3r'#,o%r3]&v,8%Q2X&p-1%L33&p,s%O3y&p-?&04h&z,S&@2I&t.'%T1H'&-8%B1}&o-J%22]&g.(%/3W&t-a",
  "%M3X&~,d&04F&z,}%T3=&v-k%Z2P&j._%M1Z&n-W%:22&h.X%03J&c/5%,4-&f/;%/4''#.r$~4M&n/s$s5;&f/7$~5=&~-U$q5/&s-c$f5}&f.`%2",
  "6L&s.%$k6R&y.7$_7>&r.p$W85&p/r$W8p').z$e9e&o.h%/7q&g/[$Z5'&p/D$f6e&e.;$T6D&j0G+f#,,&#$#################+6Fa{~~~~~~",
  "~~~~~################%*4CVx~~~~~~~~~~~################%*1>Pu~~~~~~~~~~~################$(/;Ko}~~~~~~~~~~##########",
  "###&%%$&-7Gf|~~~~~~~~~~###########3qj,*)(+4BXz~~~~~~~~~~#########$0w|y^97531<Nv~~~~~~~~~~########$:j}}|tIEHIC5>k|~",
  "~~~~~~~~#######$<jzy}|ziLJJIF8Ox}~~~~~~~~#######@m{|z{}|uPHDBBIBm|}~~~~~~~####$1Sq|}|{i{|xcF??BHHct||}}}~~~#$,Dgy}",
  "~~~}|rJzsZ0,**+-B[pxz{|}}}4Tq{~~~~~~~~|OYuU+%$$$%.@Rjpuwxxxv}~~~~~~~~~~}u4muS'%###$7END?FKOS~~~~~~~~~~~~~{NCwoG797",
  "5;lk9'&%&'(~~~~~~~~~~~~~}{_{}wigfc^kw|h9($##~~~~~~~~~~~~~}|zz|zod_][htz}{h@*%~~~~~~~~~~~~~~}{y{{ud_XSZlw{}~{lG~~~~",
  "~~~~~~~~~~}|zyyxl_YSQbpx|}~~{~~~~~~~~~~~~~~}}{yxvr`YSM[jty|~~~~~~~~~~~~~~~~~~}|{vtrhZTNUepw{}~~###################",
  "##%(.:K_lty|}~####################$&+2ATfqwz|}~###################$&)/9I]kty{}~~###############$$$$%',5BSepwz|}~~#",
  "###########$)-,)'''*1=L^ktx{}}~~###########*JI>940,+,6FWfpvz|}~~~#########$2UWQCAA=8336DZjrwz|}}~~########&@XZYUGA",
  "AAAA<<BRepvy{|}~~#######+JYYZZXOBAAAAAAHO^lswz|}}~#####%1PYYYZZYVFAAAAAABJWelrvy{}}###%-GXYYYYZZZXQAAAAAAACS]bkqvy",
  "{|#'5OZ^^^]][[ZZZWJAAAAAAKWY[`ipuy{>T^`baa``_^^]][[ZSGBABLUYYY[_fntx`ceeeddccbaa``__^^][Z[ZZZZYYZ^dlrghhhhggffeddc",
  "cbba``__^^^]][[[[]cjkkkkjjiihhggffeddccbbaa```__^^^^annmmmllkkjjiihhggffeddcccbbaa````ppooonnnmmllkkjjiiihggffeeed",
  "dccbbrrqqqpppoonnnmmlllkkjjiihhggffeedtsssrrrqqqpppooonnnmmllkkjjjihhgguuttttsssrrrqqqqpppooonnmmlllkkji",
].join("");

/* ---- the figure ------------------------------------------------------------------------------ */

const INKS = ["var(--c-vermillion)", "var(--c-blue)"]; // without and with dropout
const DOTTED = "var(--ink)"; // the truth's line
const TINTS = ["var(--c-green)", "var(--c-purple)"]; // of the two labels
const SHADES = [50, 32, 14, 14, 32, 50]; // percent of the tint, from surely the first to surely the second
const TOPS = [0.8, 1.2, 2, 3, 4, 6, 8, 12];
const SLICE = 6, PAUSE = 60; // milliseconds of work in a frame, and between two pictures

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const number = (key) => Number(model.get(key)) || 0; // "off" is 0
    const settings = () => Object.fromEntries(controls.map(({ key }) => [key, number(key)]));
    const name = (given) => JSON.stringify(given);
    const results = new Map();
    let run = null; // null where a result is shown
    let running = false;
    let painted = 0, turn = 0; // when a picture was last drawn in a run, and whose
    let first; // the picture before the first step
    let frame = 0; // the one that is asked for
    const still = matchMedia("(prefers-reduced-motion: reduce)");

    const row = (gap, ...children) =>
      el.append(make("div", { style: `flex: 1 1 100%; display: flex; gap: ${gap}` }, ...children));
    const planes = ["no dropout", "dropout"].map((title, k) => {
      const box = make("div", { style: "flex: 1 1 9rem; min-width: 0; max-width: 26rem" });
      const bar = `margin: 0 0 6px; padding-left: 8px; border-left: 4px solid ${INKS[k]}`;
      const caption = make("p", { class: "live-caption", style: `${bar}; max-width: none; font-size: 0.95rem` });
      box.append(caption);
      const label = `The plane as the network with ${title} sees it`;
      const { svg, plot } = base.panel(box, { width: WIDE, height: HIGH, label });
      const dots = make("g", { fill: "none" });
      svg.append(dots);
      svg.style.display = "block";
      return { box, caption, plot, dots };
    });
    row("1.2rem", ...planes.map(({ box }) => box));
    const go = make("button", { type: "button", style: "min-width: 6.5rem" });
    const single = make("button", { type: "button" }, "One step");
    row("0.4rem", go, single);
    const curves = [`Loss on the ${TRAIN} training points`, `Loss on ${TEST} new points`].map((title) => {
      return { ...base.panel(el, { height: 200, label: `${title}, step by step` }), title: `${title} (nats)` };
    });
    const said = base.sentence(el, "min-height: 4.2em");

    const renew = () => (run = begun(base, settings()));

    /* What there is to see of these settings: a result, or a run that has not begun. */
    function start() {
      const known = results.get(name(settings()));
      if (known) {
        run = null;
        running = false;
        drawPoints(points(base, { seed: number("seed"), stream: POINTS[0] }, TRAIN, number("noise")));
        return draw(known.log, known.pictures);
      }
      renew();
      drawPoints(run.train);
      const from = `${number("seed")} ${number("width")}`;
      if (first?.from !== from) first = { from, picture: outlines(surface(run.nets[0])) };
      draw(run.log, [first.picture, first.picture]);
    }

    function keep(given, { log, surfaces }) {
      results.set(name(given), { settings: given, log, pictures: surfaces.map(outlines) });
    }

    function forget() {
      running = false;
      results.clear();
      if (STORED) keep(Object.fromEntries(controls.map(({ key, value }) => [key, Number(value) || 0])), stored());
    }

    function drawNow() {
      const log = run.step % EVERY ? [...run.log, entry(run)] : run.log;
      draw(log, run.nets.map((net) => outlines(surface(net))));
    }

    function draw(log, pictures) {
      planes.forEach((plane, k) => drawPlane(plane, pictures[k]));
      drawLog(log);
    }

    /* The outlines of a surface's levels as paths. */
    function outlines(values) {
      const closed = (loop) => `${base.path(loop.map(([i, j]) => [i * CELL, j * CELL]))}Z`;
      return LEVELS.map((level) => outline(values, COLUMNS, level).map(closed).join(""));
    }

    /* The surer, the stronger: each region is painted over the one that it lies in. */
    function drawPlane(plane, paths) {
      if (plane.paths === paths) return;
      plane.paths = paths;
      const all = `M0 0H${WIDE}V${HIGH}H0Z`;
      const regions = [all, ...paths].map((d, k) => make("path", {
        d, fill: `color-mix(in srgb, ${TINTS[k > 2 ? 1 : 0]} ${SHADES[k]}%, var(--paper))`, "fill-rule": "evenodd",
        stroke: k === 3 && "var(--ink)", "stroke-width": 1.4,
      }));
      const rim = make("path", { d: all, fill: "none", stroke: "var(--paper)", "stroke-width": 3 });
      plane.plot.replaceChildren(...regions, rim);
    }

    /* Dots are strokes of no length: round for one label, square for the other. */
    function drawPoints({ x, y, wrong }) {
      const dots = (which) =>
        which.map((k) => `M${across(x[2 * k]).toFixed(1)} ${down(x[2 * k + 1]).toFixed(1)}h0`).join("");
      const dot = (d, stroke, width, cap = "round") =>
        make("path", { d, stroke, "stroke-width": width, "stroke-linecap": cap });
      const labelled = [0, 1].map((label) => dots(Array.from(y.keys()).filter((k) => y[k] === label)));
      const shapes = [["round", 5.6], ["square", 4.6]];
      for (const plane of planes) {
        plane.dots.replaceChildren(
          dot(dots(wrong), "var(--ink)", 12.5),
          dot(dots(wrong), "var(--paper)", 10),
          ...shapes.map(([cap, size], label) => dot(labelled[label], "var(--paper)", size + 2, cap)),
          ...shapes.map(([cap, size], label) => dot(labelled[label], TINTS[label], size, cap)),
        );
      }
    }

    function drawLog(log) {
      const truth = best(number("noise"));
      curves.forEach((panel, k) => drawCurves(panel, log, k ? "test" : "train", truth));
      const { step, each } = log.at(-1);
      const wrong = Math.round(number("noise") * TRAIN);
      const bold = (value) => make("b", {}, value);
      planes.forEach(({ caption }, k) => {
        const rate = k ? `Dropout, p = ${text(number("p"), 1)}` : "No dropout";
        const learned = wrong ? `repeats ${each[k].learned} of ${wrong} wrong labels` : "has no wrong labels to repeat";
        caption.replaceChildren(bold(rate), make("br"), learned);
      });
      const percent = (share) => `${text(100 * share, 1)} %`;
      const nats = (loss) => (loss > 999 ? "over 999" : text(loss)); // with large steps it may blow up
      const of = ({ test, accuracy }) => [bold(nats(test)), " and ", bold(percent(accuracy)), " right"];
      const dotted = `The true probabilities would have ${text(truth)} and ${percent(1 - number("noise"))} (dotted).`;
      said(
        `After ${step} steps, seed ${number("seed")}, on ${TEST} new points: loss `, ...of(each[0]),
        " without dropout; ", ...of(each[1]), ` with it. ${dotted}${tally()}`,
      );
      go.textContent = running ? "Pause" : step === STEPS ? "Run again" : "Run";
    }

    /* How often dropout had the lower loss, over the seeds that these settings were run with. */
    function tally() {
      const same = (given) => name({ ...given, seed: 0 });
      const ends = [...results.values()].filter((each) => same(each.settings) === same(settings()));
      const lower = ends.filter(({ log }) => log.at(-1).each[1].test < log.at(-1).each[0].test).length;
      return ends.length > 1 ? ` Of ${ends.length} seeds run so far, dropout had the lower loss in ${lower}.` : "";
    }

    function drawCurves(panel, log, which, truth) {
      const series = [0, 1].map((k) => log.map(({ each }) => each[k][which]));
      const greatest = Math.max(...series.flat().filter(Number.isFinite), truth);
      const top = TOPS.find((each) => each >= greatest) ?? TOPS.at(-1);
      const [left, right, high, low] = [30, 232, 30, 158];
      const [x, y] = [base.linear([0, STEPS], [left, right]), base.linear([0, top], [low, high])];
      if (panel.top !== top) base.axes(panel, x, y, { xLabel: "step", yLabel: panel.title, xTicks: 4 });
      panel.top = top;
      const [width, height] = [right - left, low - high];
      const frame = make("svg", { x: left, y: high, width, height, viewBox: `${left} ${high} ${width} ${height}` });
      const stroke = (d, ink, dotted = ink === DOTTED) =>
        make("path", { d, fill: "none", stroke: ink, "stroke-width": 1.8, "stroke-dasharray": dotted && "2 3" });
      const lines = series.map((values) => values.map((value, k) => [x(log[k].step), y(Math.min(value, 9 * top))]));
      frame.append(
        stroke(`M${left} ${y(truth).toFixed(1)}H${right}`, DOTTED),
        ...lines.map((line, k) => stroke(base.path(line.filter(([, at]) => Number.isFinite(at))), INKS[k])),
      );
      const last = (k) => Math.max(lines[k].at(-1)[1] || high, high); // at the top if it has left the axis
      const labels = [["no dropout", last(0), INKS[0]], ["dropout", last(1), INKS[1]], ["the truth", y(truth), DOTTED]];
      labels.sort((a, b) => a[1] - b[1]);
      labels.forEach((each, k) => k && (each[1] = Math.max(each[1], labels[k - 1][1] + 14)));
      labels.reverse().forEach((each, k) => (each[1] = Math.min(each[1], k ? labels[k - 1][1] - 14 : low + 2)));
      panel.plot.replaceChildren(frame, ...labels.flatMap(([words, at, ink]) => [
        stroke(`M${right + 4} ${at.toFixed(1)}h10`, ink),
        make("text", { x: right + 18, y: (at + 4).toFixed(1) }, words),
      ]));
    }

    function ended() {
      running = false;
      keep(run.settings, result(run));
      drawNow();
    }

    /* A frame of a run: now and then a picture, then steps until the time is up. */
    function tick() {
      if (!running || !el.isConnected) return;
      const began = performance.now();
      if (!still.matches && began - painted > PAUSE) {
        turn = 1 - turn;
        drawPlane(planes[turn], outlines(surface(run.nets[turn])));
        painted = began;
      }
      const logged = run.log.length;
      do advance(base, run);
      while (run.step < STEPS && performance.now() - began < SLICE);
      if (run.step === STEPS) return ended();
      if (run.log.length > logged && !still.matches) drawLog(run.log);
      frame = requestAnimationFrame(tick);
    }

    /* Run or pause, or take one step; where a run is over, from the start. */
    function press(on) {
      cancelAnimationFrame(frame);
      running = on;
      if (!run || run.step === STEPS) renew();
    }

    go.addEventListener("click", () => {
      press(!running);
      drawNow();
      if (running) frame = requestAnimationFrame(tick);
    });
    single.addEventListener("click", () => {
      press(false);
      advance(base, run);
      if (run.step === STEPS) ended();
      else drawNow();
    });
    base.onReset(() => {
      forget();
      start();
    });
    model.on("change", start);
    forget();
    start();
  },
};
