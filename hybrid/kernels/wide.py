"""Functions whose vector forms are written here, for LLVM's loop vectoriser to take as they are.

The vectoriser knows neither the instructions of AVX-512 that take numbers apart and scale them nor
a branch for a whole vector. But a call of a function that is declared with vector forms
(``vector-function-abi-variant``) becomes a call of one of these. So such a function is a mere
declaration while LLVM vectorises; its forms are linked after that, and inlined.

Every form gives the bits that the portable code beside its call gives: which of the two runs
depends on the processor alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils as _cgutils

from hybrid.kernels import engine
from hybrid.kernels.scalar import Scalar
from hybrid.records import dataclass

cgutils: Any = _cgutils

PREFIX = "hybrid_wide_"
# How many elements there may be in the vectors of a loop; 1 for the loop over what remains.
_LANES = (1, 2, 4, 8, 16, 32)
_ATTRIBUTES = "nounwind willreturn memory(none)"
_NAMES = {"float": "f32", "double": "f64"}
_TYPES = {"float": ir.FloatType(), "double": ir.DoubleType()}
# Steps of a loop that is left for rare numbers: at most as many as there are lanes.
BLOCK = 16
# From which size on an angle is rare, and how many results its loop has.
FAR = 2.0**17


class Module(ir.Module):
    """A module that ``machine`` optimises, in which these functions may be called."""


@functools.cache
def _has_avx512() -> bool:
    triple, _, features = engine.cpu()
    wanted = {"+avx512f", "+avx512dq", "+avx512vl"}
    return triple.startswith("x86_64") and wanted <= set(features.split(","))


def branches(x: Scalar) -> bool:
    """Whether the code that computes `x` may branch for rare numbers."""
    return isinstance(x.builder.module, Module)


def available(x: Scalar) -> bool:
    """Whether the code that computes `x` may call instructions of AVX-512."""
    return isinstance(x.builder.module, Module) and _has_avx512()


def call(name: str, *given: Scalar) -> Scalar:
    """Call a function of numbers of one type, which its result has too."""
    builder, kind = given[0].builder, given[0].type
    values = [x.value for x in given]
    symbol = f"{PREFIX}{name}_{_NAMES[str(values[0].type)]}"
    found = builder.module.globals.get(symbol)
    if found is None:
        shape = ir.FunctionType(values[0].type, [value.type for value in values])
        found = ir.Function(builder.module, shape, symbol)
    return Scalar(builder, kind, builder.call(found, values))


@dataclass(frozen=True)
class Loop:
    """A loop of `BLOCK` steps, for rare arguments: it computes some results of each."""

    name: str
    arguments: int
    results: int

    @property
    def symbol(self) -> str:
        return f"{PREFIX}loop_{self.name}"

    @property
    def pointers(self) -> int:
        return self.arguments + self.results

    def define(self, x: Scalar, function: Callable[..., tuple[Scalar, ...]]) -> None:
        """Define it in the module that computes `x`, unless it is there."""
        module, kind = x.builder.module, x.value.type
        if self.symbol in module.globals:
            return
        shape = ir.FunctionType(ir.VoidType(), [kind.as_pointer()] * self.pointers)
        found = ir.Function(module, shape, self.symbol)
        for attribute in ("noinline", "nounwind", "cold"):
            found.attributes.add(attribute)
        for argument in found.args:
            argument.add_attribute("noalias")
        builder = ir.IRBuilder(found.append_basic_block("entry"))
        with cgutils.for_range(builder, ir.IntType(64)(BLOCK)) as step:
            places = [builder.gep(pointer, [step.index]) for pointer in found.args]
            loaded = (builder.load(place) for place in places[: self.arguments])
            results = function(*(Scalar(builder, x.type, value) for value in loaded))
            for place, result in zip(places[self.arguments :], results, strict=True):
                builder.store(result.value, place)
        builder.ret_void()


def far_loop(x: Scalar) -> Loop:
    """What takes multiples of pi/2 from large numbers of the type of `x`."""
    return _FAR_LOOPS[str(x.value.type)]


def edges_loop(x: Scalar) -> Loop:
    """What knows the special cases of powers of the type of `x`."""
    return _EDGES_LOOPS[str(x.value.type)]


@dataclass(frozen=True)
class _Function:
    """A function of `arity` numbers of LLVM's type `kind`."""

    name: str
    kind: str
    arity: int

    @property
    def symbol(self) -> str:
        return f"{PREFIX}{self.name}_{_NAMES[self.kind]}"

    @property
    def bits(self) -> int:
        return 32 if self.kind == "float" else 64

    def type(self, lanes: int) -> str:
        return self.kind if lanes == 1 else f"<{lanes} x {self.kind}>"

    def form(self, lanes: int) -> str:
        return self.symbol if lanes == 1 else f"{self.symbol}_{lanes}"

    def head(self, lanes: int) -> str:
        arguments = ", ".join(f"{self.type(lanes)} %a{i}" for i in range(self.arity))
        return f"{self.type(lanes)} @{self.form(lanes)}({arguments})"

    def declarations(self) -> Iterable[str]:
        vectors = _LANES[1:]
        shape = "v" * self.arity
        variants = (f"_ZGV_LLVM_N{n}{shape}_{self.symbol}({self.form(n)})" for n in vectors)
        listed = f'"vector-function-abi-variant"="{",".join(variants)}"'
        yield f"declare {self.head(1)} {_ATTRIBUTES} {listed}"
        yield from (f"declare {self.head(n)} {_ATTRIBUTES}" for n in vectors)

    def definitions(self) -> Iterable[str]:
        for lanes in _LANES:
            # Inlined or not there at all.
            yield f"define available_externally {self.head(lanes)} alwaysinline nounwind {{"
            yield from self.body(lanes)
            yield f"  ret {self.type(lanes)} %r"
            yield "}"

    def body(self, lanes: int) -> Iterable[str]:
        """The statements that compute ``%r``."""
        raise NotImplementedError

    def needed(self) -> Iterable[str]:
        """Declarations of what the statements call."""
        raise NotImplementedError

    def _call(self, to: str, lanes: int, arguments: str) -> str:
        given = ", ".join(f"{self.type(lanes)} %{a}" for a in arguments.split())
        return f"  %{to} = call {self.type(lanes)} @{self.form(lanes)}({given})"

    def _in_halves(self, lanes: int) -> Iterable[str]:
        half = lanes // 2
        whole, part = self.type(lanes), self.type(half)
        for side, start in (("x", 0), ("y", half)):
            places = _places(range(start, start + half))
            for i in range(self.arity):
                yield f"  %{side}{i} = shufflevector {whole} %a{i}, {whole} poison, {places}"
            yield self._call(side, half, " ".join(f"{side}{i}" for i in range(self.arity)))
        yield f"  %r = shufflevector {part} %x, {part} %y, {_places(range(lanes))}"


@dataclass(frozen=True)
class _Instruction(_Function):
    """An instruction of AVX-512: LLVM's name, and the arguments after the vectors."""

    instruction: str

    def body(self, lanes: int) -> Iterable[str]:
        if lanes < 128 // self.bits:
            yield from self._in_wider(lanes)
        elif lanes > 512 // self.bits:
            yield from self._in_halves(lanes)
        else:
            symbol, arguments = self._instruction(lanes)
            yield f"  %r = call {self.type(lanes)} {symbol}({', '.join(arguments)})"

    def _in_wider(self, lanes: int) -> Iterable[str]:
        wide = 128 // self.bits
        vector, arguments = self.type(wide), range(self.arity)
        if lanes == 1:
            for i in arguments:
                yield f"  %w{i} = insertelement {vector} zeroinitializer, {self.kind} %a{i}, i32 0"
        else:
            places = _places([*range(lanes), *[lanes] * (wide - lanes)])
            for i in arguments:
                given = f"{self.type(lanes)} %a{i}, {self.type(lanes)} zeroinitializer"
                yield f"  %w{i} = shufflevector {given}, {places}"
        yield self._call("v", wide, " ".join(f"w{i}" for i in arguments))
        if lanes == 1:
            yield f"  %r = extractelement {vector} %v, i32 0"
        else:
            yield f"  %r = shufflevector {vector} %v, {vector} poison, {_places(range(lanes))}"

    def _instruction(self, lanes: int) -> tuple[str, list[str]]:
        """The name that LLVM has for the instruction, and its typed arguments."""
        vector, width = self.type(lanes), lanes * self.bits
        name, *more = self.instruction.split(" ", 1)
        suffix = "ps" if self.kind == "float" else "pd"
        arguments = [f"{vector} %a{i}" for i in range(self.arity)]
        # What takes the place of lanes that a mask leaves out: none.
        arguments += [*more, f"{vector} zeroinitializer", f"i{max(lanes, 8)} -1"]
        if width == 512:
            arguments.append("i32 4")  # rounding as the processor is set
        return f"@llvm.x86.avx512.mask.{name}.{suffix}.{width}", arguments

    def needed(self) -> Iterable[str]:
        for lanes in _LANES:
            if 128 <= lanes * self.bits <= 512:
                symbol, arguments = self._instruction(lanes)
                types = ", ".join(argument.rsplit(" ", 1)[0] for argument in arguments)
                yield f"declare {self.type(lanes)} {symbol}({types})"


@dataclass(frozen=True)
class _Rare(_Function):
    """The last number, but for rare arguments the result of that number of a loop.

    `usual` has tests, all of which usual arguments pass: the argument, whether it is its size that
    is compared, LLVM's name for the comparison, the limit. Where all lanes of a vector pass, no
    more is done. Else the `loop` computes all of `BLOCK` lanes, and those that failed are taken.
    """

    loop: Loop
    result: int
    usual: tuple[tuple[int, bool, str, float], ...]

    def body(self, lanes: int) -> Iterable[str]:
        if lanes > BLOCK:
            yield from self._in_halves(lanes)
            return
        kind = self.type(lanes)
        flags = "i1" if lanes == 1 else f"<{lanes} x i1>"
        last = f"%a{self.arity - 1}"
        places = [f"%p{i}" for i in range(self.loop.pointers)]
        yield "entry:"
        yield from (f"  {place} = alloca [{BLOCK} x {self.kind}], align 64" for place in places)
        yield from self._tests(lanes, kind, flags)
        every = f"%passed{len(self.usual) - 1}"
        if lanes > 1:
            yield f"  %every = call i1 @llvm.vector.reduce.and.v{lanes}i1({flags} {every})"
        yield f"  br i1 {'%every' if lanes > 1 else every}, label %done, label %rare, !prof !0"
        yield "rare:"
        for i in range(self.loop.arguments):
            yield f"  store {kind} %a{i}, ptr %p{i}, align 64"
        given = ", ".join(f"ptr {place}" for place in places)
        yield f"  call void @{self.loop.symbol}({given})"
        yield f"  %found = load {kind}, ptr %p{self.loop.arguments + self.result}, align 64"
        yield f"  %chosen = select {flags} {every}, {kind} {last}, {kind} %found"
        yield "  br label %done"
        yield "done:"
        yield f"  %r = phi {kind} [{last}, %entry], [%chosen, %rare]"

    def _tests(self, lanes: int, kind: str, flags: str) -> Iterable[str]:
        for i, (argument, by_size, comparison, limit) in enumerate(self.usual):
            constant = ir.Constant(_TYPES[self.kind], limit)
            splat = constant.get_reference() if lanes == 1 else f"splat ({constant})"
            value = f"%a{argument}"
            if by_size:
                yield f"  %size{i} = call {kind} @llvm.fabs.{self._overload(lanes)}({kind} {value})"
                value = f"%size{i}"
            yield f"  %test{i} = fcmp {comparison} {kind} {value}, {splat}"
            before = f"%passed{i - 1}" if i else f"%test{i}"
            yield f"  %passed{i} = and {flags} {before}, %test{i}"

    def _overload(self, lanes: int) -> str:
        return (f"v{lanes}" if lanes > 1 else "") + f"f{self.bits}"

    def needed(self) -> Iterable[str]:
        for lanes in _LANES:
            if lanes <= BLOCK:
                kind = self.type(lanes)
                yield f"declare {kind} @llvm.fabs.{self._overload(lanes)}({kind})"
            if 1 < lanes <= BLOCK:
                yield f"declare i1 @llvm.vector.reduce.and.v{lanes}i1(<{lanes} x i1>)"
        yield f"declare void @{self.loop.symbol}({', '.join(['ptr'] * self.loop.pointers)})"


def _places(numbers: Iterable[int]) -> str:
    listed = [f"i32 {n}" for n in numbers]
    return f"<{len(listed)} x i32> <{', '.join(listed)}>"


_FAR_LOOPS = {"float": Loop("far_f32", 1, 2), "double": Loop("far_f64", 1, 3)}
_EDGES_LOOPS = {kind: Loop(f"power_{name}", 3, 1) for kind, name in _NAMES.items()}
# Of positive numbers below infinity, with exponents below infinity.
_ORDINARY_POWERS = (
    (0, False, "ogt", 0.0),
    (0, False, "olt", float("inf")),
    (1, True, "olt", float("inf")),
)
_FUNCTIONS: tuple[_Function, ...] = (
    *(
        _Instruction(name, kind, arity, instruction)
        for kind in _NAMES
        for name, arity, instruction in (
            # floor(log2 |x|): -inf of 0, inf of infinity
            ("exponent", 1, "getexp"),
            # |x| / 2**exponent, from 1 to 2; NaN of a negative number, 1 of 0 and infinity
            ("mantissa", 1, "getmant i32 12"),
            # a * 2**b, rounded once
            ("scale", 2, "scalef"),
        )
    ),
    *(
        _Rare(f"far_{i}", kind, 2, loop, i, ((0, True, "olt", FAR),))
        for kind, loop in _FAR_LOOPS.items()
        for i in range(loop.results)
    ),
    *(_Rare("power", kind, 3, loop, 0, _ORDINARY_POWERS) for kind, loop in _EDGES_LOOPS.items()),
)


def _module(lines: Iterable[str]) -> str:
    return "\n".join([f'target triple = "{engine.cpu()[0]}"', *lines])


def _called(text: str) -> tuple[_Function, ...]:
    return tuple(function for function in _FUNCTIONS if f'{function.symbol}"' in text)


@functools.cache
def _declarations(functions: tuple[_Function, ...]) -> str:
    forms = [function.form(n) for function in functions for n in _LANES[1:]]
    kept = ", ".join(f"ptr @{form}" for form in forms)
    used = f"@llvm.compiler.used = appending global [{len(forms)} x ptr] [{kept}]"
    lines = [line for function in functions for line in function.declarations()]
    return _module([f'{used}, section "llvm.metadata"', *lines])


@functools.cache
def _definitions(functions: tuple[_Function, ...]) -> str:
    # Several functions may need the same.
    lines = [*{line: None for function in functions for line in function.needed()}]
    lines += [line for function in functions for line in function.definitions()]
    return _module([*lines, '!0 = !{!"branch_weights", i32 1000, i32 1}'])


def declared(text: str) -> Any:
    """Parse a module, with declarations that give its functions their vector forms."""
    module = llvm.parse_assembly(text)
    functions = _called(text)
    if not functions:
        return module
    whole = llvm.parse_assembly(_declarations(functions))
    whole.link_in(module)
    return whole


def define(text: str, module: Any, builder: Any) -> None:
    """Put the forms in the place of their calls, when loops have become loops over vectors."""
    functions = _called(text)
    if not functions:
        return
    module.link_in(llvm.parse_assembly(_definitions(functions)))
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
