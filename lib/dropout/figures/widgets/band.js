/* The band of MC dropout: functions drawn from one trained network, their mean and spread (chapter 06). */

export const about = {
  title: "Beyond the data the functions part; in the hole, hardly",
  words:
    "For each rate a network of 32 and 32 ReLU units learned the 40 points with dropout; each mask makes a " +
    "function of it. The band is mean ± 2 sd of these functions, without the noise of the data.",
};

const SEED = 2016;
const WIDTH = 32;
const DRAWN = 20; // more lines would hide the band

export const controls = [
  { key: "T", label: "passes T", type: "range", min: 1, max: 100, step: 1, value: 50 },
  { key: "p", label: "rate p", type: "choice", options: { 0.1: "0.1", 0.2: "0.2", 0.5: "0.5" }, value: "0.1" },
  { key: "step", label: "New draw", type: "count", value: 0 },
  {
    key: "masks", label: "a mask for each", type: "choice", value: "pass",
    options: { pass: "pass", input: "input" },
  },
  { key: "truth", label: "the truth, sin 4x", type: "check", value: false },
];

/* The inputs that are asked about. */
export const GRID = Float64Array.from({ length: 100 }, (_, k) => -1.8 + (k * 3.5) / 99);

/* Where an input lies: on the data, in the hole between them, or beyond them. */
export const region = (x) => (x < -1 || x > 0.9 ? "beyond" : x > -0.3 && x < 0.3 ? "hole" : "data");

const REGIONS = ["data", "hole", "beyond"].map((name) => [
  name, [...GRID.keys()].filter((g) => region(GRID[g]) === name),
]);

const truth = (x) => Math.sin(4 * x);

/* The training data: sin 4x with noise of sd 0.1. */
export const DATA = [
  53, 62, 43, 50, 18, -1, -9, -26, -44, -30, -54, -49, -68, -99, -93, -94, -98, -106, -110, -100, 93, 99, 101, 92,
  107, 99, 94, 87, 85, 83, 66, 51, 41, 28, 1, 14, 4, -21, -52, -42,
].map((y, k) => [k < 20 ? -1 + (k * 0.7) / 19 : 0.3 + ((k - 20) * 0.6) / 19, y / 100]);

/* The parameters of the network that was trained at a rate: rows of weights and bias, layer by layer. */
export function network(p) {
  const bytes = Uint8Array.from(atob(PARAMETERS[p]), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const all = Float64Array.from({ length: bytes.length / 2 }, (_, k) => view.getInt16(2 * k, true) / 1000);
  const sizes = [WIDTH, WIDTH, WIDTH * WIDTH, WIDTH, WIDTH, 1];
  let from = 0;
  return sizes.map((size) => all.subarray(from, (from += size)));
}

/* What stands before the first dropout, for each input of GRID: the same under every mask. */
export function below([W, b]) {
  return Float64Array.from({ length: GRID.length * WIDTH }, (_, k) =>
    Math.max(0, W[k % WIDTH] * GRID[Math.floor(k / WIDTH)] + b[k % WIDTH]),
  );
}

/* Functions number `from` to `to`, a row of outputs each.

   Function t drops what row t of keep_mask of (T, 32) says, stream 0 for the first hidden layer and 1 for
   the second, as in bayes.predict; with a mask for each input it is the rows of (T, 100, 32). */
export function functions(base, net, hidden, { p, step, own }, from, to) {
  const [, , W, b, w, last] = net;
  const rows = own ? GRID.length : 1; // of masks, for one function
  const masks = [0, 1].map((stream) =>
    base.keepMask({ seed: SEED, stream, step }, (to - from) * rows * WIDTH, p, from * rows * WIDTH),
  );
  const scale = base.invertedScale(p);
  const kept = [new Uint8Array(WIDTH), new Uint8Array(WIDTH)];
  const out = new Float64Array((to - from) * GRID.length);
  for (let k = 0, counts; k < out.length; k++) {
    const g = k % GRID.length;
    if (own || g === 0) {
      const row = own ? k : k / GRID.length;
      counts = masks.map((mask, layer) => {
        let n = 0;
        for (let j = 0; j < WIDTH; j++) if (mask[row * WIDTH + j]) kept[layer][n++] = j;
        return n;
      });
    }
    let sum = 0;
    for (let i = 0; i < counts[1]; i++) {
      const unit = kept[1][i];
      let inner = 0;
      for (let j = 0; j < counts[0]; j++) inner += W[unit * WIDTH + kept[0][j]] * hidden[g * WIDTH + kept[0][j]];
      sum += w[unit] * Math.max(0, b[unit] + scale * inner);
    }
    out[k] = last[0] + scale * sum;
  }
  return out;
}

/* Of the first T rows: mean and sd at each input, how neighbouring inputs correlate, and by region the mean
   spread, the mean error of the mean, and the share of inputs at which the truth lies within mean ± 2 sd. */
export function summary(outputs, T) {
  const n = GRID.length;
  const mean = new Float64Array(n), sd = new Float64Array(n);
  for (let k = 0; k < T * n; k++) mean[k % n] += outputs[k] / T;
  let together = 0, apart = 0;
  for (let k = 0; k < T * n; k++) {
    const g = k % n;
    sd[g] += (outputs[k] - mean[g]) ** 2 / (T - 1);
    if (g) together += ((outputs[k] - mean[g]) * (outputs[k - 1] - mean[g - 1])) / (T - 1);
  }
  for (let g = 0; g < n; g++) {
    sd[g] = Math.sqrt(sd[g]);
    if (g) apart += sd[g] * sd[g - 1];
  }
  const error = (g) => Math.abs(mean[g] - truth(GRID[g]));
  const by = {};
  for (const [name, places] of REGIONS) {
    const average = (of) => places.reduce((sum, g) => sum + of(g), 0) / places.length;
    by[name] = {
      spread: average((g) => sd[g]),
      error: average(error),
      within: average((g) => error(g) <= 2 * sd[g]),
    };
  }
  return { mean, sd, correlation: together / apart, by };
}

const PLACES = [
  [-1.8, -1, "beyond"], [-1, -0.3, "data"], [-0.3, 0.3, "hole"], [0.3, 0.9, "data"], [0.9, 1.7, "beyond"],
];
const TOP = 24, BOTTOM = 222;

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const left = base.panel(el, { height: 262, label: "Functions of one network, their mean and band, and the data" });
    const right = base.panel(el, { height: 262, label: "The spread of the functions at each input" });
    const said = base.sentence(el, "min-height: 4.2em");

    const x = base.linear([-1.8, 1.7], [32, 314]);
    const y = base.linear([-2.5, 3.5], [BOTTOM, TOP]);
    const s = base.linear([0, 1.3], [BOTTOM, TOP]);
    const across = Array.from(GRID, (each) => x(each).toFixed(1));
    const line = (of) =>
      across.map((at, k) => `${k ? "L" : "M"}${at} ${Math.min(Math.max(of(k), TOP), BOTTOM).toFixed(1)}`);
    const stroke = (d, colour, width, more) =>
      make("path", { d, fill: "none", stroke: `var(${colour})`, "stroke-width": width, ...more });
    const shades = () =>
      PLACES.filter(([, , name]) => name !== "data").map(([from, to]) =>
        make("rect", { x: x(from), y: TOP, width: x(to) - x(from), height: BOTTOM - TOP - 0.6, fill: "var(--field)" }),
      );
    const xTicks = [-1, 0, 1];
    base.axes(left, x, y, { xLabel: "x (shaded: no data)", yLabel: "y", xTicks, yTicks: [-2, -1, 0, 1, 2, 3] });
    base.axes(right, x, s, { xLabel: "x", yLabel: "spread (sd)", xTicks, yTicks: 5 });

    let net, hidden, drawn, lines, key, done, frame;
    const asked = () => ({ T: model.get("T"), own: model.get("masks") === "input" });

    /* The functions that are asked for, or so many more of them; whether these are all. */
    function sampled(most) {
      const [{ T, own }, p, step] = [asked(), model.get("p"), model.get("step")];
      if (key !== `${p} ${step} ${own}`) {
        key = `${p} ${step} ${own}`;
        net = network(p);
        hidden = below(net);
        drawn = new Float64Array(100 * GRID.length);
        lines = [];
        done = 0;
      }
      const to = Math.max(done, Math.min(T, done + most));
      drawn.set(functions(base, net, hidden, { p: Number(p), step, own }, done, to), done * GRID.length);
      done = to;
      for (let t = lines.length; t < Math.min(done, DRAWN); t++) {
        lines.push(line((k) => y(drawn[t * GRID.length + k])).join(""));
      }
      return done >= T;
    }

    function draw() {
      const { T, own } = asked();
      cancelAnimationFrame(frame);
      if (!sampled(own ? 8 : T)) { // so many coins are drawn over several frames
        frame = requestAnimationFrame(draw);
        return;
      }
      const found = summary(drawn, T);
      showFunctions(found, T, own);
      showSpread(found, T);
      say(found, T, own);
    }

    function showFunctions({ mean, sd }, T, own) {
      const edge = (side) => line((k) => y(mean[k] + side * sd[k]));
      const band = `${edge(2).join("")}${edge(-2).reverse().join("").replace("M", "L")}Z`;
      const dots = DATA.map(([a, b]) => `M${x(a).toFixed(1)} ${y(b).toFixed(1)}h0`).join("");
      const parts = [...shades()];
      if (T > 1) parts.push(make("path", { d: band, fill: "var(--c-sky)", "fill-opacity": 0.35 }));
      parts.push(stroke(lines.slice(0, T).join(""), "--c-blue", 0.8, { opacity: 0.6 }));
      parts.push(stroke(line((k) => y(mean[k])).join(""), "--c-blue", 2.6));
      if (model.get("truth")) {
        const d = line((k) => y(truth(GRID[k]))).join("");
        parts.push(stroke(d, "--c-vermillion", 2.2, { "stroke-dasharray": "6 3" }));
        parts.push(make("text", { x: x(1.18), y: y(-1) + 20, "text-anchor": "middle" }, "truth"));
      }
      parts.push(stroke(dots, "--ink", 4.5, { "stroke-linecap": "round" }));
      const what = `${own ? "pass" : "function"}${T === 1 ? "" : own ? "es" : "s"}`;
      const count = `${T > DRAWN ? `${DRAWN} of ${T}` : T} ${what}${T > 1 ? ", mean ± 2 sd" : ""}`;
      parts.push(make("text", { x: 312, y: TOP - 9, "text-anchor": "end" }, count));
      left.plot.replaceChildren(...parts);
    }

    function showSpread({ sd, by }, T) {
      const parts = [...shades()];
      PLACES.forEach(([from, to, name]) => {
        const middle = { x: (x(from) + x(to)) / 2, "text-anchor": "middle" };
        parts.push(make("text", { ...middle, y: TOP + 16 }, name));
        if (T < 2) return;
        parts.push(make("text", { ...middle, y: TOP + 32, "font-weight": 650 }, text(by[name].spread)));
        const d = `M${x(from) + 2} ${s(Math.min(by[name].spread, 1.3)).toFixed(1)}H${x(to) - 2}`;
        parts.push(stroke(d, "--c-grey", 1.5, { "stroke-dasharray": "3 2" }));
      });
      if (T > 1) parts.push(stroke(line((k) => s(sd[k])).join(""), "--c-blue", 2.2));
      right.plot.replaceChildren(...parts);
    }

    const bold = (...values) => make("b", {}, ...values);
    function say({ by, correlation }, T, own) {
      const each = (of) => [by.data, by.hole, by.beyond].map(of);
      const off = each((region) => text(region.error));
      const parts = [];
      if (T === 1) parts.push("One alone has no spread: ask for more.");
      else {
        const [data, hole, beyond] = each((region) => bold(text(region.spread)));
        parts.push("Spread on average: ", data, " on the data, ", hole, " in the hole, ", beyond, " beyond. ");
        parts.push(`From one input to the next the ${T} correlate by `, bold(text(correlation)), ": ");
        parts.push(own ? "a line is no function of one network." : "each line is one network.");
      }
      if (model.get("truth") && T > 1) {
        const [data, hole, beyond] = each((region) => `${text(100 * region.within, 0)} %`);
        parts.push(` The truth lies in the band at ${data}, ${hole} and ${beyond} of these inputs; `);
        parts.push(`the mean is off by ${off[0]}, ${off[1]} and ${off[2]}.`);
      }
      said(...parts);
    }

    base.predict(el, {
      question:
        "The truth goes on as a sine. Beyond the data, at how many per cent of the inputs does this band hold it?",
      min: 0, max: 100, step: 1,
      truth() {
        const { T } = asked();
        sampled(T);
        return { T, within: 100 * summary(drawn, T).by.beyond.within };
      },
      told: (guess, { T, within }) =>
        T === 1
          ? "One pass has no band: take more."
          : `You said ${guess} %. It is ${text(within, 0)} % with these ${T} passes at p = ${model.get("p")}.`,
      done: () => asked().T > 1 && model.set("truth", true),
    });

    model.on("change", draw);
    draw();
  },
};

/* Trained by tests/browser/regressor.py: thousandths as 16-bit integers, low byte first, in base64. */
const PARAMETERS = {
  "0.1": `
AADNAxAErfwWAAAAAAAAAEkCIP+2/QAAL/sAAGf/Av00/UL8AAAAAED8AwAhAw7/AADi/xcCDAOVA9gDAwB2/gAAlP05AQ8Bmv8AAAAAAADf/s8AtwH//2
4BAAAp/2b+oP4i/gAAAACpAMz/Ff7hAAAAt/8OAjD+dwMhAfz/agEAALT/UwBlAAAAAAAAAAAAnP8HALH/AABq/gAAAAAWAeoAiQAAAAAAlQAAAEn/7P8A
AAAADv+r/0z/HwAAAHQAAAALASv/4P9CAAAAAAAAAFQA/P9kAAAA+f8AAAAAvv16/U3+AAAAANX/BgAcAaMAAAAAADAAZwAnAAz+AABFAAAA+f7D/zn+rf
8AAAAAAABX/iEAgf8AANv+AAD//3D/s/5n/wAAAACZ/RYAff57AAAAAADQ/7P+mAD6/wAA0P8AABEAegAAAEMAAAAAAAAANACS/zn+AACw/wAAAAAAAAAA
AAAAAAAAAAAAADkADv8AAAAALQAGAAMAWgAAAJT/AAAt/hgAav7T/wAAAAAAAKn+NgAiAAAAf/4AAAAA7wDDAIUAAAAAAPX+AwCJ/m4AAAAAALP/9v12AF
8AAACFAAAAIP9lAO7+y/8AAAAAAAD1/RwBUwAAADH+AAAAAL8AzP+p/wAAAACl/QAAov2sAAAAAADE/+D+VgBVAAAAAwAAAMv/tv5vAP3/AAAAAAAALAA8
ALYAAADAAAAABwA0ARABxwAAAAAADgAOAO7/CQAAAAAAe/4fAA//GQAAAGUAAABt/yn+JQAJAAAAAAAAAEn+iwC3/wAAFgAAAOz/v/2D/U3+AAAAAMf/3P
9I/1IAAAD+/wkAfv4RAD7+AAA8AAAAAAD3/+f/AAAAAAAAAAAAALT/9/8AANH/AAAAAOj/6v++/wAAAAA5AAAAAAA3AAAAAAC5/wAA0//4/wAAxf8AAB8A
8f8AAAAAAAAAAAAABwDS/ykAAADj/wAAAAAAAAAAAAAAAAAAAAAAAAsAKwAAAAAAxf/z/ysAef8AAMr/AAB+/j4BkAC+/wAAAAAAAMv+8f90AAAAMgAAAA
AAwQCHAEIAAAAAAM//AADg/n0AAAAAAKX/OP61/eoAAABHAAAA+P9NAAAAAAAAAAAAAAAAANP/+f8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADy/wAAAAD3
/wAA5//o/wAA6v8AADMADv+pADoAAAAAAAAAhAGZAHQAAAAYAAAAAABZ/m394/0AAAAALQDU/w8AGgAAAAAAUADrAF0AVv8AAKj/AAD4AJcAAABpAAAAAA
AAAHz/Wv9k/gAAEf8AAAAAAAAAAAAAAAAAAAAAAACQAKj/AAAAAEUAZADz/8UAAAAW/wAA4/+3ABoAJAAAAAAAAAAXAbf/xf8AALT/AAAAAAAA//85AAAA
AADJ/z0AdgAJAAAAAAAlADoAZwAu/wAASv8AAPUATAAAADIAAAAAAAAAEgAjALv+AAAq/wAAAAAAAAAAAAAAAAAAAAAAAMwADv8AAAAADwAxAEoA2QAAAF
z/AADV/hAAPP7b/wAAAAAAABL/4v/3/wAAmv4AAAAAO/8K/iP/AAAAAPn9KQBX/tf/AAAAAGQAdf7x//z/AABuAAAAPf6F/9H9t/8AAAAAAAAh/sH/8f8A
AFD+AAAAADn/rf6s/gAAAACH/QAA1/0LAAAAAACfAPL9sP+Q/wAA+v8AAGf/GwAuAJ//AAAAAAAAiP5LAPr/AABTAAAAAACPAV8AnQAAAAAAnAARAP/+Dg
AAAAAAx/8h/m791QEAAEEAAADQ/8T/3P8AAAAAAAAAAC0Axf+N/wAAy/8AAAAA+P/7//j/AAAAAO7/AAA7AJH/AAAAAG7/5P/6/4v/AADZ/wAAUf8DAI7+
z/8AAAAAAACs/vH/ov8AAK/+AAACAA0AzP9C/wAAAADw/cv/g/4SAAAAAAADABb/hQDg/wAAPwAAAJEAd/+uACcAAAAAAAAAlADa/14AAAB5AAAA/v/5/U
7+HP4AAAAALgA1AL0A1P8AAAAAHQCzACoAgv8AAB8AAAAAAF7+pQD5/wAAAAAAAAAAFAAOAAAANwAAAAAA1QBJADAAAAAAALAAHgAAAGkAAAAAAAX+AADl
/QT/AAABAAAAtf6CAGT+wP8AAAAAAADK/tD/w/8AAMr+AAAAAOb+Mf8V/wAAAADJ/RcA2v6GAAAAAAB5ANv9IgBH/wAAHgAAAGX+Sf/Q/fL/AAAAAAAAuP
33/zkAAACA/gAAAAB0/0n+IP8AAAAAVv3w/6v+BAAAAAAADAB//lEAAQAAAFUAAAAQAez/DQBSAAAAAAAAAD0AUP91/gAAb/8AAAAAFADe/7T/AAAAANb/
AACHABv/AAAAAPD/1//x/8EAAABF/wAAAAD1//T/AAAAAAAAAAAAAN3/AAAAADEAAAAAAAEAAQDe/wAAAADu/wAAAAD0/wAAAADc/wAAuf/x/wAAMgAAAP
D+s/9L/q//AAAAAAAAw/2PANv/AAAk/wAA+f8HAUcBmwAAAAAAsv08AIP+pAAAAAAA5f/T/QgAEwAAAOn/AABsALb/yf8XAAAAAAAAADsBvf8+AAAAQQAA
AAEA4/2//Sf+AAAAAP3/awDAAPL/AAAAAAwAwwAIAMD+AACpAAAARQBtABwAMQAAAAAAAAARAKX/Nf4AAI7/AAAAAAAAAAAAAAAAAAAAAAAALwD3/gAAAA
AvAE4AJwCmAAAAp/8AAGz+SwAM/t//AAAAAAAAVv65/wIAAADq/gAACwDQ/in+If8AAAAAxP09AB/+VAAAAAAAqP+2/hUAUv8AABIAAAAW/yr++P9fAAAA
AAAAAJb+UwDk/wAAkf8AAAIArfx5/DX9AAAAAOn/xv8L/2oAAAAAAP7/pf7p/wj+AADV/ykA4gBQAVL/hQC8ANP+PQHy/3b/ef+d/38Atf4Y/7z+/QB5AU
X/zP8fATkA2v7kAOAAwf9+//gAvABd/08BUgGaAG3+9AAz/xUB0QD5AEf+5P8lAE4B+f/5/sH+av8F/4sBYAJ8AVkA3wDz/k0BIwGlAfv+AADFAVL+Mv/b
AUz9if8=
`,
  "0.2": `
AADMA5UChPyq/wAAAAAAADwCLv/L+wAAmvsAAHD/0/wM/Q78AAAAAKT8BwA9A1b/AADh/08CUAMeAykEAQCp/gAAoP1mAvwAkP8AAAAAAACx/rkAOQH//0
MBAAA+/0P+i/75/QAAAADfAMr/DP6YAAAAtf8tAgr+6gLNAP//QgEAAEv/IQGw/ur/AAAAAAAAlP8OAOD+AADO/gAAAACJ/7D+9f4AAAAAu/4AAMn+sf8A
AAAAlf8D/5X/BAAAADcAAAAiAAwA+/8IAAAAAAAAAGf//v8oAAAAzP8AAAAA7PxH/Hf9AAAAAOj/BwA0AJ8AAAAAAB4Apv/n/0f+AAAnAAAAAf/y/xr+rv
8AAAAAAAA+/iEAQ/4AAOr+AAD+/7H/vP6e/wAAAAD0/RsAhv46AAAAAADp/2v+NwDm/wAA6f8AADUADgAAAAAAAAAAAAAAcwBy/5X+AACZ/wAAAAAAAAAA
AAAAAAAAAAAAAKMAdP8AAAAAJADk//T/fQAAAGL/AABr/hz/OwAAAAAAAAAAAOT+CwBTAAAABAAAAAAA3wD4AMcAAAAAAIIABADw/mYAAAAAALf+Kf77/x
MBAAA0AAAADf9tAIL+nf8AAAAAAAC1/fcAyP4AAJr+AAAAAB4Arv5C/wAAAAAJ/gEAoP1nAAAAAAAIAI3+YgADAAAA+P8AAKP/O/10AAAAAAAAAAAAMwBJ
AIEAAABoAAAABQDhAKMAnAAAAAAADwAWAND//f8AAAAAS/4bAK7+DwAAACQAAAC1/wYA4v/x/wAAAAAAANP+kwC9/wAABwAAAOH/Gv0G/c39AAAAANT/0v
+F/2oAAAD7/93/qP7s/xf+AABtAAAA/P/x//j/AAAAAAAAAAAAAP//8v8AAOn/AAAAAP//+//u/wAAAAARAAAABAANAAAAAADm/wIA7f/2/wAA+/8AAIr+
4f/r/cr/AAAAAAAAjP40AIz+AABw/gAAAAAT/5T9WP4AAAAAU/4AAI7+eQAAAAAA//9O/nAAB/8AAAcAAADh/eAAi/7R/wAAAAAAAA3+DQDc/gAA2/4AAA
AAa/8d/mX+AAAAAEX+AABA/ikAAAAAAP3/gv1z/4T/AAAcAAAAy/9sAAAAAAAAAAAAAADe/5n/o/8AALn/AAAAAAAAAAAAAAAAAAAAAAAAxv9s/wAAAADt
/9X/t//T/wAA7P8AAP7/AQCCAB0AAAAAAAAA9QB/AFcAAAAlAAAAAADq/Q79dv0AAAAAOgDK/+3/cQAAAAAAFACmAB8AAP8AAOT/AADoACwA+v9JAAAAAA
AAALH/Kf+a/gAAMf8AAAAA4f/w/8H/AAAAADcA//9xAO3/AAAAABIANQDf/w0BAAAY/wAAzv9eABUAAgAAAAAAAAAMAZv/DQAAAMH/AAAAAAAA//89AAAA
AADH/00AVwACAAAAAABFAMsAcQBT/wAAKP8AAAEBBgAAACMAAAAAAAAAWgDy/9H+AAA2/wAAAAAAAAAAAAAAAAAAAAAAAN4AQ/8AAAAA9P9FACMAyAAAAG
j/AABS/u3/U/6h/wAAAAAAAD/+8v/v/gAAv/4AAAAAaP9B/vr+AAAAAET+LgD8/dD/AAAAAAwA/v3k/7r/AAB1AAAA3P7M/3/9o/8AAAAAAACD//z/5P0A
ABr+AAAAALT+Fv7//QAAAADt/QAAWv8DAAAAAACLAPr+3v9q/wAAXQAAAET/V/8OAKP/AAAAAAAA0P59AEYAAAAqAAAAAABGAVQAMgAAAAAAQAAJANj+Gw
AAAAAAAgA4/mL+eQEAADwAAAAr/8T/IP62/wAAAAAAAI//UwBY/gAAcv4AAAAAKv+1/gP+AAAAADL+AACZ//D/AAAAANb/L/8tAJr/AAA+AAAAHv8iAEn+
rP8AAAAAAABA/t7/W/4AANz+AAADAJj/IP/s/gAAAAAq/sH/Rf7b/wAAAADm/6b+OwDE/wAAFgAAAHwAKAB0ABUAAAAAAAAAGADk/3QAAAB/AAAA///U/R
/+5f0AAAAAQgA3AKgAGgAAAAAADACNABMATf8AABwAAAAAAKL8mwAAAAAAAAAAAAAAKAATAAAAPAAAAAAAlQDq/yIAAAAAAIoAPgAAAG0AAAAAABb+AAAs
/fP+AAAMAAAAs/5JAE7+wP8AAAAAAACX/sv/NP4AAOD+AAAAAGL+3P66/gAAAADf/R4Az/5kAAAAAAA4ANT9DgBr/wAAKQAAACz+if8//pz/AAAAAAAAb/
0UAAX/AADK/gAAAADD/k795v4AAAAA7f3v/0P+BgAAAAAAFAAr/ikAz/8AADwAAAAjAdr/WwA7AAAAAAAAAEUAAP+J/gAAhP8AAAAAAwDT/6r/AAAAAPP/
AACFAG7/AAAAAOr/0/8AAG8AAAAk/wAA7P9y/FoAAAAAAAAAAAAFAGAARQAAAGAAAAAAAMH/9P9J/wAAAAASAAAAAACaAAAAAABD/QAAZvzw/wAAwgAAAD
r+rf8J/6L/AAAAAAAAy/xXACT/AAB6/wAA9/+rAqwCcwEAAAAAOP9IAHz9WQAAAAAAAAA6/QkAzP8AAMX/AAC1/y4Ax/8NAAAAAAAAAFUA7f8wAAAAHgAA
AAEAlP04/dj9AAAAABIAcwDr/yEAAAAAAP3/SgDA/4P+AACVAAAAhwAjAAAAQwAAAAAAAADo/0z/mv4AAH//AAAAAAAAAAAAAAAAAAAAAAAA4P8b/wAAAA
Dx/48ACADxAAAAbP8AAI/+KgAY/rv/AAAAAAAAVv7D/4j+AADz/gAABQDb/t39//4AAAAAA/5BAFP+LgAAAAAAy/+Q/gwAfv8AAAIAAADf/+7/PAA+AAAA
AAAAADoAUwD7/wAA2v8AAAIAZfxC/Nz8AAAAAAwAtv9cAG0AAAAAANH/xf/0/6f+AADp/9gA3QCJASD/gP/aAPP+JQHd/7wAyQBj/2EAqf76/qH+EwGHAd
v/UQFBAUAANP8kAQgBof+k/zcBzwD2/mMB0QCmAG/+OwEx/+sA2gDnADb+DQCdAfwBm/8d/93+hv8N/88BZQELAfQBHAEY/2gBMwGtATn/ngEbAj/+D//X
AeX9Bf8=
`,
  "0.5": `
AAD7A0ADBf0wAAAAAAAAAKMCKgLs/AAAAfwAAFD/uvww/Rf8AAAAALL8BwCBA+f9AADZ/2sDYAOBAp0CQwAN/QAAiv20AHwAwf8AAAAAAABq/pIAiAD//0
IAAAAm/8z9Zf62/QAAAAAAAMv/x/2YAAAAqP/+APb9TQKdAKT/oQAAAIb+6P9f/gAAAAAAAAAA/v1gAKL+AACu/gAAAADF/qX9Xv4AAAAAef4IAG3+cv4A
AAAA4/9e/en/CwAAAOf+AAAz/oL+yv8AAAAAAAAAAHH9PP7t/wAAzv8AAAAAvfwH/dj9AAAAAN3/CwCU/tf/AAAAAP3+mv7B/yf+AADn/wAAZf7j/1n+AA
AAAAAAAAAS/s//wP4AAOr+AAD+/3UAzv5vAAAAAAAp/jAAbv4b/wAAAAD5/xP+NQDJ/wAAqP4AAGUANgAAAAAAAAAAAAAAwgA8AGf/AADk/wAAAAAAAOX/
7f8AAAAABQD//5gAsf8AAAAAUgDYANH/agAAAOL/AADC/eH/Yf8AAAAAAAAAALL9IgBc/wAAFQAAAAAAKwIaAZIBAAAAAEz/GgAR/uD+AAAAAO//m/1gAE
UAAACl/wAAl/4RAEH/AAAAAAAAAADp/EwA0P8AAOH/AAAAAKkCMAIGAgAAAABy/wgAlP18/wAAAADX/xD+MgAyAAAAOP8AAPX+Jf8uAAAAAAAAAAAAf/+8
/1gAAABXAAAABAAyAt0BmQEAAAAAVwAcAA7/UAAAAAAAD/9o/4v/FwAAAJgAAAC5/tj+1f8AAAAAAAAAAA7+y/7r/wAA5f8AAPf/Mf06/ez9AAAAANj/xv
91/hsAAAAAABT/b/7u/2X+AADm/wAA+P/p/7P/AAAAAAAAAAD//9D/uv8AAH7/AAAAAKv/xP9m/wAAAAD6/wsAAAA/AAAAAACj/wAAlv/n/wAAbP8AADD+
4/+P/gAAAAAAAAAAzv3T/67+AADs/gAAAADq/nj93f0AAAAAk/4CABT+GP8AAAAA0f8F/jUAvP8AABL/AAAq/qYAFAAAAAAAAAAAAL7+DgAFAAAAHwAAAA
AAvQFuATABAAAAAMP+/P9z/jsAAAAAACAAj/0v/97/AAA1AAAAaADJAGMAAAAAAAAAAAB0AB8Aff8AAFj/AAAAAGb/sf/n/wAAAACb/xMAm/8T/wAAAAAA
ANMALQCP/wAAyv8AAPv+Kv9GAAAAAAAAAAAAIgEm/yoAAAANAAAAAADE/Nj8hf0AAAAATQDQ/1n/OwAAAAAAUv92AO7/Jv8AANL/AABEATsAHAAAAAAAAA
AAANv/KQBh/wAAnv8AAAAAff8+/wIAAAAAAD8A+/8gASsAAAAAAAUA4wABALoAAACa/wAATwB/AMT/AAAAAAAAAADDAVYAWAAAAOT/AAAAAFT/nP6R/wAA
AADP/wsA6v9XAAAAAABdAL0APABr/wAAGP8AACMBNwBxAAAAAAAAAAAA5wC+AE7/AABY/wAAAADM/6D/nf8AAAAA4/8AACYBhv8AAAAA9P9tABsAngAAAL
L/AAD6/cn/n/4AAAAAAAAAAMD9CQDz/gAA/P4AAP7/FP7//Yb+AAAAAGP+LwCl/bj+AAAAAAAAlv30/8z/AACd/wAApP7U/wv+AAAAAAAAAABx/vH/pf4A
AML+AAAAABP+L/2U/QAAAAAD/gIAR/5H/gAAAADR///98f+v/wAA+v4AADX/GwAJAAAAAAAAAAAAl/5HADMAAAAnAAAAAAA5AkIB9AAAAAAATwATALX+Ag
AAAAAAlQCS/Zj+3QAAAEIAAABD/uf/k/4AAAAAAAAAANz90//i/gAA8f4AAAAAk/6r/qH9AAAAAJb+MAAx/sL+AAAAAOD/I/7x/8T/AADy/gAA0P62/vT/
AAAAAAAAAAAs/7j+4P8AAMn/AAABAOH82vx5/QAAAAC6/7z/n/5IAAAAAAAJ/6X/AwCO/gAA5f8AAMsAiP8/AAAAAAAAAAAATwCZ/ykAAAARAAAA/v8j/Z
j9DP4AAAAAEgA4AKcAOwAAAAAAq/+lAAYAhP8AAOj/AABw/5X+fQAAAAAAAAAAAAcAjP8/AAAADwAAAAAAKQEPAMMAAAAAALQAYwAjAG4AAAAAAKX+2f/G
/dr/AADw/wAA/f3i/2b+AAAAAAAAAAA0/f//if4AAOv+AAAAAPT+rf8v/wAAAABY/h4AlP1Z/gAAAAAIAE79///B/wAAzf4AADj+y//B/gAAAAAAAAAAR/
39/xn/AAAz/wAAAABC/5v+8v4AAAAAuv7o/17+Af8AAAAALAAv/gEAJAAAACj/AAA2Acr/JgAAAAAAAAAAAI8Ag/81/wAAiP8AAAAA/v+//8n/AAAAAPj/
+P9oAHT/AAAAAOP/jv/c/zYAAAB8/wAAeP8SACYAAAAAAAAAAAAcACf/dgAAACkAAAAAAHIB4QCS/wAAAABNADYA7/9jAAAAAADs/u//bv3K/wAAkAAAAF
f+4f+l/gAAAAAAAAAAPv3U/+v+AAA6/wAA/v/J/zkAhP8AAAAAnv5EAMH9W/8AAAAAAgBx/QgA4P8AAA//AAAj/vX++v8AAAAAAAAAAIf/gP4WAAAA3f8A
AAAAIP07/ST+AAAAAOj/gwAx//z/AAAAABb/kv/l/6X+AAD2/wAAy/3y/2b+AAAAAAAAAAA7/TIA1P4AAPv+AAAAAJX9dP3Y/QAAAAB7/gAAjv3N/gAAAA
ADAKX9BgDy/wAAAf8AAKD+8/+P/gAAAAAAAAAAYP6g/9v+AAAh/wAAJgBK/3z+iv8AAAAAa/5FAFT+pP4AAP//2f+C/hYA2P8AAPn+AABl/rb+2f8AAAAA
AAAAALL+0P7Q/wAA8v8AAAIA7Pyn/M39AAAAAN3/pP86/xkAAAAAAPD+tf7y/2T+AAD0/wgBTAFaAfz+wACmAOP+LAGR//AAx//y/tcAyP7z/rn+BwFHAb
7/9AAFAaQA2v4gAcEAgf+9/tcAEgHxAAABFQHiAI7+KgFD/90AqgCuAGv+1/9DAeIAUf/+/oP/hv9f/7MBWwG4APwB8P4+/9wADwEKAWj/9wBtAX/+WAE1
AVz+kv8=
`,
};
