"""Scalar templates become source text.

``render`` turns an instruction's template into an expression over named values. Every name the
text needs (functions by dtype, typed constants, casts) is collected as a line of the module's
header, so that the printed source is complete.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import field

from hybrid.kernels.region import Instr, Literal
from hybrid.records import dataclass

SUFFIX = {
    "bool": "b1",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "complex64": "c64",
    "complex128": "c128",
}
# The dtype of the parts of complex numbers, and the functions whose result has it.
PART = {"complex64": "float32", "complex128": "float64"}
_OF_PARTS = frozenset(("abs", "real", "imag"))
_EQUALITY = {"==": "equal", "!=": "not_equal"}
_PREDICATES = frozenset(("isnan", "isinf", "isfinite", "signbit"))
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "add"),
    ast.Sub: ("-", "sub"),
    ast.Mult: ("*", "mul"),
}
# NumPy's arithmetic of booleans is logic.
_BOOLEAN = {"add": "or_", "sub": "xor", "mul": "and_"}
_BITWISE: dict[type[ast.operator], str] = {
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
}


@dataclass(slots=True)
class Header:
    """Definitions that the generated functions refer to."""

    lines: dict[str, str] = field(default_factory=dict)

    def define(self, name: str, definition: str) -> str:
        """Make sure that ``name`` is defined, and give it back."""
        self.lines.setdefault(name, f"{name} = {definition}")
        return name

    def function(self, name: str, dtype: str) -> str:
        """The scalar function ``name`` for operands of ``dtype``."""
        return self.define(f"{name}_{SUFFIX[dtype]}", f'function("{name}", "{dtype}")')

    def cast(self, dtype: str) -> str:
        """The function that converts to ``dtype``."""
        return self.define(f"to_{SUFFIX[dtype]}", f'cast_to("{dtype}")')

    def constant(self, value: complex, dtype: str) -> str:
        """A typed constant: an untyped one would make float32 arithmetic float64."""
        text = _constant_text(value, dtype)
        plus = "p" if dtype in PART else ""
        name = re.sub(r"\W", "_", text.replace("-", "m").replace("+", plus).replace('"', ""))
        name = f"c_{SUFFIX[dtype]}_{name}"
        if dtype == "bool":
            return self.define(name, text)
        return self.define(name, f"{dtype}({text})")


def _constant_text(value: complex, dtype: str) -> str:
    if dtype in PART:
        return f'"{complex(value)}"'
    if dtype == "bool":
        return repr(bool(value))
    if dtype.startswith("float"):
        number = float(value.real)
        return repr(number) if math.isfinite(number) else f'"{number}"'
    return repr(int(value.real))


def render(instr: Instr, names: list[str], dtypes: list[str], header: Header) -> str:
    """The expression of a map instruction over values with the given names and dtypes."""
    text = instr.expr
    for index in range(len(names)):
        text = text.replace(f"{{{index}}}", f"_{index}")
    tree = ast.parse(text, mode="eval").body
    main = next((dtype for dtype in dtypes if dtype != "bool"), None)
    if main is None:
        main = "bool" if dtypes else instr.dtype
    rendered, _ = _Renderer(names, dtypes, main, header).visit(tree)
    return rendered


@dataclass(slots=True)
class _Renderer:
    names: list[str]
    dtypes: list[str]
    main: str
    header: Header

    def visit(self, node: ast.expr) -> tuple[str, str]:
        """Text and dtype of an expression."""
        match node:
            case ast.Name(id=name) if name.startswith("_") and name[1:].isdigit():
                index = int(name[1:])
                return self.names[index], self.dtypes[index]
            case ast.Name(id=name) if name in ("inf", "nan"):
                return self.header.constant(float(name), self.main), self.main
            case ast.Name(id=name) if name == "pi":
                return self.header.constant(math.pi, self.main), self.main
            case ast.Constant(value=bool(value)):
                return self.header.constant(value, "bool"), "bool"
            case ast.Constant(value=int(value) | float(value)):
                return self.header.constant(value, self.main), self.main
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.visit(left), self.visit(right))
            case ast.UnaryOp(op=op, operand=operand):
                return self.unary(op, operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                (a, dtype), (b, _) = self.visit(left), self.visit(right)
                symbol = _COMPARISONS[type(op)]
                if dtype in PART:
                    return f"{self.header.function(_EQUALITY[symbol], dtype)}({a}, {b})", "bool"
                return f"({a} {symbol} {b})", "bool"
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(name, [self.visit(arg) for arg in args])
        raise ValueError(f"not allowed in a scalar template: {ast.unparse(node)}")

    def binary(self, op: ast.operator, a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
        """A binary operator; integers keep their width, which numba's operators do not."""
        dtype = a[1]
        if dtype in PART:
            name = "div" if isinstance(op, ast.Div) else _ARITHMETIC[type(op)][1]
            return f"{self.header.function(name, dtype)}({a[0]}, {b[0]})", dtype
        if isinstance(op, ast.Div):
            return f"({a[0]} / {b[0]})", dtype
        if type(op) in _BITWISE:
            return f"{_BITWISE[type(op)]}({a[0]}, {b[0]})", dtype
        symbol, name = _ARITHMETIC[type(op)]
        if dtype.startswith("float"):
            return f"({a[0]} {symbol} {b[0]})", dtype
        if dtype == "bool":
            name = _BOOLEAN[name]
        return f"{name}({a[0]}, {b[0]})", dtype

    def unary(self, op: ast.unaryop, operand: ast.expr) -> tuple[str, str]:
        """Negation and complement."""
        if isinstance(op, ast.USub) and isinstance(operand, ast.Constant):
            value = operand.value
            assert isinstance(value, int | float)
            return self.header.constant(-value, self.main), self.main
        text, dtype = self.visit(operand)
        if isinstance(op, ast.UAdd):
            return text, dtype
        if isinstance(op, ast.Invert | ast.Not):
            return f"not_({text})", dtype
        if dtype in PART:
            return f"{self.header.function('negative', dtype)}({text})", dtype
        if dtype.startswith("float"):
            return f"(-{text})", dtype
        return f"sub({self.header.constant(0, dtype)}, {text})", dtype

    def call(self, name: str, args: list[tuple[str, str]]) -> tuple[str, str]:
        """A call of a scalar function, chosen by the dtype of its first non-bool argument."""
        texts = ", ".join(text for text, _ in args)
        dtype = next((dtype for _, dtype in args if dtype != "bool"), "bool")
        if name == "select" and dtype not in PART:
            return f"select({texts})", args[1][1]
        function = self.header.function(name, dtype)
        if name in _OF_PARTS:
            dtype = PART.get(dtype, dtype)
        return f"{function}({texts})", "bool" if name in _PREDICATES else dtype


def literal(value: Literal, header: Header) -> str:
    """The name of a literal argument's constant."""
    return header.constant(value.value, value.dtype)
