"""A reader's code, run so that the notebook outlives it: timed, quietly, on fixed coins."""

import contextlib
import ctypes
import io
import random
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from dropout.exercises.probes import Broken, Watched, copied, shown

OURS = __file__.rpartition("exercises")[0]
# What PyTorch says where a module's own `__init__` does not call that of `Module`.
NO_INIT = re.compile(r"before Module\.__init__\(\)|no attribute '_(modules|parameters|\w+_hooks)'")
AGAIN = 0.2  # seconds after which an answer that survives its time limit is stopped again
PATIENCE = 5  # times that it is
AT_ONCE = 1e-5  # seconds between the alarms for one that survives that as well
LATE = 0.01  # seconds in which another thread hands on the last alarm


class TimeUp(BaseException):
    """Raised in code that runs too long; no Exception, which the code might catch."""


def limited(body: Callable[[], Any], seconds: float) -> Any:
    """What the body returns. Raises TimeUp in it after `seconds`, and nothing once it has ended.

    By the alarm clock where this is the main thread of a system that has one, which also ends a
    sleep. Elsewhere the body has a thread of its own, in which Python raises TimeUp at its next
    step; one that does not listen is left behind.
    """
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        return _under_alarm(body, seconds)
    return _in_a_thread(body, seconds)


def _under_alarm(body: Callable[[], Any], seconds: float) -> Any:
    before = signal.getsignal(signal.SIGALRM) or signal.SIG_DFL
    rings, over = 0, False

    def ring(_: int, frame: Any) -> None:
        nonlocal rings
        rings += 1
        if rings == PATIENCE:  # it catches whatever is raised: so ring where it catches, too
            signal.setitimer(signal.ITIMER_REAL, AT_ONCE, AT_ONCE)
        if not over and (frame is None or frame.f_code not in deaf):
            raise TimeUp

    deaf = (_under_alarm.__code__, ring.__code__)  # the body is over, or about to be stopped
    signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        return body()
    finally:
        over = True  # another thread may hand on an alarm late, which `ring` must still hear
        signal.setitimer(signal.ITIMER_REAL, 0)
        if rings:
            time.sleep(LATE)
        signal.signal(signal.SIGALRM, before)


def _in_a_thread(body: Callable[[], Any], seconds: float) -> Any:
    found: dict[str, Any] = {}
    over, lock = threading.Event(), threading.Lock()

    def run_body() -> None:
        try:
            found["value"] = body()
        except BaseException as error:
            found["error"] = error
        finally:
            with lock:
                over.set()

    def stop() -> None:
        with lock:  # a thread that is over could not take it, and Python would never forget it
            if not over.is_set():
                target = ctypes.c_ulong(thread.ident or 0)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(TimeUp))

    thread = threading.Thread(target=run_body, daemon=True)
    thread.start()
    try:
        for wait in (seconds, *[AGAIN] * PATIENCE):
            if over.wait(wait):
                break
            stop()
        else:
            raise TimeUp
    except KeyboardInterrupt:
        stop()
        raise
    if "error" in found:
        raise found["error"]
    return found["value"]


@contextlib.contextmanager
def own_coins(key: int) -> Iterator[None]:
    """The global generators of random, NumPy and PyTorch begun at a key, and put back after."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(key)
    np.random.seed(key)  # noqa: NPY002
    torch.manual_seed(key)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def run(body: Callable[[], Any], watched: Any, seconds: float, key: int) -> Any:
    """What the body returns. Raises Broken, with words for the reader, for whatever goes wrong."""
    try:
        with (
            own_coins(key),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            return limited(body, seconds)
    except TimeUp:
        raise Broken(
            f"{called(watched)} does not end within {seconds:g} seconds.",
            "look for a loop whose condition never becomes false",
        ) from None
    except Broken:
        raise
    except (Exception, SystemExit) as error:
        raise Broken(*fault(error, watched)) from None


def called(watched: Any) -> str:
    return f"`{watched.text}`" if isinstance(watched, Watched) else "Your code"


def fault(error: BaseException, watched: Any) -> tuple[str, str]:
    """The gap and the next step for an error of the reader's code."""
    words = " ".join(str(error).split())
    words = words if len(words) <= 150 else words[:150] + "…"
    if "cuda" in words.lower():
        return (
            f"{called(watched)} asks for a GPU: `{words}`.",
            "leave out `.cuda()`; no exercise needs one",
        )
    if NO_INIT.search(words):
        return f"{called(watched)} raises `{words}`.", "begin `__init__` with `super().__init__()`"
    line = line_of(error)
    if line is None and isinstance(watched, Watched) and not watched.inside:
        return (
            f"{called(watched)} gives `{shown(watched.out)}`, which has not the shape wanted.",
            "look at the shape of what your function returns",
        )
    where = f" in line {line} of your code" if line else ""
    name = type(error).__name__
    said = f"`{name}: {words}`" if words else f"`{name}`"
    step = "give it the parameters that the question names"
    if line:
        step = "mend that line"
    elif isinstance(error, AttributeError):
        step = "keep the names that are asked for"
    return f"{called(watched)} raises {said}{where}.", step


def line_of(error: BaseException) -> int | None:
    """The line of the reader's cell that an error comes from: the last one outside of packages."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename
        and not frame.filename.startswith((sys.base_prefix, OURS))
    ]
    return lines[-1] if lines else None


# ---- lists, arrays and tensors alike ----------------------------------------------------------


def plain(value: Any) -> Any:
    """Arrays, tensors and lists as lists of numbers. Raises TypeError for what holds others."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().to(torch.float64).tolist()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        if all(type(part) is float for part in value):
            return list(value)
        return [plain(part) for part in value]
    if not isinstance(value, int | float):
        raise TypeError(a(value))
    return float(value)


def a(value: Any) -> str:
    """A value's type, with its article, for a sentence."""
    if isinstance(value, type):
        return f"the class `{value.__name__}`"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} `{name}`"


def as_array(value: Any) -> Any:
    return np.array(value, dtype=float) if isinstance(value, list) else value


def as_tensor(value: Any) -> Any:
    # Gradients are asked for by those checks that need them.
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, list) else value


def libraries(function: Callable[..., Any]) -> set[str]:
    """The libraries whose modules or functions a function names."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    found = [getattr(function, "__globals__", {}).get(name) for name in names]
    modules = [getattr(each, "__module__", None) or getattr(each, "__name__", "") for each in found]
    return {str(module).partition(".")[0] for module in modules}


class Alike(Watched):
    """A function on lists, whatever the reader wrote it for: lists, arrays or tensors.

    Each call tries first what worked last, to begin with what the function's own words suggest.
    """

    def __init__(self, function: Callable[..., Any], name: str):
        uses = libraries(function)
        self.makes = (
            [as_tensor, as_array, copied] if "torch" in uses
            else [as_array, copied, as_tensor] if "numpy" in uses
            else [copied, as_array, as_tensor]
        )  # fmt: skip
        super().__init__(function, name, self.makes[0], plain)

    def __call__(self, *given: Any) -> Any:
        first: BaseException | None = None
        for make in sorted(self.makes, key=lambda make: make is not self.make):
            try:
                out = self.called(make, *given)
            except (TypeError, AttributeError, ValueError) as error:
                # The wrong kind of input, or the reader's fault: then all three fail.
                first = first or error
            else:
                self.make = make
                return out
        assert first is not None
        self.inside = True
        raise first
