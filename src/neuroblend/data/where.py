"""Rows of a table by an expression, such as ``quality == 'good' and depth < 1200``.

The language is comparisons, ``and``, ``or``, ``not``, ``in``, parentheses, numbers, text, True,
False and None, and names of columns (in backticks where they are no words). It is read, not run.

A value that is missing (NaN, None, text that is empty or says ``nan`` or ``n/a``) is neither equal
nor unequal to another, larger nor smaller, in a list nor out of it, and a ``not`` around leaves it
so, as in SQL: a row is taken only where what there is suffices to say that the expression holds.
``depth == None`` and ``depth != None`` ask whether a value is missing.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.data.words import NO_VALUE
from neuroblend.errors import InputError, nearest, some

Bools = NDArray[np.bool_]
Truth = NDArray[np.int8]  # of each row: 1 for true, -1 for false, 0 for unknown
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_LONGEST = 200  # of an expression, in errors
_SHOWN = 8  # values of a column, where nothing matches


class Chosen(NamedTuple):
    """The rows that an expression holds for.

    Attributes:
        keep: (n,) which.
        note: How many they are, and how many have no value that could tell, for the user.
    """

    keep: Bools
    note: str


def rows_where(table: pd.DataFrame, expression: str, what: str, option: str = "--where") -> Chosen:
    """Return which rows of a table an expression holds for.

    Args:
        table: Columns of numbers, truth values and text.
        expression: What must hold.
        what: A row is, in plural, for errors.
        option: Which the expression was given as, for errors.

    Raises:
        InputError: It cannot be read, names a column that there is none of, or holds for no row.
    """
    shown = expression if len(expression) <= _LONGEST else f"{expression[:_LONGEST]}..."
    reading = _Reading(table, f'{option} "{shown}"')
    text = re.sub(r"`([^`]*)`", reading.quoted, expression)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(
            f"{reading.where}: cannot be read; wanted such as "
            "\"quality == 'good' and depth < 1200\""
        ) from None
    try:
        truth = reading.holds(tree)
    except RecursionError:
        raise InputError(f"{reading.where}: too deep to be read") from None
    keep = truth == 1
    if not keep.any():
        values = "; ".join(f"{name}: {_values(table[name])}" for name in reading.columns)
        raise InputError(
            f"{reading.where}: matches none of {len(table)} {what}; {values}{reading.hint}"
        )
    note = f"{int(keep.sum())} of {keep.size} {what}, where {expression}"
    if n_unknown := int((truth == 0).sum()):
        columns = " or ".join(name for name in reading.columns if _missing(table[name]).any())
        note += f"; {n_unknown} without a value of {columns} to tell by: left out"
    return Chosen(keep, f"{note}.")


class _Reading:
    """One expression, read for one table."""

    def __init__(self, table: pd.DataFrame, where: str) -> None:
        self.table, self.where = table, where
        self.columns: list[str] = []
        self.hint = ""
        self._quoted: dict[str, str] = {}

    def quoted(self, match: re.Match[str]) -> str:
        """Return a word that stands for the column in backticks."""
        word = f"_column_{len(self._quoted)}_"
        self._quoted[word] = match[1]
        return word

    def holds(self, node: ast.expr) -> Truth:
        """Return for which rows a condition is true, false or unknown."""
        if isinstance(node, ast.BoolOp):
            parts = [self.holds(part) for part in node.values]
            either = isinstance(node.op, ast.Or)
            return np.asarray(np.max(parts, axis=0) if either else np.min(parts, axis=0))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return np.negative(self.holds(node.operand))
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(sides, node.ops, sides[1:], strict=False)
            return np.asarray(np.min([self._compared(*pair) for pair in pairs], axis=0))
        if isinstance(node, ast.Name):
            column = self._column(node)
            missing = _missing(column)
            if column[~missing].isin([0, 1]).all() and not missing.all():
                return _truth((column == 1).to_numpy(), missing)
            raise InputError(
                f"{self.where}: column '{self.columns[-1]}' is no truth value; compare it, with "
                "==, <, in ..."
            )
        raise self._refused(node)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Truth:
        a, b = self._value(left), self._value(right)
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(a, pd.Series) or not isinstance(b, list):
                raise InputError(
                    f"{self.where}: wanted a column 'in' a list, such as ('M1', 'PMd')"
                )
            missing = _missing(a)
            known = [value for value in b if value is not None]
            among = a.isin(known).to_numpy() | (missing & (None in b))
            truth = _truth(among, missing & ~among)
            return truth if isinstance(op, ast.In) else np.negative(truth)
        if isinstance(a, list) or isinstance(b, list):
            raise InputError(f"{self.where}: a list can be compared with 'in' alone")
        if a is None or b is None:
            column = b if a is None else a
            if not isinstance(column, pd.Series) or not isinstance(op, (ast.Eq, ast.NotEq)):
                raise InputError(f"{self.where}: None is for missing values, as in depth != None")
            missing = _missing(column)
            return _truth(missing if isinstance(op, ast.Eq) else ~missing)
        self._check_text(a, b)
        if type(op) not in _COMPARE:
            raise InputError(f"{self.where}: wanted ==, !=, <, <=, >, >=, in or not in")
        # text that stands for what is missing can be asked for by itself
        asked = {value for value in (a, b) if isinstance(value, str)}
        missing = np.zeros(len(self.table), dtype=bool)
        for side in (a, b):
            if isinstance(side, pd.Series):
                missing |= _missing(side) & ~side.isin(asked).to_numpy()
        there = ~missing
        a, b = (side[there] if isinstance(side, pd.Series) else side for side in (a, b))
        try:
            found = _COMPARE[type(op)](a, b)
        except TypeError:
            raise InputError(
                f"{self.where}: found text compared with numbers ({ast.unparse(left)}, "
                f"{ast.unparse(right)})"
            ) from None
        holds = np.zeros(len(self.table), dtype=bool)
        holds[there] = np.asarray(found, dtype=bool)
        return _truth(holds, missing)

    def _check_text(self, a: Any, b: Any) -> None:
        """Keep a hint on text that is compared with what is none, as ``good == 'True'``."""
        column, value = (a, b) if isinstance(a, pd.Series) else (b, a)
        is_text = isinstance(value, str) and isinstance(column, pd.Series)
        if is_text and column.dtype.kind in "biuf":
            self.hint = f"; '{value}' in quotes is text, and {column.name} is not"

    def _value(self, node: ast.expr) -> Any:
        """Return a column, a number, text, or a list of the latter."""
        if isinstance(node, ast.Name):
            return self._column(node)
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return [self._value(item) for item in node.elts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand)
            if isinstance(value, (int, float)):
                return -value
        if isinstance(node, ast.Constant) and isinstance(
            node.value, (int, float, str, bool, type(None))
        ):
            return node.value
        raise self._refused(node)

    def _column(self, node: ast.Name) -> pd.Series[Any]:
        name = self._quoted.get(node.id, node.id)
        if name not in self.table:
            there = nearest(name, map(str, self.table))
            hint = f"; text stands in quotes, '{name}'" if self.columns else ""
            raise InputError(f"{self.where}: no column '{name}': {there}{hint}")
        if name not in self.columns:
            self.columns.append(name)
        return self.table[name]

    def _refused(self, node: ast.expr) -> InputError:
        found = ast.unparse(node)
        return InputError(
            f"{self.where}: found {found}, wanted comparisons of columns with values, joined by "
            "and, or, not"
        )


def _missing(column: pd.Series[Any]) -> Bools:
    """Return (n,) where a column has no value."""
    missing = column.isna().to_numpy()
    if column.dtype.kind == "O":
        text = column.map(lambda v: isinstance(v, str) and v.strip().lower() in NO_VALUE)
        missing = missing | text.to_numpy(dtype=bool)
    return np.asarray(missing)


def _truth(holds: Bools, unknown: Bools | None = None) -> Truth:
    truth = np.where(holds, 1, -1).astype(np.int8)
    if unknown is not None:
        truth[unknown] = 0
    return truth


def _values(column: pd.Series[Any]) -> str:
    """Return what a column holds: its values with their numbers, or its range."""
    missing = _missing(column)
    known = column[~missing]
    counts = known.astype(str).value_counts()
    if pd.api.types.is_float_dtype(column) and len(counts) > _SHOWN:
        told = f"{known.min():g} to {known.max():g}"
    else:
        told = some([f"{value} ({n})" for value, n in counts.items()], _SHOWN) or "nothing"
    return f"{told}, none in {int(missing.sum())}" if missing.any() else told
