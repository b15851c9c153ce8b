"""What the reader's shell says does not reach the chapters."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HOSTILE = {
    "DOCUTILSCONFIG": "{}/docutils.conf",
    "DROPOUT_SEED_SHIFT": "7",
    "IPYTHONDIR": "{}",
    "JUPYTER_CONFIG_DIR": "{}",
    "JUPYTER_CONFIG_PATH": "{}",
    "JUPYTER_DATA_DIR": "{}",
    "JUPYTER_PATH": "{}",
    "JUPYTER_RUNTIME_DIR": "{}",
    "MATPLOTLIBRC": "{}/matplotlibrc",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "{}",
    "NUMBA_DISABLE_JIT": "1",
    "PYTHONIOENCODING": "latin-1",
    "PYTHONOPTIMIZE": "1",
    "PYTHONPATH": "{}",
    "PYTHONSAFEPATH": "1",
    "PYTHONSTARTUP": "{}/startup.py",
    "PYTHONWARNINGS": "error",
    "TORCH_LOGS": "all",
}
READ = 'raise SystemExit("what belongs to the reader was read")'
FILES = {
    "matplotlibrc": "figure.figsize: 1, 1\nsvg.fonttype: none\n",
    "cycler.py": READ,  # a module that Matplotlib imports
    "startup.py": READ,
    "ipython_kernel_config.py": READ,
    "profile_default/startup/a.py": READ,
    "kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "x", "language": "python"}',
}

RUN = """
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
cells = [
    "import matplotlib.pyplot as plt",
    "from dropout import figures\\nfigures.use_style()",
    "plt.plot([1, 2])\\nplt.show()\\nprint('two ½')",
    "try:\\n    assert 0\\nexcept AssertionError:\\n    print('assertions hold')",
    "from dropout.training.seeds import seed\\nprint(seed(0))",
]
notebook = new_notebook(cells=[new_code_cell(each.replace("\\\\n", "\\n")) for each in cells])
NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
for cell in notebook.cells:
    for output in cell.outputs:
        print(output.get("name"), output.get("text", "").strip(), sorted(output.get("data", {})))
"""


@pytest.fixture
def hostile(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {name: value.format(tmp_path) for name, value in HOSTILE.items()}


def seen_by_recipes(environment: dict[str, str]) -> dict[str, str]:
    """The variables that make hands to the programs it starts."""
    make = shutil.which("make") or pytest.skip("no make here")
    done = subprocess.run(
        [make, "--silent", "--eval=show-environment: ; @env -0", "show-environment"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)


def run(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        encoding="utf-8",
    )
    return done.stdout


def test_make_hands_none_of_it_on(hostile, tmp_path):
    seen = seen_by_recipes(os.environ | hostile)
    assert not [name for name, value in seen.items() if str(tmp_path) in value]
    assert not [name for name in hostile if seen.get(name) == hostile[name]]
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        assert seen[name].startswith(f"{ROOT}/_build/")


def test_make_hands_on_what_it_has_no_reason_to_keep(monkeypatch):
    wanted = {"DROPOUT_DATA": "/data", "PYTHON": "python3.12", "CHROMIUM": "/bin/c", "PATH": "/bin"}
    seen = seen_by_recipes(os.environ | wanted)
    assert {name: seen.get(name) for name in wanted} == wanted


def test_a_notebook_draws_and_asserts_as_ever(hostile):
    quiet = {name: value for name, value in os.environ.items() if name not in HOSTILE}
    said = run(seen_by_recipes(quiet | hostile))
    assert "['image/svg+xml', 'text/plain']" in said
    assert "assertions hold" in said
    assert "stderr" not in said
    assert said == run(seen_by_recipes(quiet))


def test_a_figure_is_shown_where_the_backend_shows_nothing(tmp_path):
    quiet = {name: value for name, value in os.environ.items() if name not in HOSTILE}
    said = run(quiet | {"MPLBACKEND": "Agg", "IPYTHONDIR": str(tmp_path)})
    assert "['image/svg+xml', 'text/plain']" in said


def test_the_hostile_values_do_harm_where_they_arrive(hostile):
    assert "assertions hold" not in run(os.environ | {"PYTHONOPTIMIZE": "1"})
    for name in ("PYTHONPATH", "IPYTHONDIR"):
        assert "svg" not in run(os.environ | {name: hostile[name]}), name
