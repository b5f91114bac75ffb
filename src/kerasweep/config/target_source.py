"""Tells whether the code of a user's target has changed, by the syntax tree of its module."""

import ast
import hashlib
import sys
from pathlib import Path

from kerasweep.config.target import find_module, is_of_library


def source_digest(target: str, is_older: bool = False) -> str | None:
    """Returns 12 hex digits of the module's code, None if it has no source file.

    Comments, blank lines and the form of the code do not count; modules that it imports do not either. The
    module itself is not imported, its packages are.

    Args:
        target: `package.module:function`.
        is_older: Whether to return the digest of older versions, which depends on the version of Python.
    """
    if is_of_library(target):
        return None
    try:
        spec = find_module(target)
    except Exception:  # a package of the user's may raise anything; its import in a worker tells why
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError):
        return None
    text = ast.dump(tree) if is_older else _text(tree)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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
