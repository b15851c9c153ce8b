"""python -m dropout: `bench` times the engines here, `info` says which there are."""

import argparse
import json
import platform
from pathlib import Path

import torch

from dropout.bench import bench, family
from dropout.kernels.engines import serving


def info() -> dict:
    """The machine, the versions, and which engine serves which device."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu engine": serving("cpu"),
        "cuda engine": serving("cuda"),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m dropout", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="engines, versions, machine")
    timing = commands.add_parser("bench", help="times, beside PyTorch's and a plain copy")
    timing.add_argument(
        "--sizes", type=int, nargs="+", default=[1 << 10, 1 << 16, 1 << 20, 1 << 24]
    )
    timing.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"],
                        choices=["float64", "float32", "bfloat16", "float16"])  # fmt: skip
    timing.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.5])
    timing.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu",
                        choices=["cpu", "cuda"])  # fmt: skip
    timing.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args(arguments)
    if "device" in options and options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no CUDA device on this machine")
    found = info()
    print("\n".join(f"{name:12} {value}" for name, value in found.items()) + "\n")
    if options.command == "bench":
        rows = bench(options.sizes, options.dtypes, options.rates, options.device)
        kin = family(options.device)
        if options.json:
            result = {"machine": found, "rows": rows, "family": kin}
            options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
