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
from hybrid.kernels.forms import (
    LANES,
    NAMES,
    PREFIX,
    TYPES,
    Asking,
    AskingBoth,
    Function,
    Instruction,
    ShortTable,
    Table,
)
from hybrid.kernels.scalar import Scalar
from hybrid.records import dataclass

cgutils: Any = _cgutils

# Steps of a loop that is left for rare numbers: at most as many as there are lanes.
BLOCK = 16
_ASKING = ("asking", "asking_to_write")
_ASKING_BOTH = "asking_both"
# From which size on an angle is rare, and how many results its loop has.
FAR = 2.0**17


class Module(ir.Module):
    """A module that ``machine`` optimises, in which these functions may be called."""


@functools.cache
def _has(*features: str) -> bool:
    triple, _, known = engine.cpu()
    return triple.startswith("x86_64") and set(features) <= set(known.split(","))


def _has_avx512() -> bool:
    return _has("+avx512f", "+avx512dq", "+avx512vl")


def has_masks() -> bool:
    """Whether numbers of any size can be loaded and stored under masks as fast as without."""
    return _has_avx512() and _has("+avx512bw")


def branches(x: Scalar) -> bool:
    """Whether the code that computes `x` may branch for rare numbers."""
    return isinstance(x.builder.module, Module)


def available(x: Scalar) -> bool:
    """Whether the code that computes `x` may call instructions of AVX-512."""
    return isinstance(x.builder.module, Module) and _has_avx512()


def reads_tables(x: Scalar) -> bool:
    """Whether the code that computes `x` may read tables from registers."""
    return isinstance(x.builder.module, Module) and (_has_avx512() or _has("+avx2"))


def call(name: str, *given: Scalar) -> Scalar:
    """Call a function of numbers of one type, which its result has too."""
    builder, kind = given[0].builder, given[0].type
    values = [x.value for x in given]
    symbol = f"{PREFIX}{name}_{NAMES[str(values[0].type)]}"
    found = builder.module.globals.get(symbol)
    if found is None:
        shape = ir.FunctionType(values[0].type, [value.type for value in values])
        found = ir.Function(builder.module, shape, symbol)
    return Scalar(builder, kind, builder.call(found, values))


def asking(builder: Any, value: Any, address: Any, write: bool) -> Any:
    """A float as it is; code over vectors asks for the line at the address, one of such floats."""
    return _asking(builder, _ASKING[write], value, address)


def asking_both(builder: Any, value: Any, address: Any, away: Any) -> Any:
    """The same; also for the line that is so many bytes `away`, to write it."""
    return _asking(builder, _ASKING_BOTH, value, address, away)


def _asking(builder: Any, name: str, value: Any, *places: Any) -> Any:
    kind = value.type
    if not isinstance(builder.module, Module) or not _has("+avx2"):
        return value
    symbol = f"{PREFIX}{name}_{NAMES[str(kind)]}"
    found = builder.module.globals.get(symbol)
    if found is None:
        shape = ir.FunctionType(kind, [kind, *(place.type for place in places)])
        found = ir.Function(builder.module, shape, symbol)
    return builder.call(found, [value, *places])


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class _Rare(Function):
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
            yield from self.in_halves(lanes)
            return
        kind = self.type(lanes)
        flags = "i1" if lanes == 1 else f"<{lanes} x i1>"
        last = f"%f{self.arity - 1}"
        places = [f"%p{i}" for i in range(self.loop.pointers)]
        yield "entry:"
        yield from (f"  {place} = alloca [{BLOCK} x {self.kind}], align 64" for place in places)
        # Lanes that a mask leaves out may be anything, on which nothing may branch.
        yield from (f"  %f{i} = freeze {kind} %a{i}" for i in range(self.arity))
        yield from self._tests(lanes, kind, flags)
        every = f"%passed{len(self.usual) - 1}"
        if lanes > 1:
            yield f"  %every = call i1 @llvm.vector.reduce.and.v{lanes}i1({flags} {every})"
        yield f"  br i1 {'%every' if lanes > 1 else every}, label %done, label %rare, !prof !0"
        yield "rare:"
        for i in range(self.loop.arguments):
            yield f"  store {kind} %f{i}, ptr %p{i}, align 64"
        given = ", ".join(f"ptr {place}" for place in places)
        yield f"  call void @{self.loop.symbol}({given})"
        yield f"  %found = load {kind}, ptr %p{self.loop.arguments + self.result}, align 64"
        yield f"  %chosen = select {flags} {every}, {kind} {last}, {kind} %found"
        yield "  br label %done"
        yield "done:"
        yield f"  %r = phi {kind} [{last}, %entry], [%chosen, %rare]"

    def _tests(self, lanes: int, kind: str, flags: str) -> Iterable[str]:
        for i, (argument, by_size, comparison, limit) in enumerate(self.usual):
            constant = ir.Constant(TYPES[self.kind], limit)
            splat = constant.get_reference() if lanes == 1 else f"splat ({constant})"
            value = f"%f{argument}"
            if by_size:
                yield f"  %size{i} = call {kind} @llvm.fabs.{self._overload(lanes)}({kind} {value})"
                value = f"%size{i}"
            yield f"  %test{i} = fcmp {comparison} {kind} {value}, {splat}"
            before = f"%passed{i - 1}" if i else f"%test{i}"
            yield f"  %passed{i} = and {flags} {before}, %test{i}"

    def _overload(self, lanes: int) -> str:
        return (f"v{lanes}" if lanes > 1 else "") + f"f{self.bits}"

    def needed(self) -> Iterable[str]:
        for lanes in LANES:
            if lanes <= BLOCK:
                kind = self.type(lanes)
                yield f"declare {kind} @llvm.fabs.{self._overload(lanes)}({kind})"
            if 1 < lanes <= BLOCK:
                yield f"declare i1 @llvm.vector.reduce.and.v{lanes}i1(<{lanes} x i1>)"
        yield f"declare void @{self.loop.symbol}({', '.join(['ptr'] * self.loop.pointers)})"


_FAR_LOOPS = {"float": Loop("far_f32", 1, 2), "double": Loop("far_f64", 1, 3)}
_EDGES_LOOPS = {kind: Loop(f"power_{name}", 5, 1) for kind, name in NAMES.items()}
# Powers whose logarithms are smaller are normal numbers.
_NORMAL_LOGARITHMS = (87.0, 708.0)
_FUNCTIONS: tuple[Function, ...] = (
    *(Asking(name, kind, 1, write) for kind in NAMES for write, name in enumerate(_ASKING)),
    *(AskingBoth(_ASKING_BOTH, kind, 1, 0) for kind in NAMES),
    *(
        Instruction(name, kind, arity, instruction)
        for kind in NAMES
        for name, arity, instruction in (
            # floor(log2 |x|): -inf of 0, inf of infinity
            ("exponent", 1, "getexp"),
            # |x| / 2**exponent, from 1 to 2; NaN of a negative number, 1 of 0 and infinity
            ("mantissa", 1, "getmant i32 12"),
            # a * 2**floor(b), rounded once
            ("scale", 2, "scalef"),
            # a or b, with the sign of a, whichever is nearer to 0; b where a is NaN
            ("nearer_zero", 2, "range i32 2"),
            # 1 / sqrt(x) to 14 bits; infinite of 0, NaN of a negative number
            ("inverse_root", 1, "rsqrt14"),
            # x without what is left of it when rounded to 16ths; 0 of infinity
            ("above_sixteenths", 1, "reduce i32 72"),
        )
    ),
    *(
        _Rare(f"far_{i}", kind, 2, loop, i, ((0, True, "olt", FAR),))
        for kind, loop in _FAR_LOOPS.items()
        for i in range(loop.results)
    ),
    *(
        _Rare("power", kind, 5, loop, 0, ((0, False, "ogt", 0.0), (2, True, "olt", most)))
        for (kind, loop), most in zip(_EDGES_LOOPS.items(), _NORMAL_LOGARITHMS, strict=True)
    ),
)

_TABLES: dict[str, Table] = {}
_SHORT_TABLES: dict[str, Table] = {}


def table(name: str, kind: str, entries: Iterable[float]) -> None:
    """Make a table that ``call(name, x)`` reads, of numbers of LLVM's type `kind`."""
    given = name, kind, 1, tuple(entries)
    _TABLES[name], _SHORT_TABLES[name] = Table(*given), ShortTable(*given)


def _module(lines: Iterable[str]) -> str:
    return "\n".join([f'target triple = "{engine.cpu()[0]}"', *lines])


def _called(text: str) -> tuple[Function, ...]:
    tables = _TABLES if _has_avx512() else _SHORT_TABLES
    every = (*_FUNCTIONS, *tables.values())
    return tuple(function for function in every if f'{function.symbol}"' in text)


@functools.cache
def _declarations(functions: tuple[Function, ...]) -> str:
    """Declarations of functions, and of forms for LLVM to find when it vectorises.

    It would drop them before, were they not in a list of what is used. The list itself is of what
    it takes to be defined elsewhere, and empties shortly before, so that afterwards what nobody
    calls is gone.
    """
    forms = [function.form(n) for function in functions for n in LANES[1:]]
    listed = ", ".join(f"ptr @{form}" for form in forms)
    kept = f"@{PREFIX}forms = available_externally constant [{len(forms)} x ptr] [{listed}]"
    used = f"@llvm.compiler.used = appending global [1 x ptr] [ptr @{PREFIX}forms]"
    lines = [line for function in functions for line in function.declarations()]
    return _module([kept, f'{used}, section "llvm.metadata"', *lines])


@functools.lru_cache(maxsize=256)
def _definitions(called: tuple[tuple[Function, tuple[int, ...]], ...]) -> str:
    # Several functions may need the same.
    lines = [*{line: None for function, _ in called for line in function.needed()}]
    lines += [line for function, forms in called for line in function.definitions(forms)]
    return _module([*lines, '!0 = !{!"branch_weights", i32 1000, i32 1}'])


def declared(text: str, context: Any) -> Any:
    """Parse a module, with declarations that give its functions their vector forms."""
    module = llvm.parse_assembly(text, context)
    functions = _called(text)
    if not functions:
        return module
    whole = llvm.parse_assembly(_declarations(functions), context)
    whole.link_in(module)
    return whole


def define(text: str, module: Any, context: Any) -> Any:
    """Add the forms, when loops have become loops over vectors; the passes that inline them.

    None where there are none.
    """
    functions = _called(text)
    if not functions:
        return None
    names = {found.name for found in module.functions}
    forms = ((f, tuple(n for n in LANES if f.form(n) in names)) for f in functions)
    called = tuple((function, lanes) for function, lanes in forms if lanes)
    module.link_in(llvm.parse_assembly(_definitions(called), context))
    # No longer kept: what emits code would look for loops in forms that are inlined.
    module.get_global_variable("llvm.compiler.used").linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes
