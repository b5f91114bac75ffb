"""Reads and evaluates constraints: expressions in a small part of Python's grammar."""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasweep.errors import ConfigError

Lookup = Callable[[str], Any]
EXAMPLE = "training.batch_size * model.kernel_size <= 320, or optimizer == 'adam' or optimizer.momentum < 0.9"
KEYWORDS = {"null": None, "true": True, "false": False}
OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}
# With a text or a list these could make one that exceeds the memory.
FOR_NUMBERS = {ast.Mult: "*", ast.Mod: "%"}
SAFE_WITH_NULL = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


class _Null(Exception):
    """A key that is null was compared or used in a calculation."""


@dataclass(frozen=True)
class Constraint:
    """An expression that a configuration must satisfy.

    A comparison or calculation with a key that is null, such as the strength of no regularizer, is
    undecided. `and` and `or` ignore an undecided part; a constraint that is undecided as a whole holds.
    """

    text: str  # as the user wrote it
    tree: ast.expr
    keys: frozenset[str]  # the keys and config groups that it names
    source: str  # the config key that it belongs to, for errors

    def concerns(self, axis: str) -> bool:
        """Returns whether it names an axis or a key below the axis."""
        return any(key == axis or key.startswith(f"{axis}.") for key in self.keys)

    def holds(self, lookup: Lookup, by_default: bool = True) -> bool:
        """Returns whether a configuration satisfies it.

        Args:
            lookup: Returns the value of a key or config group.
            by_default: The result if the expression is undecided.

        Raises:
            ConfigError: Values cannot be compared, such as a number with a name.
        """
        try:
            return bool(_value(self.tree, lookup))
        except _Null:
            return by_default
        except (TypeError, ArithmeticError) as error:
            values = ", ".join(f"{key}={lookup(key)}" for key in sorted(self.keys))
            raise ConfigError(f"{self.source}: {self.text!r} fails with {values}: {error}.") from error


def read_constraints(texts: Sequence[str], source: str = "study.constraints") -> tuple[Constraint, ...]:
    """Reads the constraints of a study.

    Args:
        texts: One expression each.
        source: The config key that they belong to, for errors.

    Raises:
        ConfigError: A text is not an allowed expression. The message names the first.
    """
    return tuple(_read(text, source) for text in texts)


def _read(text: str, source: str) -> Constraint:
    keys: set[str] = set()
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        _check(tree, keys)
    except SyntaxError as error:
        raise ConfigError(
            f"{source}: {text!r} cannot be read: {error.msg}. Write what must hold, as in {EXAMPLE}."
        ) from error
    return Constraint(text, tree, frozenset(keys), source)


def _check(tree: ast.expr, keys: set[str]) -> None:
    """Collects the keys; raises SyntaxError if there are none, or if a part is not allowed."""
    _collect(tree, keys)
    if not keys:
        raise SyntaxError("it names no key")


def _collect(node: ast.expr, keys: set[str]) -> None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str, type(None))):
        return
    if isinstance(node, (ast.Name, ast.Attribute)):
        key = key_of(node)
        if key is None:
            raise SyntaxError(f"{ast.unparse(node)} is not a key")
        keys |= {key} - set(KEYWORDS)
        return
    operators, operands = _parts(node)
    if not operands and not isinstance(node, (ast.List, ast.Tuple)):
        raise SyntaxError(f"{ast.unparse(node)} is not allowed")
    for symbol in operators:
        if type(symbol) not in OPERATORS:
            raise SyntaxError(f"{type(symbol).__name__} is not allowed")
    for operand in operands:
        _collect(operand, keys)


def _parts(node: ast.expr) -> tuple[list[Any], list[ast.expr]]:
    """Returns the operators and operands of an allowed expression; none for other expressions."""
    if isinstance(node, ast.BoolOp):
        return [], node.values
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        return [], [node.operand]
    if isinstance(node, ast.BinOp):
        return [node.op], [node.left, node.right]
    if isinstance(node, ast.Compare):
        return list(node.ops), [node.left, *node.comparators]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [], node.elts
    return [], []


def key_of(node: ast.expr) -> str | None:
    """Returns the dotted key that an expression names, None if it names none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = key_of(node.value)
        return f"{above}.{node.attr}" if above is not None else None
    return None


def _value(node: ast.expr, lookup: Lookup) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        key = key_of(node)
        assert key is not None
        return KEYWORDS[key] if key in KEYWORDS else lookup(key)
    if isinstance(node, ast.BoolOp):
        return _chain(node, lookup)
    if isinstance(node, ast.UnaryOp):
        operand = _value(node.operand, lookup)
        return not operand if isinstance(node.op, ast.Not) else -operand
    if isinstance(node, ast.BinOp):
        return apply_operator(node.op, _value(node.left, lookup), _value(node.right, lookup))
    if isinstance(node, ast.Compare):
        values = [_value(operand, lookup) for operand in [node.left, *node.comparators]]
        pairs = zip(node.ops, values[:-1], values[1:], strict=True)
        return all(apply_operator(symbol, left, right) for symbol, left, right in pairs)
    assert isinstance(node, (ast.List, ast.Tuple))
    return [_value(element, lookup) for element in node.elts]


def _chain(node: ast.BoolOp, lookup: Lookup) -> bool:
    """Evaluates `and` and `or` from left to right until a part decides; ignores undecided parts."""
    ends = isinstance(node.op, ast.Or)
    is_undecided = False
    for part in node.values:
        try:
            if bool(_value(part, lookup)) is ends:
                return ends
        except _Null:
            is_undecided = True
    if is_undecided:
        raise _Null
    return not ends


def apply_operator(kind: Any, left: Any, right: Any) -> Any:
    """Computes or compares two values. Raises TypeError if the operator does not take them."""
    if (left is None or right is None) and not isinstance(kind, SAFE_WITH_NULL):
        raise _Null
    sign = FOR_NUMBERS.get(type(kind))
    for value in (left, right) if sign else ():
        if not isinstance(value, (int, float)):
            raise TypeError(f"{sign} takes numbers, but got {value!r}")
    return OPERATORS[type(kind)](left, right)
