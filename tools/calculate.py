"""Arithmetic for the agent: numbers, + - * / // % **, signs and brackets. Runs no other code.

Every size is bounded, so that no expression can hold up the server.
"""

import ast
import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from store.errors import ToolRetry
from tools.base import CallContext, ToolSpec

MAX_CHARS = 200
MAX_EXPONENT = 64
MAX_SIZE = 10**60
"""Largest magnitude of any intermediate result."""

Number = int | float
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


class Calculate:
    """The tool `calculate`."""

    spec = ToolSpec(
        name="calculate",
        description="work out an arithmetic expression",
        parameters={
            "type": "object",
            "required": ["expression"],
            "properties": {
                "expression": {
                    "type": "string",
                    "description": "expression with numbers and + - * /",
                }
            },
        },
    )

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """`{"result": number}`. Raises ToolRetry saying what cannot be worked out."""
        if set(arguments) != {"expression"}:
            raise ToolRetry("calculate takes one parameter, expression")
        expression = arguments["expression"]
        if not isinstance(expression, str):
            raise ToolRetry("parameter expression must be string")
        return json.dumps({"result": calculate(expression)})


def calculate(expression: str) -> Number:
    """The value of an expression: an int where it is whole, else a float of 12 digits.

    Raises ToolRetry for anything but arithmetic, and for sizes over the bounds.
    """
    if len(expression) > MAX_CHARS:
        raise ToolRetry(f"the expression is longer than {MAX_CHARS} characters")
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ToolRetry(f"{expression!r} is not an arithmetic expression") from error
    except ZeroDivisionError as error:
        raise ToolRetry(f"{expression!r} divides by zero") from error
    except OverflowError as error:
        raise ToolRetry(f"{expression!r} is too large") from error
    if isinstance(value, float):
        # Without rounding, 0.1 + 0.2 would be read out as 0.30000000000000004.
        value = float(f"{value:.12g}")
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    return value


def _value(node: ast.expr) -> Number:
    """One node's value. ValueError for what is not arithmetic, OverflowError over the bounds."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _bounded(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) > MAX_EXPONENT:
            raise OverflowError(f"exponent {right}")
        return _bounded(_BINARY[type(node.op)](left, right))
    raise ValueError(ast.dump(node)[:80])


def _bounded(value: Any) -> Number:
    if isinstance(value, complex):
        raise ValueError("not a real number")
    if not math.isfinite(value) or abs(value) > MAX_SIZE:
        raise OverflowError(str(value)[:20])
    return value
