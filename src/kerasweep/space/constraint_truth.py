"""Decides from the values that keys may have whether a constraint can hold, and whether it can fail.

It is interval arithmetic, which bounds parts one by one: it may answer both too often, never too rarely.
"""

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from kerasweep.space.constraint import KEYWORDS, SAFE_WITH_NULL, Constraint, apply_operator, key_of

MAX_VALUES = 1000
BOTH = frozenset({True, False})


@dataclass(frozen=True)
class Interval:
    """All real numbers from low to high."""

    low: float
    high: float


# What a key or a part may be: one of these values, or a number of an interval; None if it is unknown.
Possible = tuple[Any, ...] | Interval | None


def possible_truths(constraint: Constraint, values: Callable[[str], Possible]) -> frozenset[bool]:
    """Returns the truth values that a constraint may have.

    Args:
        constraint: The constraint.
        values: Returns what a key may be.

    Example:
        >>> from kerasweep.space.constraint import read_constraints
        >>> (rule,) = read_constraints(["model.kernel_size < 9"])
        >>> sorted(possible_truths(rule, lambda key: (3, 5)))
        [True]
    """
    return _truths(constraint.tree, values)


def _truths(node: ast.expr, values: Callable[[str], Possible]) -> frozenset[bool]:
    if isinstance(node, ast.BoolOp):
        return _joined([_truths(part, values) for part in node.values], isinstance(node.op, ast.Or))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return frozenset(not truth for truth in _truths(node.operand, values))
    if isinstance(node, ast.Compare):
        operands = [_possible(operand, values) for operand in (node.left, *node.comparators)]
        pairs = zip(node.ops, pairwise(operands), strict=True)
        return _joined([_compared(symbol, *pair) for symbol, pair in pairs], False)
    possible = _possible(node, values)
    return frozenset(map(bool, possible)) if isinstance(possible, tuple) and None not in possible else BOTH


def _joined(parts: list[frozenset[bool]], is_or: bool) -> frozenset[bool]:
    """Returns what `or` or `and` of the parts may be: one part decides, or all parts agree."""
    decides = {is_or} if any(is_or in part for part in parts) else set()
    agrees = {not is_or} if all((not is_or) in part for part in parts) else set()
    return frozenset(decides | agrees)


def _possible(node: ast.expr, values: Callable[[str], Possible]) -> Possible:
    if isinstance(node, ast.Constant):
        return (node.value,)
    if isinstance(node, (ast.Name, ast.Attribute)):
        key = key_of(node)
        assert key is not None
        return (KEYWORDS[key],) if key in KEYWORDS else values(key)
    if isinstance(node, (ast.List, ast.Tuple)):
        elements = [_possible(element, values) for element in node.elts]
        return _combined(lambda *chosen: list(chosen), elements)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _combined(lambda left, right: left - right, [(0,), _possible(node.operand, values)])
    if isinstance(node, ast.BinOp):
        left, right = _possible(node.left, values), _possible(node.right, values)
        exact = _combined(lambda *pair: apply_operator(node.op, *pair), [left, right])
        return exact if exact is not None else _corners(node.op, _hull(left), _hull(right))
    return tuple(_truths(node, values))


def _combined(compute: Callable[..., Any], operands: Sequence[Possible]) -> Possible:
    """Returns the results of all combinations of values, None if there are too many or one has none."""
    listed = [operand for operand in operands if isinstance(operand, tuple) and None not in operand]
    if len(listed) < len(operands) or math.prod(map(len, listed)) > MAX_VALUES:
        return None
    try:
        return tuple(compute(*chosen) for chosen in product(*listed))
    except (TypeError, ArithmeticError):  # check_types names these values
        return None


def _hull(possible: Possible) -> Interval | None:
    """Returns the interval that contains all values, None unless all are numbers."""
    if not isinstance(possible, tuple):
        return possible
    are_numbers = all(isinstance(value, (int, float)) and not math.isnan(value) for value in possible)
    return Interval(min(possible), max(possible)) if possible and are_numbers else None


def _corners(kind: ast.operator, left: Interval | None, right: Interval | None) -> Possible:
    """Returns the interval of a sum, difference, product or quotient; its ends come from theirs."""
    if left is None or right is None or not isinstance(kind, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
        return None
    if isinstance(kind, ast.Div) and right.low <= 0 <= right.high:
        return None
    ends = product((left.low, left.high), (right.low, right.high))
    results = [apply_operator(kind, *pair) for pair in ends]
    return Interval(min(results), max(results))


def _compared(kind: ast.cmpop, left: Possible, right: Possible) -> frozenset[bool]:
    if isinstance(kind, SAFE_WITH_NULL) and isinstance(left, tuple) and isinstance(right, tuple):
        pairs = list(product(left, right))
        if len(pairs) <= MAX_VALUES and not (isinstance(kind, (ast.In, ast.NotIn)) and None in right):
            try:
                return frozenset(bool(apply_operator(kind, *pair)) for pair in pairs)
            except TypeError:  # check_types names these values
                return BOTH
    one, other = _hull(left), _hull(right)
    if one is None or other is None:
        exact = _combined(lambda *pair: bool(apply_operator(kind, *pair)), [left, right])
        return frozenset(exact) if isinstance(exact, tuple) else BOTH
    if isinstance(kind, (ast.Eq, ast.NotEq)):
        are_apart = one.high < other.low or other.high < one.low
        return frozenset({isinstance(kind, ast.NotEq)}) if are_apart else BOTH
    if isinstance(kind, (ast.Gt, ast.GtE)):
        one, other = other, one
    if isinstance(kind, (ast.Lt, ast.Gt)):
        always, never = one.high < other.low, one.low >= other.high
    elif isinstance(kind, (ast.LtE, ast.GtE)):
        always, never = one.high <= other.low, one.low > other.high
    else:
        return BOTH
    return frozenset({True}) if always else frozenset({False}) if never else BOTH
