"""Tells whether the code of a user's target has changed, by the syntax tree of its module."""

import ast
import hashlib
import importlib.util
import sys
from pathlib import Path


def source_digest(target: str) -> str | None:
    """Returns 12 hex digits of the module's code, None if it has no source file.

    Comments, blank lines and the form of the code do not count; modules that it imports do not either. The
    module itself is not imported, its packages are.

    Args:
        target: `package.module:function`.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        spec = importlib.util.find_spec(target.partition(":")[0])
    except Exception:  # a package of the user's may raise anything; its import in a worker tells why
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError):
        return None
    return hashlib.sha256(_text(tree).encode()).hexdigest()[:12]


def _text(tree: ast.Module) -> str:
    """Returns the text of a tree as in Python 3.11: newer versions add fields, and omit empty lists."""
    options = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(tree, **options).replace(", type_params=[]", "")
