"""What a study is, and which studies there are.

A study says which runs it has, given what is finished: so a run may depend on the results of
others, as the final training of an arm does on its tuning. What settles a run to the bit is its
settings, a JSON object; a hash of them is its name.
"""

import json
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from importlib import import_module
from types import MappingProxyType
from typing import Any

Settings = dict[str, Any]
Result = dict[str, Any]
PACKAGE = "dropout.experiments.studies"
CHECK = MappingProxyType({"stage": "check"})  # marks the small run that the tests train again


class UnknownError(LookupError):
    """A study or an arm that there is not, with the near names."""


@dataclass(frozen=True)
class Finished:
    """A run that is done: its settings, its result, and what it took."""

    settings: Settings
    result: Result
    seconds: float
    surroundings: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A study: its runs, what one does, and what is told of them.

    `train(**settings, device=...)` does a run and returns its result, a JSON object. It gets all
    settings but "stage", and the same ones give the same result to the bit on one machine.
    `runs(finished)` lists the settings of all runs that can be told from what is finished, in the
    order of their worth; each has an "arm". `summary(finished)` makes from them what is exported.
    `check` are the settings of a small run, which is done first and which the tests repeat.

    `beside` names the published table or figure, `scale` what is smaller here than there.
    `version` is raised when the code of a run comes to mean something else: earlier runs then count
    no longer.
    """

    name: str
    about: str
    beside: str
    scale: str
    train: Callable[..., Result]
    runs: Callable[[Sequence[Finished]], list[Settings]]
    summary: Callable[[Sequence[Finished]], Result]
    check: Settings
    version: int = 1

    def plan(self, finished: Sequence[Finished], arms: Sequence[str] = ()) -> list[Settings]:
        """All runs that can be told by now, the check first; of these arms, or of all.

        Settings are as JSON gives them back, with lists for tuples. Raises UnknownError for an
        arm that the study does not have.
        """
        runs = as_json(self.runs(finished))
        known = list(dict.fromkeys(each["arm"] for each in runs))
        for arm in arms:
            if arm not in known:
                raise UnknownError(f"study {self.name} has no arm {arm!r}{near(arm, known)}")
        return [
            as_json(self.check | CHECK),
            *(each for each in runs if not arms or each["arm"] in arms),
        ]

    def key(self, settings: Settings, device: str) -> str:
        """The name of a run: a hash of all that settles it."""
        settled = {"study": self.name, "version": self.version, "device": device} | settings
        text = json.dumps(settled, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return sha256(text.encode()).hexdigest()[:20]


def names() -> list[str]:
    """The studies of the library: one a file."""
    return [module.name for module in pkgutil.iter_modules(import_module(PACKAGE).__path__)]


def find(name: str) -> Study:
    """The study of a name, or at "module:attribute" where it is one of your own.

    Raises UnknownError, with the near names, where there is none, or its module lacks another.
    """
    module, _, attribute = name.partition(":")
    if not attribute or not all(module.split(".")):
        if name not in names():
            known = near(name, names())
            raise UnknownError(f"there is no study {name!r}{known} (your own is module:attribute)")
        module, attribute = f"{PACKAGE}.{name}", "STUDY"
    try:
        study = getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise UnknownError(f"there is no study {name!r}: {error}") from error
        raise UnknownError(f"study {name!r} cannot be imported: {error}") from error
    if not isinstance(study, Study):
        raise UnknownError(f"{name!r} is no study: {attribute} of {module} is {study!r}")
    return study


def as_json(value: Any) -> Any:
    """A value as JSON gives it back: as settings come from a store, to which they are compared.

    >>> as_json({"widths": (8, 16)})
    {'widths': [8, 16]}
    """
    return json.loads(json.dumps(value))


def near(name: str, known: Sequence[str]) -> str:
    """What might have been meant, as the end of an error message."""
    close = get_close_matches(name, known, n=3)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; there are {', '.join(known)}" if known else ""
