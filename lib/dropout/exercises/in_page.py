"""How the book's pages judge a reader's code: run by MicroPython, in one space with probes.py.

Plain Python, as in probes.py; `running.py` does the same for notebooks.
"""

import io
import json
import math
import sys

from dropout.exercises.probes import Broken, Watched, compose, copied, judge, shown

ANSWER = "answer"  # the name of the reader's source in tracebacks
KEY = 20260114  # where the coins begin in a check
NO_LIBRARY = "use lists and `random`; with NumPy and PyTorch it can be worked in the notebook"
LACKING = "mend that line; the page's Python lacks `match` and `[*a, b]`, which the notebook has"
TYPESET = "“”„‘’‚–—−×·"  # signs of typeset text, which come with code that was pasted


class Coins:
    """What the page's `random` has: Wichmann and Hill's generator, whose numbers are all small.

    An object of it stands for the module, and has the class as its `Random`.
    """

    def __init__(self, key=None):
        self.count = 0
        self.seed(key)

    def seed(self, key=None):
        self.count += 1
        key = self.count if key is None else key if isinstance(key, int) else hash(key)
        key = (key * 2654435761 + 1013904223) & 0xFFFFFFFFFFFF
        key ^= key >> 21
        self.state = [1 + (key >> shift) % 30000 for shift in (0, 14, 28)]
        for _ in range(8):
            self.random()

    def random(self):
        a, b, c = self.state
        a, b, c = 171 * a % 30269, 172 * b % 30307, 170 * c % 30323
        self.state = [a, b, c]
        return (a / 30269 + b / 30307 + c / 30323) % 1.0

    def uniform(self, a, b):
        return a + (b - a) * self.random()

    def randrange(self, start, stop=None):
        start, stop = (0, start) if stop is None else (start, stop)
        return start + int(self.random() * (stop - start))

    def randint(self, a, b):
        return self.randrange(a, b + 1)

    def getrandbits(self, bits):
        value = 0
        for _ in range(bits):
            value = 2 * value + (self.random() < 0.5)
        return value

    def choice(self, items):
        return items[self.randrange(len(items))]

    def choices(self, items, weights=None, k=1):
        if weights is None:
            return [self.choice(items) for _ in range(k)]
        return [self._weighed(items, weights) for _ in range(k)]

    def _weighed(self, items, weights):
        left = self.random() * sum(weights)
        for item, weight in zip(items, weights):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def shuffle(self, items):
        for k in range(len(items) - 1, 0, -1):
            other = self.randrange(k + 1)
            items[k], items[other] = items[other], items[k]

    def sample(self, items, k):
        items = list(items)
        self.shuffle(items)
        return items[:k]

    def gauss(self, mu=0.0, sigma=1.0):
        radius = math.sqrt(-2 * math.log(1 - self.random()))
        return mu + sigma * radius * math.cos(2 * math.pi * self.random())

    normalvariate = gauss


class Itertools:
    """Of `itertools`, which MicroPython lacks, what exercises on masks want."""

    @staticmethod
    def product(*sources, repeat=1):
        rows = [()]
        for source in [list(source) for source in sources] * repeat:
            rows = [row + (item,) for row in rows for item in source]  # type: ignore[misc]
        return iter(rows)

    @staticmethod
    def combinations(items, count):
        items = list(items)
        if count == 0:
            yield ()
        for k, item in enumerate(items):
            if count:
                for rest in Itertools.combinations(items[k + 1 :], count - 1):
                    yield (item,) + rest

    @staticmethod
    def chain(*sources):
        for source in sources:
            yield from source

    @staticmethod
    def accumulate(items):
        total = None
        for item in items:
            total = item if total is None else total + item
            yield total

    @staticmethod
    def repeat(item, times):
        return iter([item] * times)


class Math:
    """`math` with those of CPython's functions that MicroPython lacks."""

    def __init__(self):
        for name in dir(math):
            if not name.startswith("__"):
                setattr(self, name, getattr(math, name))
        self.fsum = sum
        self.dist = lambda a, b: math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)))

    @staticmethod
    def prod(items, start=1):
        for item in items:
            start = start * item
        return start

    @staticmethod
    def comb(n, k):
        value = 1
        for j in range(k):
            value = value * (n - j) // (j + 1)
        return value


def zipped(*sources, strict=False):
    """`zip` with its `strict`, which MicroPython's lacks."""
    if not strict:
        return zip(*sources)
    lists = [list(source) for source in sources]
    if len({len(each) for each in lists}) > 1:
        raise ValueError("zip() arguments have different lengths")
    return zip(*lists)


def modules():
    """What the page adds to MicroPython's modules."""
    coins = Coins(KEY)
    coins.Random = Coins  # type: ignore[attr-defined]
    return {"random": coins, "itertools": Itertools, "math": Math()}


def verdict(text):
    """What a reader's source is told, as JSON: `passed`, `message`, and whether it was `read`.

    The job is JSON too: the reader's `source` and the `given` one, the `name` that is asked for and
    what the check `takes`, the `check`'s source, the `misconceptions`, and what is said `after`.
    """
    job = json.loads(text)
    if squeezed(job["source"]) == squeezed(job["given"]):
        return json.dumps({"passed": False, "message": "Not attempted yet.", "read": False})
    passed, message = judged(job)
    return json.dumps({"passed": passed, "message": message, "read": True})


def squeezed(source):
    """A source without empty lines and trailing blanks."""
    return [line.rstrip() for line in source.split("\n") if line.strip()]


def judged(job):
    watched = None
    try:
        answer = defined(job["source"], job["name"])
        if job["takes"] == "lists":
            answer = watched = Watched(answer, job["name"], copied, plain)
        space = dict(globals())
        exec(job["check"], space)
        broken, gap, held, step = judge(space[job["check_name"]], answer)
    except Broken as error:
        gap, step = error.args
        broken, held = "\n" + gap, []
    except (Exception, SystemExit) as error:
        gap, step = fault(error, watched, job["source"])
        broken, held = "\n" + gap, []
    if broken is None:
        return True, (compose("", "", held, "") + "\n\n" + job["after"]).strip()
    return False, compose(gap, job["misconceptions"].get(broken), held, step)


def defined(source, name):
    """The function or class that a source defines under a name."""
    space = {"__name__": ANSWER, "zip": zipped}
    exec(compile(source + "\n", ANSWER, "exec"), space)
    if not callable(space.get(name)):
        raise Broken(f"Your code defines no `{name}`.", "keep the name that is asked for")
    return space[name]


def plain(value):
    """Lists and tuples of numbers as lists. Raises TypeError for what holds anything else."""
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if not isinstance(value, (int, float)):
        name = type(value).__name__
        raise TypeError(f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} `{name}`")
    return float(value)


def fault(error, watched, source):
    """The gap and the next step for an error of the reader's code."""
    called = f"`{watched.text}`" if watched else "Your code"
    words = " ".join(str(error).split())
    words = words if len(words) <= 150 else words[:150] + "…"
    name = type(error).__name__
    if isinstance(error, ImportError):
        alone = "in the page there is Python alone, with `math`, `random` and `itertools`"
        return f"{called} raises `{name}: {words}`: {alone}.", NO_LIBRARY
    line = line_of(error)
    if line is None and watched and not watched.inside:
        return (
            f"{called} gives `{shown(watched.out)}`, which has not the shape wanted.",
            "look at the shape of what your function returns",
        )
    where = f" in line {line}{' of your code' if watched else ''}" if line else ""
    said = f"`{name}: {words}`" if words else f"`{name}`"
    return f"{called} raises {said}{where}.", remedy(error, line, source)


def remedy(error, line, source):
    """The next step for an error in a line of the reader's source, or in none."""
    if line is None:
        if isinstance(error, AttributeError):
            return "keep the names that are asked for"
        return "give it the parameters that the question names"
    text = (source.split("\n") + [""] * line)[line - 1]
    odd = [sign for sign in TYPESET if sign in text]
    if odd and isinstance(error, (SyntaxError, NameError)):
        return f"type `{odd[0]}` anew in that line: it is a sign of typeset text, and not Python's"
    lacking = isinstance(error, SyntaxError) and ("*" in text or "match " in text)
    return LACKING if lacking else "mend that line"


def line_of(error):
    """The line of the reader's source that an error comes from."""
    stream = io.StringIO()
    sys.print_exception(error, stream)  # type: ignore[attr-defined]
    mark = f'File "{ANSWER}", line '
    lines = [row.split(mark)[1] for row in stream.getvalue().split("\n") if mark in row]
    return int(lines[-1].split(",")[0]) if lines else None


sys.modules.update(modules()) if sys.implementation.name == "micropython" else None
