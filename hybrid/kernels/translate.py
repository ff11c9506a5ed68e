"""Kernel source -> LLVM's code, by running the statements of its functions on Scalars.

The source is Python, of which this understands what kernels need: assignments, ``for`` over
``range`` with a positive step, ``while``, ``if``, and calls. ``lanes(first, count, width)`` is a
range of `count` numbers that becomes vectors of `width`, without a loop; with a fourth argument in
a loop of as many vectors as that says, where vectors can be made of its body at all.
``interleaved(count)`` is a range of which several vectors are under way at once, and
``items(first, last)`` one over what is worth a loop of its own. Expressions are computed by Python:
operators and intrinsics of ``Scalar`` append their instructions. A variable that is assigned once,
and read only where that has been, is its value; any other is memory on the stack, which LLVM makes
a register, and keeps the type of its first value.

Numba's own way, by bytecode and type inference, took 390 ms of processor time for the 180 lines of
a log-softmax with its gradient before LLVM saw it, where this takes 21; and 300 more to get
ready for the first kernel of a process.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import operator
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llvmlite import ir

from hybrid.kernels.scalar import Scalar, ScalarIntrinsic, scalar, types
from hybrid.kernels.spec import INTERLEAVED

_ADDRESS = ir.IntType(8).as_pointer()
_INT = ir.IntType(64)


def phase(module: Any, definition: ast.FunctionDef, names: Mapping[str, Any], symbol: str) -> None:
    """Append ``void symbol(args, lo, hi)`` with the body of a function to a module."""
    kind = ir.FunctionType(ir.VoidType(), [_ADDRESS, _INT, _INT])
    function = ir.Function(module, kind, symbol)
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block())
    given = zip(function.args, (types.voidptr, types.int64, types.int64), strict=True)
    arguments = [Scalar(builder, kind, value) for value, kind in given]
    _Function(builder, names, definition, arguments).write()
    builder.ret_void()


class inlined:
    """A decorator: a function without result whose statements are written where it is called."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.__doc__ = function.__doc__
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        assert isinstance(definition, ast.FunctionDef)
        self.definition = definition
        self.names = function.__globals__

    def __call__(self, *arguments: Any) -> None:
        builder = next(arg.builder for arg in arguments if isinstance(arg, Scalar))
        _Function(builder, self.names, self.definition, arguments).write()


def _straightened(module: Any, width: int, vectors: int, surely: bool) -> Any:
    """What tells LLVM to make a loop of `width` times `vectors` steps that many vectors.

    Left to itself it unrolls short ones first, and has a row of scalars then. Where it is told to
    do so `surely`, it complains of bodies of which it cannot make vectors.
    """
    return _options(
        module,
        *(("vectorize.enable", ir.IntType(1)(1)) for _ in range(surely)),
        ("vectorize.width", ir.IntType(32)(width)),
        ("interleave.count", ir.IntType(32)(vectors)),
        ("unroll.disable",),
    )


def kept(module: Any) -> Any:
    """What tells LLVM to leave a loop as it is.

    It would unroll a loop around others by two, with a rest: three times their code. And where all
    operands are single numbers, it would store these for several items at once.
    """
    return _options(module, ("unroll.disable",), ("isvectorized", ir.IntType(32)(1)))


def _options(module: Any, *options: tuple[Any, ...]) -> Any:
    """What tells LLVM how to make a loop."""
    nodes = [module.add_metadata([f"llvm.loop.{name}", *value]) for name, *value in options]
    # The first operand of what names a loop is itself.
    node = ir.values.MDValue(module, (), name=str(len(module.metadata)))
    node.operands = (node, *nodes)
    return node


class _Function:
    """Writes the statements of one function. As a mapping, it gives the values of variables."""

    def __init__(
        self,
        builder: Any,
        names: Mapping[str, Any],
        definition: ast.FunctionDef,
        arguments: Iterable[Any],
    ) -> None:
        self.builder = builder
        self.names = dict(names)
        self.definition = definition
        self.settled = _settled(definition)
        self.values: dict[str, Scalar] = {}
        self.variables: dict[str, tuple[Any, Any]] = {}
        for parameter, value in zip(definition.args.args, arguments, strict=True):
            self.assign(parameter.arg, value)

    def __getitem__(self, name: str) -> Scalar:
        found = self.values.get(name)
        if found is not None:
            return found
        kind, place = self.variables[name]
        return Scalar(self.builder, kind, self.builder.load(place))

    def write(self) -> None:
        """Write the body."""
        for statement in self.definition.body:
            self.statement(statement)

    def value(self, expression: ast.expr) -> Any:
        """What Python computes for an expression."""
        write = _EXPRESSIONS.get(type(expression))
        if write is not None:
            return write(self, expression)
        code = compile(ast.Expression(expression), f"<{self.definition.name}>", "eval")
        # Of a mapping Python asks but for items.
        return eval(code, self.names, self)  # type: ignore[arg-type]

    def name(self, expression: ast.Name) -> Any:
        """What a name stands for."""
        name = expression.id
        if name in self.values or name in self.variables:
            return self[name]
        try:
            return self.names[name] if name in self.names else getattr(builtins, name)
        except AttributeError:
            raise NameError(f"name {name!r} is not defined in {self.definition.name}") from None

    def called(self, expression: ast.Call) -> Any:
        """What a call without keywords returns."""
        function = self.value(expression.func)
        given = [self.value(argument) for argument in expression.args]
        if isinstance(function, ScalarIntrinsic) and not any(isinstance(x, Scalar) for x in given):
            given = [scalar(self.builder, x) for x in given]  # of constants alone
        return function(*given)

    def combined(self, expression: ast.BinOp) -> Any:
        """What an operator makes of two values."""
        apply = _OPERATORS[type(expression.op)]
        return apply(self.value(expression.left), self.value(expression.right))

    def assign(self, name: str, value: Any) -> None:
        """Give a variable a value."""
        given = scalar(self.builder, value)
        if name in self.settled:
            self.values[name] = given
            return
        if name not in self.variables:
            with self.builder.goto_entry_block():
                self.variables[name] = given.type, self.builder.alloca(given.value.type, name=name)
        kind, place = self.variables[name]
        if kind != given.type:
            raise TypeError(f"{name} is {kind}, and then {given.type}")
        self.builder.store(given.value, place)

    def statement(self, statement: ast.stmt) -> None:
        """Write a statement."""
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.assign(name, self.value(value))
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                found = [self.value(value) for value in values]
                for target, value in zip(targets, found, strict=True):
                    assert isinstance(target, ast.Name)
                    self.assign(target.id, value)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                read = ast.copy_location(ast.Name(name, ast.Load()), target)
                both = ast.copy_location(ast.BinOp(read, op, value), statement)
                self.assign(name, self.value(both))
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Expr(value=value):
                self.value(value)
            case ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(func=ast.Name(id="range"), args=bounds),
                body=body,
                orelse=[],
            ):
                self.loop(name, [self.value(bound) for bound in bounds], body)
            case ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(func=ast.Name(id="items"), args=[first, last]),
                body=body,
                orelse=[],
            ):
                options = kept(self.builder.module)
                self.loop(name, [self.value(first), self.value(last)], body, options)
            case ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(func=ast.Name(id="interleaved"), args=[bound]),
                body=body,
                orelse=[],
            ):
                several = ("interleave.count", ir.IntType(32)(INTERLEAVED))
                options = _options(self.builder.module, several)
                self.loop(name, [self.value(bound)], body, options)
            case ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(
                    func=ast.Name(id="lanes"),
                    args=[first, ast.Constant(int(count)), ast.Constant(int(width)), *rest],
                ),
                body=body,
                orelse=[],
            ):
                start = self.value(first)
                vectors = self.value(rest[0]) if rest else count // width
                options = _straightened(self.builder.module, width, vectors, not rest)
                self.loop(name, [start, start + count], body, options)
            case ast.While(test=test, body=body, orelse=[]):
                self.repeat(test, body)
            case ast.If(test=test, body=body, orelse=orelse):
                self.branch(self.value(test), body, orelse)
            case _:
                raise SyntaxError(f"not for kernels: {ast.unparse(statement)}")

    def loop(self, name: str, bounds: list[Any], body: list[ast.stmt], options: Any = None) -> None:
        """``for name in range(*bounds)``; nothing that the body assigns changes the counting."""
        builder = self.builder
        values = [scalar(builder, bound).value for bound in bounds]
        start = values[0] if len(values) > 1 else _INT(0)
        stop = values[1] if len(values) > 1 else values[0]
        step = values[2] if len(values) > 2 else _INT(1)
        before = builder.block
        head, inside, after = (builder.append_basic_block(f"{name}.{x}") for x in ("", "do", "on"))
        builder.branch(head)
        builder.position_at_end(head)
        counter = builder.phi(_INT)
        counter.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", counter, stop), inside, after)
        builder.position_at_end(inside)
        self.assign(name, Scalar(builder, types.int64, counter))
        for statement in body:
            self.statement(statement)
        # Beyond the last number by less than a step: no array is so long that this overflows.
        counter.add_incoming(builder.add(counter, step, flags=["nsw"]), builder.block)
        again = builder.branch(head)
        if options is not None:
            again.set_metadata("llvm.loop", options)
        builder.position_at_end(after)

    def repeat(self, test: ast.expr, body: list[ast.stmt]) -> None:
        """``while test: body``."""
        builder = self.builder
        head, inside, after = (builder.append_basic_block(f"while.{x}") for x in ("", "do", "on"))
        builder.branch(head)
        builder.position_at_end(head)
        builder.cbranch(self.value(test).value, inside, after)
        builder.position_at_end(inside)
        for statement in body:
            self.statement(statement)
        builder.branch(head)
        builder.position_at_end(after)

    def branch(self, test: Scalar, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        """``if test: body; else: orelse``."""
        with self.builder.if_else(test.value) as (then, otherwise):
            for block, statements in ((then, body), (otherwise, orelse)):
                with block:
                    for statement in statements:
                        self.statement(statement)


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
# Most expressions are of these kinds; to let Python compile each took a sixth of the time.
_EXPRESSIONS: dict[type[ast.expr], Callable[[_Function, Any], Any]] = {
    ast.Name: _Function.name,
    ast.Constant: lambda function, expression: expression.value,
    ast.Call: _Function.called,
    ast.BinOp: _Function.combined,
}


def _settled(definition: ast.FunctionDef) -> frozenset[str]:
    """The variables that are assigned once, and read only where that has been.

    Those are no memory: most instructions of a kernel were loads and stores of such variables.
    """
    scopes: list[set[str]] = [{parameter.arg for parameter in definition.args.args}]
    once, others = set(scopes[0]), set[str]()

    def assigned(name: str) -> None:
        (others if name in once else once).add(name)
        scopes[-1].add(name)

    def read(node: ast.AST | None) -> None:
        match node:
            case None | ast.Constant():
                pass
            case ast.Name(id=name):
                if not any(name in scope for scope in scopes):
                    others.add(name)
            case ast.Call(func=function, args=arguments, keywords=[]):
                read(function)
                for argument in arguments:
                    read(argument)
            case ast.BinOp(left=left, right=right):
                read(left)
                read(right)
            case _:
                for child in ast.iter_child_nodes(node):
                    read(child)

    def walk(statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            match statement:
                case ast.For(target=ast.Name(id=name), iter=numbers, body=body):
                    read(numbers)
                    inside([name], body)
                case ast.While(test=test, body=body):
                    read(test)
                    inside([], body)
                case ast.If(test=test, body=body, orelse=orelse):
                    read(test)
                    inside([], body)
                    inside([], orelse)
                case ast.AugAssign(target=ast.Name(id=name), value=value):
                    read(value)
                    others.add(name)
                case ast.Assign(targets=targets, value=value):
                    read(value)
                    for found in (x for target in targets for x in ast.walk(target)):
                        if isinstance(found, ast.Name):
                            assigned(found.id)
                case ast.Expr(value=value):
                    read(value)
                case _:
                    raise SyntaxError(f"not for kernels: {ast.unparse(statement)}")

    def inside(names: Iterable[str], body: Iterable[ast.stmt]) -> None:
        scopes.append(set())
        for name in names:
            assigned(name)
        walk(body)
        scopes.pop()

    walk(definition.body)
    return frozenset(once - others)
