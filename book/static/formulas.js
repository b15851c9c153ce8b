// Formulas and numbers that readers type: read by a small grammar, never executed; and what an answer
// is told. lib/dropout/exercises/formulas.py and forms.py do the same, in the same order; the cases of
// tests/exercises/formula_cases.json hold both to the same values and messages.
const formulas = (() => {
  const LONGEST = 200, DEEPEST = 40, LARGEST_EXPONENT = 64;
  const FUNCTIONS = {
    sqrt: Math.sqrt, exp: Math.exp, log: Math.log, ln: Math.log, abs: Math.abs, tanh: Math.tanh,
  };
  const OPERATORS = {
    "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b,
  };
  const SIGNS = {
    "−": "-", "–": "-", "·": "*", "×": "*", "⋅": "*", "∗": "*", "÷": "/", "∕": "/", ":": "/",
    "^": "**", "²": "**2", "³": "**3", "√": "sqrt ", "π": "pi", "η": "eta", "ρ": "rho",
    "[": "(", "]": ")", "{": "(", "}": ")",
  };
  const BLANK = " \t\r\n\u00a0\u2009\u202f";
  const NUMBER = "(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?";
  const NAME = "[A-Za-z_\u0370-\u03ff][A-Za-z_0-9\u0370-\u03ff]*";
  const TOKEN = new RegExp(`${NUMBER}|${NAME}|\\*\\*|[-+*/()]`, "y");
  const UNREADABLE = "This is no formula that can be read: is a bracket or an operator missing?";
  const MORE = "Next: take a hint, `q.hint()`.";
  const ROUNDED = 0.03; // so near, a number may be the right one with too few digits
  const CLOSE = "Next: it is within 3% of the answer; if you have rounded, give more digits.";

  class FormulaError extends Error {}

  const isFunction = (token) => Object.hasOwn(FUNCTIONS, token);
  const isOperand = (token) => !["+", "-", "*", "/", "**", "(", ")"].includes(token);
  const isNumeral = (token) => "0123456789.".includes(token[0]);

  function tokens(text, names) {
    for (const [sign, plain] of Object.entries(SIGNS)) text = text.replaceAll(sign, plain);
    const found = [];
    let place = 0;
    while (place < text.length) {
      if (BLANK.includes(text[place])) {
        place += 1;
        continue;
      }
      TOKEN.lastIndex = place;
      const match = TOKEN.exec(text)?.[0];
      if (match === undefined) {
        if (/[0-9],[0-9]/.test(text)) {
          throw new FormulaError("Write numbers with a point, and without commas.");
        }
        if ("\\$".includes(text[place])) {
          throw new FormulaError("Write it without LaTeX: `a/b` for `\\frac{a}{b}`, `a*b` for "
            + "`a \\cdot b`, and no dollar signs.");
        }
        throw new FormulaError("A formula may have numbers, names, + - * / ^, brackets and "
          + `${Object.keys(FUNCTIONS).join(", ")}; nothing else.`);
      }
      const before = found.at(-1) ?? "(";
      const [token, ...more] = apart(match, names);
      if (more.length && ["/", "**"].includes(before)) { // is 1/pq meant as 1/(p*q), or as 1/p*q?
        const [sign, product] = [before === "/" ? "/" : "^", [token, ...more].join("*")];
        throw new FormulaError(`\`${sign}${match}\` can be read in two ways: write `
          + `\`${sign}(${product})\` or \`${sign}${product}\`.`);
      }
      const ends = before === ")" || (isOperand(before) && !(isFunction(before) && token === "("));
      const starts = token === "(" || (isOperand(token) && !(isNumeral(token) && isNumeral(before)));
      if (ends && starts) found.push("*");
      found.push(token);
      for (const name of more) found.push("*", name);
      place += match.length;
    }
    return found;
  }

  // The names that are written together in a token: "pq" is p and q, unless it is a name.
  function apart(token, names) {
    if (names.includes(token) || isFunction(token)) return [token];
    const known = [...names].sort((a, b) => b.length - a.length).join("|");
    return new RegExp(`^(?:${known})+$`).test(token) ? token.match(new RegExp(known, "g")) : [token];
  }

  function parse(text, names) {
    if ([...text].length > LONGEST) {
      throw new FormulaError(`The formula is longer than ${LONGEST} characters.`);
    }
    const rest = tokens(text.slice(text.lastIndexOf("=") + 1), names).reverse();
    if (!rest.length) throw new FormulaError("There is no formula yet.");
    let depth = 0;
    const nextIs = (...wanted) => rest.length > 0 && wanted.includes(rest.at(-1));

    function sum() {
      let tree = product();
      while (nextIs("+", "-")) tree = [rest.pop(), tree, product()];
      return tree;
    }
    function product() {
      let tree = signed();
      while (nextIs("*", "/")) tree = [rest.pop(), tree, signed()];
      return tree;
    }
    function signed() {
      depth += 1;
      if (depth > DEEPEST) throw new FormulaError("The formula is nested too deeply.");
      let tree;
      if (nextIs("+", "-")) {
        tree = [`sign ${rest.pop()}`, signed()];
      } else {
        tree = atom();
        if (nextIs("**")) tree = [rest.pop(), tree, signed()];
      }
      depth -= 1;
      return tree;
    }
    function atom() {
      if (!rest.length || !(nextIs("(") || isOperand(rest.at(-1)))) throw new FormulaError(UNREADABLE);
      const token = rest.pop();
      if (token === "(") return bracketed();
      if (isNumeral(token)) return ["number", Number(token)];
      if (isFunction(token)) {
        if (!nextIs("(")) throw new FormulaError(`\`${token}\` needs its argument in brackets.`);
        rest.pop();
        return ["call", token, bracketed()];
      }
      if (!names.includes(token)) {
        throw new FormulaError(`There is no \`${token}\` here: write it in ${listed(names)}.`);
      }
      return ["name", token];
    }
    function bracketed() {
      const tree = sum();
      if (!nextIs(")")) throw new FormulaError(UNREADABLE);
      rest.pop();
      return tree;
    }

    const tree = sum();
    if (rest.length) throw new FormulaError(UNREADABLE);
    return tree;
  }

  function listed(names) {
    const quoted = names.map((name) => `\`${name}\``);
    const last = quoted.pop();
    return quoted.length ? `${quoted.join(", ")} and ${last}` : last;
  }

  // The value of a tree; NaN where it, or a part of it, has none.
  function evaluate([kind, left, right], values) {
    const part = (tree) => evaluate(tree, values);
    let value;
    if (kind === "number") value = left;
    else if (kind === "name") value = values[left];
    else if (kind === "call") value = FUNCTIONS[left](part(right));
    else if (kind === "sign -") value = -part(left);
    else if (kind === "sign +") value = part(left);
    else if (kind === "**") {
      const [base, exponent] = [part(left), part(right)];
      value = Number.isNaN(base) || !(Math.abs(exponent) <= LARGEST_EXPONENT) ? NaN : base ** exponent;
    } else value = OPERATORS[kind](part(left), part(right));
    return Number.isFinite(value) ? value : NaN;
  }

  const same = (a, b) => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));

  // A number to four digits, as Python's `%.4g` writes it: halves go to the even digit.
  function shown(value) {
    if (value === 0) return Object.is(value, -0) ? "-0" : "0";
    const [mantissa, power] = Math.abs(value).toExponential(60).split("e");
    const digits = mantissa.replace(".", "");
    const [rest, half] = [digits.slice(4), `5${"0".repeat(digits.length - 5)}`];
    let [first, exponent] = [Number(digits.slice(0, 4)), Number(power)];
    if (rest > half || (rest === half && first % 2)) first += 1;
    if (first === 10000) [first, exponent] = [1000, exponent + 1];
    const sign = value < 0 ? "-" : "";
    if (exponent >= -4 && exponent < 4) {
      return sign + String(Number(`${first}e${exponent - 3}`).toFixed(Math.max(0, 3 - exponent)))
        .replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
    }
    const short = String(first).replace(/(.)/, "$1.").replace(/\.?0+$/, "");
    return `${sign}${short}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }

  // ---- answers: what they are told ------------------------------------------------------------

  const told = (passed, message = "") => ({ passed, message, read: true });

  function number(text) {
    text = text.trim();
    if (!text) throw new FormulaError("There is no number yet.");
    let tree;
    try {
      tree = parse(text.replace(/%+$/, ""), ["pi", "e"]);
    } catch {
      throw new FormulaError(
        "This is no number: write one with a point, without commas and without a unit, such as "
        + "`0.25`, `2/3`, `50%` or `ln(2)`.");
    }
    const value = evaluate(tree, { pi: Math.PI, e: Math.E }) / (text.endsWith("%") ? 100 : 1);
    if (!Number.isFinite(value)) throw new FormulaError("A finite number is asked for.");
    return value;
  }

  const filled = (text, values) => text.replace(/\{([^{}]*)\}/g, (_, formula) =>
    shown(evaluate(parse(formula, Object.keys(values)), values)));

  function judgeNumber(asked, answer) {
    const value = number(answer);
    const near = (wanted) => Math.abs(value - wanted) <= asked.within * (Math.abs(wanted) || 1);
    if (near(asked.answer)) return told(true, asked.after);
    const says = asked.wrong.find(([wrong]) => near(wrong))?.[1];
    let gap = filled(asked.follows, { answer: value });
    if (asked.reveals) {
      gap = `You said ${shown(value)}; it is ${shown(asked.answer)}.\n\n${gap}`.trim();
      return told(false, says ? `${gap}\n\n${says}` : gap);
    }
    gap ||= `${shown(value)} is too ${value > asked.answer ? "large" : "small"}.`;
    const rounded = asked.within < ROUNDED
      && Math.abs(value - asked.answer) <= ROUNDED * Math.abs(asked.answer);
    return told(false, `${gap}\n\n${says ?? (rounded ? CLOSE : MORE)}`);
  }

  function judgeChoice(asked, answer) {
    const text = answer.trim().toLowerCase();
    const letter = Object.keys(asked.options).find((key) => asked.options[key].toLowerCase() === text)
      ?? text.replace(/^[()[\]. :'"]+|[()[\]. :'"]+$/g, "");
    if (!Object.hasOwn(asked.options, letter)) {
      return { ...told(false, `Choose one of ${listed(Object.keys(asked.options))}, as text.`), read: false };
    }
    if (letter === asked.answer) return told(true, asked.after);
    const says = asked.wrong.find(([wrong]) => wrong === letter)[1];
    const gap = asked.reveals ? `You said ${letter}; it is ${asked.answer}.\n\n` : "";
    return told(false, gap + says);
  }

  function judgeFormula(asked, answer) {
    const names = [...asked.names, ...asked.also];
    const values = (text) => {
      const tree = parse(text, names);
      return asked.points.map((point) => evaluate(tree, point));
    };
    const [found, wanted] = [values(answer), values(asked.answer)];
    const k = found.findIndex((value, i) => !same(value, wanted[i]));
    if (k < 0) return told(true, asked.after);
    const place = asked.names.map((name) => `${name} = ${shown(asked.points[k][name])}`).join(", ");
    const yours = Number.isNaN(found[k]) ? "has no value" : `is ${shown(found[k])}`;
    const alike = (a, b) => same(a, b) || (Number.isNaN(a) && Number.isNaN(b));
    const says = asked.wrong.find(([wrong]) => values(wrong).every((v, i) => alike(found[i], v)))?.[1];
    return told(false, `At ${place} yours ${yours}; ${shown(wanted[k])} is wanted.\n\n${says ?? MORE}`);
  }

  const JUDGES = { number: judgeNumber, choice: judgeChoice, formula: judgeFormula };

  // What an answer, a text, is told: `passed`, `message`, and `read`, whether it could be read.
  function judge(asked, answer) {
    try {
      return JUDGES[asked.form](asked, answer);
    } catch (error) {
      if (error instanceof FormulaError) return { passed: false, message: error.message, read: false };
      throw error;
    }
  }

  return { parse, evaluate, shown, same, judge, short: (text) => shown(number(text)) };
})();
