"""Reads the source of a user's target: whether it has changed, and which arguments it takes."""

import ast
import hashlib
import sys
from collections.abc import Iterable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from kerasweep.config.target import (
    KEYS_THAT_MAY_NAME_TARGETS,
    bind_arguments,
    bind_nothing,
    find_module,
    is_of_library,
)
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


def check_call(key: str, target: str, names: Iterable[str] = ()) -> None:
    """Raises ConfigError if the source of a function shows that it cannot be called as kerasweep will.

    Only plain functions and classes are decided; decorated and imported ones are when they are called.

    Args:
        key: The key that names the function, as model.target; its keyword arguments are model.kwargs.
        target: `package.module:function`.
        names: The keyword arguments.
    """
    defined = _defined_in_source(target)
    if defined is None:
        return
    signature, origin, kwargs = _signature_of(defined), f"{key}={target}", key.replace(".target", ".kwargs")
    names = list(names)
    if key == "training.loss" and isinstance(defined, ast.FunctionDef):
        bind_arguments(origin, signature, 0, 1, kwargs={}, key="labels and probabilities")
    elif key in KEYS_THAT_MAY_NAME_TARGETS:
        bind_nothing(key, target, signature)
    else:
        _check_names(signature, origin, kwargs, names)
        positional, given = (0, 1) if key == "model.target" else (), dict.fromkeys(names)
        if key == "model.target":
            kwargs = f"input_shape, num_classes and {kwargs}"
        elif key == "optimizer.target":
            given, kwargs = {"learning_rate": None, **given}, f"learning_rate, clipnorm and {kwargs}"
        bind_arguments(origin, signature, *positional, kwargs=given, key=kwargs)


def _check_names(signature: Signature, origin: str, kwargs: str, names: Iterable[str]) -> None:
    """Raises ConfigError for a keyword argument that a signature lacks."""
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if Parameter.VAR_KEYWORD in kinds:
        return
    known = list(signature.parameters)
    for unknown in [name for name in names if name not in known]:
        meant = suggestion(unknown, known, f"It takes {', '.join(known) or 'nothing'}.")
        raise ConfigError(f"{kwargs}.{unknown} is no argument of {origin}. {meant}")


def _defined_in_source(target: str) -> ast.FunctionDef | ast.ClassDef | None:
    """Returns the definition of a function or class, None if its import alone tells what it takes."""
    tree, name = _tree_of(target), target.partition(":")[2]
    found = [node for node in ast.walk(tree) if getattr(node, "name", None) == name] if tree else []
    if len(found) != 1 or not isinstance(defined := found[0], (ast.FunctionDef, ast.ClassDef)):
        return None
    if not all("register_keras_serializable" in ast.unparse(line) for line in defined.decorator_list):
        return None
    if isinstance(defined, ast.ClassDef) and _init_of(defined) is None:
        return None
    return defined


def _init_of(defined: ast.ClassDef) -> ast.FunctionDef | None:
    methods = [node for node in defined.body if isinstance(node, ast.FunctionDef)]
    return next((method for method in methods if method.name == "__init__"), None)


def _signature_of(defined: ast.FunctionDef | ast.ClassDef) -> Signature:
    """Returns the signature of a function or of a class that has an __init__, without annotations."""
    method = _init_of(defined) if isinstance(defined, ast.ClassDef) else None
    arguments = (method or defined).args  # type: ignore[union-attr]
    positional = [
        *((argument.arg, Parameter.POSITIONAL_ONLY) for argument in arguments.posonlyargs),
        *((argument.arg, Parameter.POSITIONAL_OR_KEYWORD) for argument in arguments.args),
    ]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    parameters = [
        Parameter(name, kind, default=_default(value))
        for (name, kind), value in zip(positional, defaults, strict=True)
    ][method is not None :]
    if arguments.vararg:
        parameters.append(Parameter(arguments.vararg.arg, Parameter.VAR_POSITIONAL))
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters.append(Parameter(argument.arg, Parameter.KEYWORD_ONLY, default=_default(value)))
    if arguments.kwarg:
        parameters.append(Parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD))
    return Signature(parameters)


def _default(value: ast.expr | None) -> Any:
    return Parameter.empty if value is None else _Code(ast.unparse(value))


class _Code(str):
    """The code of a default, which a signature shows as it is."""

    __repr__ = str.__str__


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
