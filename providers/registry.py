"""Which providers there are: the modules of this folder that define `build(environ)`."""

import ast
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import providers
from providers.contract import Provider


@cache
def names() -> tuple[str, ...]:
    """Every provider's name, in alphabetical order. Nothing is imported: an SDK costs a second that only its users should pay."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(providers.__path__) if _defines_build(module)))


def build(name: str, environ: Mapping[str, str]) -> Provider:
    """Make the provider of this name from its own variables.

    Raises:
        BadEnvironment: with every problem of its variables.
    """
    provider: Provider = importlib.import_module(f"providers.{name}").build(environ)
    return provider


def _defines_build(module: pkgutil.ModuleInfo) -> bool:
    spec = module.module_finder.find_spec(module.name, None)
    if spec is None or spec.origin is None:
        return False
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return any(function.name == "build" and [a.arg for a in function.args.args] == ["environ"] for function in functions)
