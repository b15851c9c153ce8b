"""What a check is written with: plain Python on numbers and lists, for CPython and MicroPython.

A check is a generator. It calls the answer, and yields an `expect(...)` for each property in turn;
the first that does not hold is reported, with the counter-example, and the rest is not run. The
book's pages run this same file in MicroPython.
"""

import math

FALSE_ALARM = 1e-7  # of one statistical property; a check has at most ten
LONGEST = 8  # numbers of a list that a message shows; half as many lists of half as many


class Broken(Exception):
    """An answer that a check cannot go on with: `args` are the gap and the next step."""


def expect(claim, holds, gap="", step="", sign=""):
    """One property: what is claimed, whether it holds, and for the reader where it does not.

    `gap` says what came and what was wanted, at a concrete input; `step` is one thing to do next.
    `sign` is what tells one misconception from another: the gap itself, unless that is random.
    """
    return claim, bool(holds), gap, step, sign or gap


def saw(answer, out, want, note=""):
    """The gap of the last call: what it gave, and what was wanted."""
    return f"`{answer.text}` gives `{shown(out)}`; `{shown(want)}` is wanted{note}."


def shown(value, longest=LONGEST):
    """A number to four digits, a list to eight numbers; anything else as it is written."""
    if isinstance(value, (list, tuple)):
        longest //= 1 + any(isinstance(part, (list, tuple)) for part in value)
        parts = [shown(part, longest) for part in value[:longest]]
        return "[" + ", ".join(parts + ["…"] * (len(value) > longest)) + "]"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def flat(value):
    """The numbers of a list of lists, in order."""
    if not isinstance(value, (list, tuple)):
        return [value]
    found = []
    for part in value:
        if isinstance(part, (list, tuple)):
            found.extend(flat(part))
        else:
            found.append(part)
    return found


def shape(value):
    """The lengths of a list of lists: [2, 3] for two rows of three."""
    if not isinstance(value, list):
        return []
    return [len(value)] + (shape(value[0]) if value else [])


def close(found, wanted, tolerance=1e-5):
    """Whether numbers, or lists of numbers, are the same to a relative and absolute tolerance."""
    if isinstance(found, list) or isinstance(wanted, list):
        if shape(found) != shape(wanted):
            return False
        found, wanted = flat(found), flat(wanted)
    else:
        found, wanted = [found], [wanted]
    return all(abs(a - b) <= tolerance * max(1.0, abs(b)) for a, b in zip(found, wanted))


def mean(values):
    """The mean of a list of numbers, or of lists of lists."""
    numbers = flat(values)
    return sum(numbers) / len(numbers)


def plausible(count, total, probability):
    """Whether `count` of `total` fair trials of a probability is no wonder.

    It is refused with a chance of at most FALSE_ALARM where the probability is right (Chernoff's
    bound, which holds for every number of trials).
    """
    share = count / total
    distance = 0.0  # the Kullback-Leibler divergence of the share from the probability
    for part, wanted in ((share, probability), (1 - share, 1 - probability)):
        if part:
            if not wanted:
                return False
            distance += part * math.log(part / wanted)
    return total * distance <= math.log(2 / FALSE_ALARM)


# ---- calling an answer ----------------------------------------------------------------------


def copied(value):
    return [copied(part) for part in value] if isinstance(value, (list, tuple)) else value


class Watched:
    """A reader's function under a check: its calls are known, its inputs kept, its outputs plain.

    `make` turns the lists of a call into what the function takes, `plain` its result into numbers
    and lists.
    """

    def __init__(self, function, name, make=copied, plain=copied):
        self.function, self.name, self.make, self.plain = function, name, make, plain
        self.text = f"{name}(…)"
        self.inside = False  # whether an error comes from the reader's code
        self.out = None  # what the last call gave

    def __call__(self, *given):
        return self.called(self.make, *given)

    def called(self, make, *given):
        self.text = f"{self.name}({', '.join(shown(value) for value in given)})"
        handed = [make(value) for value in given]
        self.inside = True
        out = self.function(*handed)
        self.inside = False
        self.out = out
        if out is None:
            raise Broken(f"`{self.text}` gives `None`.", "end the function with `return`")
        for before, after in zip(given, handed):
            now = self.plain(after) if isinstance(before, (list, tuple)) else before
            if flat(now) != flat(before):
                raise Broken(
                    f"`{self.text}` changes its input, which is then `{shown(now)}`.",
                    "make a new list or array for the result",
                )
        try:
            self.out = self.plain(out)
        except TypeError as error:
            raise Broken(
                f"`{self.text}` gives {error}, where numbers are wanted.", "return numbers"
            ) from None
        return self.out


def judge(check, answer):
    """Run a check. Returns what the first broken property is (its claim and sign; None where all
    hold), its gap, the claims that hold, and the next step. Errors of the answer are raised.
    """
    held: list = []
    try:
        for claim, holds, gap, step, sign in check(answer):
            if not holds:
                return f"{claim}\n{sign}", gap, held, step
            held.append(claim)
    except Broken as broken:
        return f"\n{broken.args[0]}", broken.args[0], held, broken.args[1]
    return None, "", held, ""


def compose(gap, misconception, held, step):
    """The message: the gap, the misconception, what already holds, one next step."""
    holds = f"What holds: {'; '.join(held)}." if held else ""
    step = f"Next: {step}{'' if step.endswith('?') else '.'}" if step else ""
    parts = [gap, misconception, holds, step]
    return "\n\n".join(part for part in parts if part)
