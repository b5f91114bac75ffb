"""Reads the source of a user's target: whether it has changed, and which arguments it takes."""

import ast
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from kerasweep.config.target import find_module, is_of_library
from kerasweep.errors import ConfigError, suggestion


def source_digest(target: str, is_older: bool = False) -> str | None:
    """Returns 12 hex digits of the module's code, None if it has no source file.

    Comments, blank lines and the form of the code do not count; modules that it imports do not either. The
    module itself is not imported, its packages are.

    Args:
        target: `package.module:function`.
        is_older: Whether to return the digest of older versions, which depends on the version of Python.
    """
    tree = _tree_of(target)
    if tree is None:
        return None
    text = ast.dump(tree) if is_older else _text(tree)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_keywords(key: str, target: str, names: Iterable[str]) -> None:
    """Raises ConfigError for a keyword argument that the source of a function does not have.

    Only plain functions are decided; classes, decorated and imported functions are when they are called.

    Args:
        key: The key that names the function, as model.target; its keyword arguments are model.kwargs.
        target: `package.module:function`.
        names: The keyword arguments.
    """
    tree, name = _tree_of(target), target.partition(":")[2]
    defined = [node for node in ast.walk(tree) if getattr(node, "name", None) == name] if tree else []
    if len(defined) != 1 or not isinstance(function := defined[0], ast.FunctionDef):
        return
    arguments = function.args
    if arguments.kwarg is not None or function.decorator_list:
        return
    known = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    for unknown in [name for name in names if name not in known]:
        meant = suggestion(unknown, known, f"It takes {', '.join(known) or 'nothing'}.")
        kwargs = key.replace(".target", ".kwargs")
        raise ConfigError(f"{kwargs}.{unknown} is no argument of {key}={target}. {meant}")


def _tree_of(target: str) -> ast.Module | None:
    """Returns the syntax tree of a target's module, None if it has no source file."""
    if is_of_library(target):
        return None
    try:
        spec = find_module(target)
    except Exception:  # a package of the user's may raise anything; its import in a worker tells why
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        return ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError):
        return None


def _text(tree: ast.Module) -> str:
    """Returns the text of a tree as in Python 3.11.

    Newer versions add fields, omit empty lists, and 3.12 adds empty parts to some f-strings.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            node.values = [part for part in node.values if not _is_empty_text(part)]
    options = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(tree, **options).replace(", type_params=[]", "")


def _is_empty_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""
