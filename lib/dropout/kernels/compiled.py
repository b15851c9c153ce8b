"""Functions that Numba compiles, and their code on disk, so that only the first process waits.

Numba's own cache has an index that all code of one name shares: two processes that write it at once
may leave the code of one signature or processor under another's name, and what was cut short stops
every later process. Here each piece of code has a file of its own, which begins with a digest of
the rest and of all that the code was made from. What does not agree with it is compiled anew.
"""

import pickle
import warnings
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

DIGEST = 32  # bytes


class Cache(FunctionCache):
    """Numba's cache of a function, with other files."""

    def _file(self, signature, codegen) -> tuple[Path, bytes]:
        """Where code is, and what it is made from: Numba, the source, the types, the processor."""
        key = self._index_key(signature, codegen)
        made_from = repr((numba.__version__, self._impl.locator.get_source_stamp(), key)).encode()
        name = f"{self._impl.filename_base}.{sha256(repr(key[:2]).encode()).hexdigest()[:16]}.nbc"
        return Path(self.cache_path, name), made_from

    def load_overload(self, sig, target_context):
        rtsys.initialize(target_context)  # all that kept code needs; what compiles loads the rest
        path, made_from = self._file(sig, target_context.codegen())
        try:
            content = path.read_bytes()
            code = content[DIGEST:]
            whole = sha256(made_from + code).digest() == content[:DIGEST]
            return self._impl.rebuild(target_context, pickle.loads(code)) if whole else None
        except Exception:  # there is none, or none that can be read here
            return None

    def save_overload(self, sig, data):
        path, made_from = self._file(sig, data.codegen)
        try:
            self._impl.locator.ensure_cache_path()
            code = dumps(self._impl.reduce(data))
            with self._cache_file._open_for_write(str(path)) as file:  # whole or not at all
                file.write(sha256(made_from + code).digest() + code)
        except Exception as error:
            _not_kept(getattr(error, "strerror", None) or type(error).__name__)


@lru_cache
def _not_kept(reason: str) -> None:
    warnings.warn(
        "dropout compiles its code anew in each process, which takes seconds: it cannot be kept "
        f"on disk ({reason}). NUMBA_CACHE_DIR may name another folder",
        stacklevel=2,
    )


def compiled(function: Callable[..., Any], signature: Any) -> Any:
    """A function as Numba compiles it for a signature.

    While it runs it holds no lock on the interpreter. Its qualified name tells it from all others.
    """
    dispatcher: Any = numba.njit(nogil=True)(function)
    try:
        dispatcher._cache = Cache(function)
    except Exception as error:
        no_folder = "no locator" in str(error)
        _not_kept("no folder for it can be written" if no_folder else type(error).__name__)
    dispatcher.compile(signature)
    return dispatcher
