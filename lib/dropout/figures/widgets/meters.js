/* Which explanation: what four meters show when a part of dropout is taken away (chapter 09).

   Nothing is trained here: the numbers are those of the chapter's study, book/results/why_it_helps.json. */

export const about = {
  title: "A meter that falls with dropout need not be why the loss falls",
  words:
    "Networks of this chapter's study, each way tuned, at p = 1/2. Take a part of dropout away: does the " +
    "gain go, and which meters move?",
};

/* For each arm of the study five quantities, each the means over three networks for each of five
   training sets, in units of 0.0001: test loss of one network with scaled weights, and of 50 masks
   averaged; what the loss rises without the most important unit; interaction; correlation. */
export const STUDY = {
  "no dropout": [
    [2987, 3072, 4010, 4472, 3997], [10029, 10164, 10209, 10728, 9815], [1894, 2245, 1358, 2935, 1134],
    [1528, 1540, 1665, 1182, 1710], [3367, 3193, 3361, 3353, 3232],
  ],
  "dropout": [
    [2849, 2570, 3197, 4625, 2980], [3423, 3262, 3610, 4261, 3221], [132, 94, 79, 119, 37],
    [545, 753, 632, 400, 719], [3207, 3348, 3267, 3356, 3380],
  ],
  "Gaussian noise": [
    [2713, 2541, 3063, 4363, 2816], [3535, 3425, 3730, 4350, 3323], [117, 105, 92, 130, 43],
    [625, 786, 684, 458, 851], [3225, 3407, 3296, 3372, 3384],
  ],
  "8 masks a step": [
    [2781, 2621, 3125, 4542, 2941], [3485, 3403, 3677, 4317, 3282], [122, 107, 86, 140, 42],
    [596, 794, 658, 424, 781], [3226, 3360, 3318, 3395, 3375],
  ],
  "formula": [
    [2670, 2569, 3308, 4433, 3214], [4932, 4938, 5322, 5705, 5133], [255, 223, 215, 277, 173],
    [1057, 1243, 1220, 975, 2034], [2925, 3106, 2858, 2906, 3042],
  ],
  "formula for groups of 8": [
    [3249, 3202, 3934, 4876, 3952], [9303, 9196, 9296, 9509, 8643], [722, 687, 953, 1123, 607],
    [1955, 1901, 1743, 1507, 2265], [3433, 3472, 3492, 3338, 3514],
  ],
  "fixed partners 2": [
    [2814, 2779, 3230, 5086, 3224], [4192, 4501, 4569, 5250, 4202], [230, 256, 198, 285, 134],
    [902, 1181, 1045, 739, 1176], [3469, 3578, 3475, 3611, 3620],
  ],
  "fixed partners 4": [
    [2998, 3100, 3607, 4920, 3697], [6637, 6896, 6760, 7070, 6408], [466, 515, 494, 514, 307],
    [1426, 1642, 1391, 1176, 1866], [3716, 3786, 3707, 3776, 3856],
  ],
  "fixed partners 8": [
    [3323, 3465, 3934, 4999, 4049], [9086, 8950, 8830, 9209, 8253], [722, 827, 901, 1016, 521],
    [2035, 1962, 1748, 1805, 2511], [3895, 3944, 3934, 4097, 3962],
  ],
  "fixed partners 16": [
    [3302, 3324, 4074, 5137, 4177], [9554, 9437, 9363, 10068, 8970], [1018, 1240, 1066, 1238, 953],
    [1965, 1880, 1895, 1612, 2202], [3868, 3814, 3646, 3972, 3885],
  ],
  "changing partners 2": [
    [2810, 2703, 3124, 4478, 2861], [3652, 3590, 3823, 4457, 3384], [131, 133, 98, 137, 47],
    [626, 748, 686, 466, 877], [3252, 3385, 3313, 3391, 3381],
  ],
  "changing partners 4": [
    [2809, 2639, 3216, 4688, 2993], [3481, 3408, 3712, 4382, 3277], [123, 108, 104, 138, 45],
    [571, 815, 607, 408, 762], [3276, 3421, 3308, 3381, 3370],
  ],
  "changing partners 8": [
    [2758, 2769, 3319, 4852, 2962], [3543, 3578, 3851, 4524, 3347], [122, 122, 116, 140, 46],
    [649, 736, 604, 411, 772], [3185, 3341, 3277, 3343, 3353],
  ],
  "changing partners 16": [
    [2724, 2640, 3083, 4594, 2884], [3651, 3546, 3820, 4476, 3393], [137, 113, 99, 150, 55],
    [750, 859, 663, 447, 815], [3210, 3307, 3250, 3366, 3386],
  ],
  "weight decay": [
    [3053, 2340, 3042, 3239, 3175], [8812, 8495, 8622, 9088, 8469], [1286, 1124, 1503, 1507, 943],
    [1126, 1333, 1270, 1015, 1489], [3534, 3459, 3200, 3753, 3485],
  ],
};

const WAYS = {
  none: { name: "no dropout", does: "Neither coins nor noise." },
  dropout: { name: "dropout", does: "A coin for each unit and each image." },
  normal: {
    name: "normal noise", arm: "Gaussian noise",
    does: "No unit is ever missing: normal noise of the coins' variance.",
  },
  masks: {
    name: "8 masks a step",
    does:
      "Each step averages eight masks, an eighth of the jitter. Jitter as the reason predicts that the gain " +
      "shrinks.",
  },
  formula: {
    name: "formula R", arm: "formula",
    does:
      "R in place of coins. Noise as a penalty predicts that the gain stays, averaging that it goes, jitter that " +
      "it shrinks.",
  },
  groups: {
    name: "R for groups of 8", arm: "formula for groups of 8",
    does: "R, but it charges what eight neighbours say together, and no unit by itself.",
  },
  fixed: {
    name: "fixed partners",
    does: "The same units always share a coin. Co-adaptation as the reason predicts that the gain goes.",
  },
  changing: {
    name: "changing partners",
    does: "Several units share a coin, but who they are is drawn anew in each step.",
  },
  decay: { name: "weight decay", does: "No noise: each step pulls the weights towards 0, another way to regularise." },
};

export const controls = [
  {
    key: "way", label: "train with", type: "choice", value: "dropout",
    options: Object.fromEntries(Object.entries(WAYS).map(([key, { name }]) => [key, name])),
  },
  {
    key: "size", label: "units on a coin", type: "range", min: 1, max: 4, step: 1, value: 3,
    show: (k) => String(2 ** k),
  },
  { key: "all", label: "show all ways", type: "check", value: false },
];

const METERS = [
  { name: "The most important unit costs", unit: " nats", of: ([, , worst]) => worst },
  { name: "Two units interact", unit: "", of: ([, , , interaction]) => interaction },
  { name: "Two units correlate", unit: "", of: ([, , , , correlation]) => correlation },
  {
    name: "50 masks cost more than one net", unit: " nats",
    of: ([loss, averaged]) => averaged.map((each, set) => each - loss[set]),
  },
];

const STEP = 24, BOTTOM = 250; // of the rows, in pixels

const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;

/* The arm of the study that a way is, with `size` units on a coin where partners share one. */
export function arm(way, size) {
  if (way !== "fixed" && way !== "changing") return WAYS[way].arm ?? WAYS[way].name;
  return `${WAYS[way].name} ${size}`;
}

/* An arm's test loss as a share of that without dropout: of each training set, mean, standard error. */
export function gain(name) {
  const sets = STUDY[name][0].map((loss, set) => loss / STUDY["no dropout"][0][set]);
  const middle = mean(sets);
  const error = (mean(sets.map((each) => (each - middle) ** 2)) / (sets.length - 1)) ** 0.5;
  return { sets, mean: middle, error, loss: mean(STUDY[name][0]) / 1e4 };
}

/* What a meter shows of an arm: value, and as shares of the mean without dropout its mean and training sets. */
export function meter(k, name) {
  const [sets, plain] = [name, "no dropout"].map((each) => METERS[k].of(STUDY[each]));
  return { value: mean(sets) / 1e4, mean: mean(sets) / mean(plain), sets: sets.map((each) => each / mean(plain)) };
}

/* What has become of the gain, in words: of a share of the loss and its standard error. */
export function verdict(share, error) {
  if (Math.abs(share - 1) < error) return "no gain that shows";
  if (share < 0.9) return "the gain stays";
  if (share > 1) return "the gain is gone";
  const whole = gain("dropout");
  const within = share - whole.mean < whole.error;
  return within ? "the gain is smaller, within the error of dropout's" : "the gain shrinks";
}

export default {
  render({ model, el, base }) {
    const { make, text } = base;
    const left = base.panel(el, { height: 288, label: "The test loss as a share of that without dropout" });
    const right = base.panel(el, { height: 288, label: "Four meters as shares of what they show without dropout" });
    const tall = "min-height: clamp(5.7em, 24em - 40vw, 12em)"; // of the longest sentence, on a phone too
    const said = base.sentence(el, tall);
    base.predict(el, {
      question:
        "With formula R no coin is tossed, and the gain stays. How strongly do two units interact then, as a share " +
        "of that without dropout?",
      min: 0, max: 2, step: 0.01,
      truth: () => meter(1, "formula").mean,
      told: (guess, truth) =>
        `You said ${guess}, it is ${text(truth)}, where dropout has ${text(meter(1, "dropout").mean)}: ` +
        "the formula has the gain with nearly the old interaction.",
      done: () => model.set("way", "formula"),
    });

    const tried = new Set(); // a way's marks stay once it has been chosen
    base.onReset(() => {
      tried.clear();
      update();
    });

    const ways = Object.keys(WAYS);
    const row = (k) => 36 + STEP * k;
    const strip = (k) => 80 + 2 * STEP * k;
    const share = base.linear([0.68, 1.17], [142, 314]);
    const across = base.linear([-0.1, 1.72], [6, 314]);
    const flat = base.linear([0, 1], [BOTTOM, BOTTOM]);
    left.svg.style.cursor = "pointer";
    left.svg.addEventListener("click", (event) => {
      const k = Math.round((left.at(event)[1] - row(0)) / STEP);
      if (ways[k]) model.set("way", ways[k]);
    });

    const words = (x, y, what, look) => make("text", { x, y, ...look }, what);
    const stroke = (d, colour, width = 1) => make("path", { d, stroke: colour, "stroke-width": width, fill: "none" });
    const box = (x, y, width, height, colour, more) => make("rect", { x, y, width, height, fill: colour, ...more });
    const outline = { fill: "none", stroke: "var(--ink)", "stroke-width": 1.5 };
    const ring = (x, y, r) => make("circle", { cx: x, cy: y, r, ...outline });
    const gone = (name) => gain(name).mean > 1;
    const colour = (name) => (gone(name) ? "var(--c-vermillion)" : "var(--c-blue)");
    const shared = (way) => way === "fixed" || way === "changing";
    const called = (way, size) => WAYS[way].name + (shared(way) ? `, ${size}` : "");

    /* An arm's mark: a disc, or a cross where the gain is gone. */
    function mark(x, y, name, r, of, paint = colour(name)) {
      if (!gone(name)) return make("circle", { cx: x, cy: y, r, fill: paint, class: of });
      const cross = `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`;
      return make("path", { d: cross, stroke: paint, "stroke-width": 2.2, class: of });
    }

    /* The five training sets of an arm. */
    function dots(places, y, paint) {
      const disc = (x) => `M${(x - 1.8).toFixed(1)} ${y}a1.8 1.8 0 1 1 3.6 0a1.8 1.8 0 1 1 -3.6 0`;
      return make("path", { d: places.map(disc).join(""), fill: paint, opacity: 0.5 });
    }

    function update() {
      const [way, size] = [model.get("way"), 2 ** model.get("size")];
      tried.add("none").add("dropout").add(way);
      const shown = ways.filter((each) => model.get("all") || tried.has(each));
      drawGain(way, size, shown);
      drawMeters(way, size, shown);
      say(way, size);
    }

    function drawGain(way, size, shown) {
      const xTicks = [0.7, 0.8, 0.9, 1, 1.1];
      base.axes(left, share, flat, { xLabel: "share of the loss that is left", yTicks: 0, xTicks });
      const here = ways.indexOf(way);
      const out = [
        words(0, 14, "Test loss", { "font-weight": 650 }),
        box(-4, row(here) - 10, 324, 21, "var(--field)", { rx: 3, stroke: "var(--line)" }),
        stroke(`M${share(1)} 22V${BOTTOM}`, "var(--c-grey)"),
      ];
      ways.forEach((each, k) => {
        const [y, name] = [row(k), arm(each, size)];
        out.push(words(0, y + 4, called(each, size)));
        if (!shown.includes(each)) {
          out.push(words(228, y + 4, "?", { "text-anchor": "middle" }));
          return;
        }
        const { sets, mean: middle, error } = gain(name);
        if (each !== "none") {
          const [low, high] = [middle - error, middle + error].map((each) => share(each).toFixed(1));
          out.push(dots(sets.map(share), y, colour(name)), stroke(`M${low} ${y}H${high}`, colour(name), 2));
        }
        out.push(mark(share(middle), y, name, k === here ? 5.5 : 4.5, "gain"));
      });
      left.plot.replaceChildren(...out);
    }

    function drawMeters(way, size, shown) {
      const xTicks = [0, 0.5, 1, 1.5];
      base.axes(right, across, flat, { xLabel: "share of the mean without dropout", yTicks: 0, xTicks });
      const chosen = arm(way, size);
      const others = shown.filter((each) => ![way, "none", "dropout"].includes(each)).map((each) => arm(each, size));
      const out = [
        words(0, 14, "Four meters with", { "font-weight": 650 }),
        mark(151, 10, chosen, 5),
        words(163, 14, called(way, size)),
        ring(7, 32, 6),
        words(19, 36, "dropout"),
        box(88, 26, 22, 12, "var(--line)", { opacity: 0.7 }),
        words(117, 36, "training sets without dropout"),
      ];
      METERS.forEach(({ name, unit }, k) => {
        const y = strip(k);
        const { value, mean: middle, sets } = meter(k, chosen);
        const plain = meter(k, "no dropout").sets.map(across);
        const low = Math.min(...plain);
        out.push(
          words(0, y - 14, name),
          words(320, y - 14, `${text(value, 3)}${unit}`, { "text-anchor": "end", class: "value" }),
          box(low, y - 6, Math.max(...plain) - low, 12, "var(--line)", { opacity: 0.7 }),
          stroke(`M6 ${y}H314`, "var(--line)"),
          stroke(`M${across(1)} ${y - 10}v20`, "var(--c-grey)"),
          ...others.map((other) => mark(across(meter(k, other).mean), y, other, 3, "other", "var(--c-grey)")),
          ring(across(meter(k, "dropout").mean), y, 7.5),
          dots(sets.map(across), y, colour(chosen)),
          mark(across(middle), y, chosen, 5, "chosen"),
        );
      });
      right.plot.replaceChildren(...out);
    }

    function say(way, size) {
      const name = arm(way, size);
      const { mean: middle, error, loss } = gain(name);
      const became = { dropout: "this is the gain", decay: "a gain too" }[way] ?? verdict(middle, error);
      const shares = METERS.map((_, k) => text(meter(k, name).mean));
      said(
        make("b", {}, `${called(way, size)}${shared(way) ? " on a coin" : ""}. `),
        `${WAYS[way].does} Test loss ${text(loss, 3)} nats: `,
        ...(way === "none"
          ? ["all shares are of this."]
          : [make("b", {}, `${text(middle)} ± ${text(error)}`), ` of that without dropout is left; ${became}.`]),
        ` The meters, as shares of those without dropout: ${shares.slice(0, 3).join(", ")} and ${shares[3]}.`,
      );
    }

    model.on("change", update);
    update();
  },
};
