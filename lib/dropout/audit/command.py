"""`python -m dropout audit module:factory`."""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from torch import nn

from dropout.audit import AuditError, audit

FORMS = "(model, inputs) or (model, inputs, keywords)"


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Audit what a factory makes: 0 where nothing is found, 1 where something is.

    What cannot be audited ends in the parser's error, whose exit status is 2; of a module or a
    factory that fails, the traceback comes first.
    """
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.absolute().parent}")
    model, inputs, keywords = _made(options.factory, parser)
    try:
        findings = audit(model, *inputs, **keywords)
    except AuditError as error:
        parser.error(str(error))
    print(findings)
    if options.json:
        options.json.write_text(findings.to_json(indent=1) + "\n", "utf-8")
    return 1 if findings else 0


def _fails(what: str, error: Exception, parser: argparse.ArgumentParser) -> NoReturn:
    traceback.print_exception(error)
    parser.error(f"{what}: {type(error).__name__}: {error}")


def _made(name: str, parser: argparse.ArgumentParser) -> tuple[nn.Module, tuple, dict[str, Any]]:
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        parser.error(f"{name!r} is no module:factory, such as my_package.models:make")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  (as `python -m` has it)
    try:
        factory: Any = importlib.import_module(module)
        for part in path.split("."):
            factory = getattr(factory, part)
    except (ImportError, AttributeError) as error:
        parser.error(f"{name!r} cannot be imported: {error}")
    except Exception as error:
        _fails(f"{name!r} cannot be imported", error, parser)
    if not callable(factory):
        parser.error(f"{name} must be a function of no arguments, got {type(factory).__name__}")
    try:
        made = factory()
    except Exception as error:
        _fails(f"{name} fails", error, parser)
    if not isinstance(made, tuple) or not 2 <= len(made) <= 3 or not isinstance(made[0], nn.Module):
        kind = type(made).__name__
        parser.error(f"{name} must return {FORMS}, with a torch.nn.Module first, got {kind}")
    model, inputs = made[:2]
    keywords = made[2] if len(made) > 2 else {}
    if not isinstance(keywords, Mapping):
        parser.error(f"{name}: keywords must be a dictionary, got {type(keywords).__name__}")
    inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    return model, inputs, dict(keywords)
