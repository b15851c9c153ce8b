"""Make book/static/vendor/micropython.js anew: MicroPython as text in a classic script.

    npm pack @micropython/micropython-webassembly-pyscript@1.27.0
    tar xf micropython-*.tgz
    python -m tests.exercises.vendor package

A page opened from disk may load a classic script, and neither a module nor a .wasm file.
"""

import base64
import gzip
import json
import sys
from pathlib import Path

FILE = Path(__file__).parents[2] / "book/static/vendor/micropython.js"
HEAD = """// MicroPython {version} for WebAssembly, variant pyscript, unchanged: base64 of gzip. MIT
// licence, see micropython.LICENSE. Made by tests/exercises/vendor.py.
"""


def script(package: Path) -> str:
    """The classic script for an unpacked npm package."""
    version = json.loads((package / "package.json").read_text("utf-8"))["version"]
    parts = {
        kind: base64.b64encode(
            gzip.compress((package / f"micropython.{kind}").read_bytes(), 9, mtime=0)
        ).decode()
        for kind in ("mjs", "wasm")
    }
    return HEAD.format(version=version) + f"const MICROPYTHON = {json.dumps(parts)};\n"


if __name__ == "__main__":
    FILE.write_text(script(Path(sys.argv[1])), "utf-8")
