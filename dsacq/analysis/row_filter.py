"""Which rows of a table to show: conditions as a user types them, and the order of a column.

`photons > 2000 and sigma_z_um < 0.05` is read as Python would, but nothing is run: of the syntax
tree only names of columns, numbers, comparisons, and/or/not and parentheses are known. A comma
between digits begins the decimals, as a point does.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

Indices = NDArray[np.intp]

EXAMPLE = "photons > 2000 and sigma_z_um < 0.05"
_DECIMAL_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")
_LONGEST = 500  # characters: what is nested deeper than Python can follow is refused
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def parsed(text: str, columns: Collection[str]) -> ast.expr:
    """The condition in a text. Raises SettingsError, saying what is wrong."""
    if len(text) > _LONGEST:
        raise SettingsError(f"The filter is longer than {_LONGEST} characters; shorten it.")
    try:
        tree = ast.parse(_DECIMAL_COMMA.sub(".", text.strip()), mode="eval").body
        _check_condition(tree, columns)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SettingsError(
            f"The filter {text!r} is not a condition; write it as in {EXAMPLE}."
        ) from None
    return tree


def passing(table: "pd.DataFrame", condition: ast.expr) -> Indices:
    """Rows of the table that fulfil a condition from `parsed`, rising."""
    with np.errstate(over="ignore"):  # a number too large for a column is infinite there
        return np.flatnonzero(_holds(table, condition))


def ordered(values: NDArray[Any], *, ascending: bool) -> Indices:
    """Rows in the order of their values, unknown ones (NaN) last."""
    order = np.argsort(values, kind="stable")
    if ascending:
        return order
    known = len(values) - int(np.count_nonzero(values != values))
    return np.concatenate([order[:known][::-1], order[known:]])


def _check_condition(node: ast.expr, columns: Collection[str]) -> None:
    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                _check_condition(part, columns)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            _check_condition(part, columns)
        case ast.Compare(left=left, ops=kinds, comparators=others):
            for kind in kinds:
                if type(kind) not in _COMPARISONS:
                    raise _not_known(kind)
            for value in (left, *others):
                _check_value(value, columns)
        case _:
            raise SettingsError(
                f"The filter needs comparisons joined by and, or, not; {ast.unparse(node)!r} is "
                f"none. Write it as in {EXAMPLE}."
            )


def _check_value(node: ast.expr, columns: Collection[str]) -> None:
    match node:
        case ast.Name(id=name):
            if name not in columns:
                raise SettingsError(
                    f"The filter names {name!r}; the columns are {', '.join(columns)}."
                )
        case ast.Constant(value=bool()):
            raise _not_known(node)
        case ast.Constant(value=int() | float()):
            pass
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            pass
        case _:
            raise _not_known(node)


def _not_known(node: ast.AST) -> SettingsError:
    told = ast.unparse(node) or type(node).__name__.lower()
    return SettingsError(
        f"The filter knows only columns, numbers, < <= > >= == !=, and, or, not; not {told!r}."
    )


def _holds(table: "pd.DataFrame", node: ast.expr) -> NDArray[np.bool_]:
    match node:
        case ast.BoolOp(op=joining, values=parts):
            join = np.logical_and if isinstance(joining, ast.And) else np.logical_or
            held = _holds(table, parts[0])
            for part in parts[1:]:
                join(held, _holds(table, part), out=held)
            return held
        case ast.UnaryOp(operand=part):
            return ~_holds(table, part)
        case ast.Compare(left=left, ops=kinds, comparators=others):
            held = np.ones(len(table), bool)
            before = _value(table, left)
            for kind, other in zip(kinds, others, strict=True):
                value = _value(table, other)
                held &= _COMPARISONS[type(kind)](before, value)
                before = value
            return held
    raise ValueError(f"condition={ast.dump(node)}: expected one that `parsed` gave")


def _value(table: "pd.DataFrame", node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name):
            return table[name].to_numpy()
        case ast.Constant(value=int() | float() as number):
            return _number(number)
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() as number)):
            return -_number(number)
    raise ValueError(f"value={ast.dump(node)}: expected one that `parsed` gave")


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return float("inf")
