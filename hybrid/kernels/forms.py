"""The forms that a function has for vectors of each length, in LLVM's language.

A form of a length that the processor has no instruction for consists of longer or shorter ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from llvmlite import ir

from hybrid.records import dataclass

PREFIX = "hybrid_wide_"
# How many elements there may be in the vectors of a loop; 1 for the loop over what remains.
LANES = (1, 2, 4, 8, 16, 32)
NAMES = {"float": "f32", "double": "f64"}
TYPES = {"float": ir.FloatType(), "double": ir.DoubleType()}
_ATTRIBUTES = "nounwind willreturn memory(none)"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of `arity` numbers of LLVM's type `kind`."""

    name: str
    kind: str
    arity: int

    @property
    def symbol(self) -> str:
        return f"{PREFIX}{self.name}_{NAMES[self.kind]}"

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
        vectors = LANES[1:]
        variants = map(self.variant, vectors)
        listed = f'"vector-function-abi-variant"="{",".join(variants)}"'
        yield f"declare {self.head(1)} {_ATTRIBUTES} {listed}"
        yield from (f"declare {self.head(n)} {_ATTRIBUTES}" for n in vectors)

    def variant(self, lanes: int) -> str:
        """What says that the form is one of the function, by the names that LLVM has for that."""
        return f"_ZGV_LLVM_N{lanes}{'v' * self.arity}_{self.symbol}({self.form(lanes)})"

    def definitions(self, called: Iterable[int]) -> Iterable[str]:
        """Define forms, and those that they consist of."""
        wanted, bodies = [*called], dict[int, list[str]]()
        while wanted:
            lanes = wanted.pop()
            if lanes not in bodies:
                bodies[lanes] = [*self.body(lanes)]
                text = "\n".join(bodies[lanes])
                wanted += [n for n in LANES if f"@{self.form(n)}(" in text]
        for lanes, body in bodies.items():
            # Inlined or not there at all.
            yield f"define available_externally {self.head(lanes)} alwaysinline nounwind {{"
            yield from body
            yield f"  ret {self.type(lanes)} %r"
            yield "}"

    def body(self, lanes: int) -> Iterable[str]:
        """The statements that compute ``%r``."""
        raise NotImplementedError

    def needed(self) -> Iterable[str]:
        """Declarations of what the statements call."""
        raise NotImplementedError

    def call(self, to: str, lanes: int, arguments: str) -> str:
        given = ", ".join(f"{self.type(lanes)} %{a}" for a in arguments.split())
        return f"  %{to} = call {self.type(lanes)} @{self.form(lanes)}({given})"

    def in_halves(self, lanes: int) -> Iterable[str]:
        half = lanes // 2
        whole, part = self.type(lanes), self.type(half)
        for side, start in (("x", 0), ("y", half)):
            order = places(range(start, start + half))
            for i in range(self.arity):
                yield f"  %{side}{i} = shufflevector {whole} %a{i}, {whole} poison, {order}"
            yield self.call(side, half, " ".join(f"{side}{i}" for i in range(self.arity)))
        yield f"  %r = shufflevector {part} %x, {part} %y, {places(range(lanes))}"

    def in_wider(self, lanes: int, wide: int) -> Iterable[str]:
        """By the form for `wide` lanes, of which the rest holds zeros."""
        vector, arguments = self.type(wide), range(self.arity)
        if lanes == 1:
            for i in arguments:
                yield f"  %w{i} = insertelement {vector} zeroinitializer, {self.kind} %a{i}, i32 0"
        else:
            order = places([*range(lanes), *[lanes] * (wide - lanes)])
            for i in arguments:
                given = f"{self.type(lanes)} %a{i}, {self.type(lanes)} zeroinitializer"
                yield f"  %w{i} = shufflevector {given}, {order}"
        yield self.call("v", wide, " ".join(f"w{i}" for i in arguments))
        if lanes == 1:
            yield f"  %r = extractelement {vector} %v, i32 0"
        else:
            yield f"  %r = shufflevector {vector} %v, {vector} poison, {places(range(lanes))}"


@dataclass(frozen=True, slots=True)
class Instruction(Function):
    """An instruction of AVX-512: LLVM's name, and the arguments after the vectors."""

    instruction: str

    def body(self, lanes: int) -> Iterable[str]:
        if lanes < 128 // self.bits:
            yield from self.in_wider(lanes, 128 // self.bits)
        elif lanes > 512 // self.bits:
            yield from self.in_halves(lanes)
        else:
            symbol, arguments = self._instruction(lanes)
            yield f"  %r = call {self.type(lanes)} {symbol}({', '.join(arguments)})"

    def _instruction(self, lanes: int) -> tuple[str, list[str]]:
        """The name that LLVM has for the instruction, and its typed arguments."""
        vector, width = self.type(lanes), lanes * self.bits
        if self.instruction.endswith("14"):  # is not rounded, which LLVM's name leaves out
            given = [f"{vector} %a{i}" for i in range(self.arity)]
            suffix = "ps" if self.kind == "float" else "pd"
            given += [f"{vector} zeroinitializer", f"i{max(lanes, 8)} -1"]
            return f"@llvm.x86.avx512.{self.instruction}.{suffix}.{width}", given
        name, *more = self.instruction.split(" ", 1)
        suffix = "ps" if self.kind == "float" else "pd"
        arguments = [f"{vector} %a{i}" for i in range(self.arity)]
        # What takes the place of lanes that a mask leaves out: none.
        arguments += [*more, f"{vector} zeroinitializer", f"i{max(lanes, 8)} -1"]
        if width == 512:
            arguments.append("i32 4")  # rounding as the processor is set
        return f"@llvm.x86.avx512.mask.{name}.{suffix}.{width}", arguments

    def needed(self) -> Iterable[str]:
        for lanes in LANES:
            if 128 <= lanes * self.bits <= 512:
                symbol, arguments = self._instruction(lanes)
                types = ", ".join(argument.rsplit(" ", 1)[0] for argument in arguments)
                yield f"declare {self.type(lanes)} {symbol}({types})"


@dataclass(frozen=True, slots=True)
class Table(Function):
    """The entry of a table whose number is in the lowest bits of the argument, as an integer.

    Tables are as long as one or two vectors of AVX-512, or four of float64, and stay in registers.
    """

    entries: tuple[float, ...]
    register = 512  # bits

    def body(self, lanes: int) -> Iterable[str]:
        full = self.register // self.bits
        if lanes == 1:
            yield from self._read()
        elif lanes < full:
            yield from self.in_wider(lanes, full)
        elif lanes > full:
            yield from self.in_halves(lanes)
        else:
            yield from self._chosen(full)

    def _read(self) -> Iterable[str]:
        integer, count = f"i{self.bits}", len(self.entries)
        yield f"  %bits = bitcast {self.kind} %a0 to {integer}"
        yield f"  %i = and {integer} %bits, {count - 1}"
        array = f"[{count} x {self.kind}]"
        yield f"  %p = getelementptr {array}, ptr @{self.symbol}_entries, i64 0, {integer} %i"
        yield f"  %r = load {self.kind}, ptr %p"

    def _chosen(self, full: int) -> Iterable[str]:
        integers, numbers = f"<{full} x i{self.bits}>", self.type(full)
        yield f"  %i = bitcast {numbers} %a0 to {integers}"
        parts = [self._part(start, full) for start in range(0, len(self.entries), full)]
        if len(parts) == 1:
            name = _PERMUTE[self.kind]
            yield f"  %r = call {numbers} {name}({numbers} {parts[0]}, {integers} %i)"
            return
        results = ["r"] if len(parts) == 2 else ["low", "high"]
        for i, result in enumerate(results):
            given = f"{numbers} {parts[2 * i]}, {integers} %i, {numbers} {parts[2 * i + 1]}"
            yield f"  %{result} = call {numbers} {_PERMUTE_TWO[self.kind]}({given})"
        if len(results) == 2:
            half = f"splat (i{self.bits} {2 * full})"
            yield f"  %bit = and {integers} %i, {half}"
            yield f"  %upper = icmp ne {integers} %bit, zeroinitializer"
            yield f"  %r = select <{full} x i1> %upper, {numbers} %high, {numbers} %low"

    def _part(self, start: int, count: int) -> str:
        return f"<{self._listed(self.entries[start : start + count])}>"

    def _listed(self, entries: Iterable[float]) -> str:
        constants = (ir.Constant(TYPES[self.kind], entry) for entry in entries)
        return ", ".join(f"{self.kind} {constant.get_reference()}" for constant in constants)

    def needed(self) -> Iterable[str]:
        full = 512 // self.bits
        numbers, integers = self.type(full), f"<{full} x i{self.bits}>"
        yield f"declare {numbers} {_PERMUTE[self.kind]}({numbers}, {integers})"
        yield f"declare {numbers} {_PERMUTE_TWO[self.kind]}({numbers}, {integers}, {numbers})"
        yield self._entries()

    def _entries(self) -> str:
        array, listed = f"[{len(self.entries)} x {self.kind}]", self._listed(self.entries)
        return (
            f"@{self.symbol}_entries = private unnamed_addr constant {array} [{listed}], align 64"
        )


@dataclass(frozen=True, slots=True)
class Asking(Function):
    """The number itself; its vectors ask for the line at an address, which moves on with them.

    So lines are asked for one by one, in a loop over vectors that has other work to do.
    """

    write: int

    def head(self, lanes: int) -> str:
        return f"{self.type(lanes)} @{self.form(lanes)}({self.type(lanes)} %a0, ptr %a1)"

    def variant(self, lanes: int) -> str:
        return f"_ZGV_LLVM_N{lanes}vl{self.bits // 8}_{self.symbol}({self.form(lanes)})"

    def body(self, lanes: int) -> Iterable[str]:
        yield from self.asked("a1", self.write, lanes)
        yield f"  %r = select i1 true, {self.type(lanes)} %a0, {self.type(lanes)} %a0"

    def asked(self, start: str, write: int, lanes: int) -> Iterable[str]:
        for byte in range(0, lanes * self.bits // 8, 64) if lanes > 1 else ():
            name = f"p{write}_{byte}"
            yield f"  %{name} = getelementptr i8, ptr %{start}, i64 {byte}"
            yield f"  call void @llvm.prefetch.p0(ptr %{name}, i32 {write}, i32 3, i32 1)"

    def needed(self) -> Iterable[str]:
        yield "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"


@dataclass(frozen=True, slots=True)
class AskingBoth(Asking):
    """The same, and at a distance from the address for a line that will be written.

    Of two addresses that move on LLVM keeps a vector of places, which takes three operations of
    the loop: it sees that the first lane is a number only where nothing else wants it.
    """

    def head(self, lanes: int) -> str:
        return f"{self.type(lanes)} @{self.form(lanes)}({self.type(lanes)} %a0, ptr %a1, i64 %a2)"

    def variant(self, lanes: int) -> str:
        return f"_ZGV_LLVM_N{lanes}vl{self.bits // 8}u_{self.symbol}({self.form(lanes)})"

    def body(self, lanes: int) -> Iterable[str]:
        yield "  %away = getelementptr i8, ptr %a1, i64 %a2"
        yield from self.asked("away", 1, lanes)
        yield from Asking.body(self, lanes)


@dataclass(frozen=True, slots=True)
class ShortTable(Table):
    """The same for AVX2, which permutes eight numbers of 32 bits.

    A table is read from each register that holds a part of it, and the higher bits of the number
    choose between these. A number of float64 is two of 32 bits, next to each other.
    """

    register = 256

    def _chosen(self, full: int) -> Iterable[str]:
        integers, numbers = f"<{full} x i{self.bits}>", self.type(full)
        yield f"  %i = bitcast {numbers} %a0 to {integers}"
        yield from self._words(numbers)
        parts = range(len(self.entries) // full)
        for n in parts:
            yield f"  %p{n} = bitcast {numbers} {self._part(n * full, full)} to <8 x float>"
            yield f"  %q{n} = call <8 x float> {_PERMUTE_EIGHT}(<8 x float> %p{n}, <8 x i32> %w)"
            yield f"  %of1_{n} = bitcast <8 x float> %q{n} to {numbers}"
        count = 1
        while count < len(parts):
            yield f"  %bit{count} = and {integers} %i, splat (i{self.bits} {full * count})"
            yield f"  %upper{count} = icmp ne {integers} %bit{count}, zeroinitializer"
            for n in range(0, len(parts), 2 * count):
                low, high = (f"{numbers} %of{count}_{i}" for i in (n, n + count))
                result = f"%of{2 * count}_{n}" if 2 * count < len(parts) else "%r"
                yield f"  {result} = select <{full} x i1> %upper{count}, {high}, {low}"
            count *= 2

    def _words(self, numbers: str) -> Iterable[str]:
        """Which of eight words of 32 bits to take: ``%w``."""
        if self.bits == 32:
            yield f"  %w = bitcast {numbers} %a0 to <8 x i32>"
            return
        order = places([lane - lane % 2 for lane in range(8)])
        second = ", ".join(f"i32 {lane % 2}" for lane in range(8))
        yield f"  %words = bitcast {numbers} %a0 to <8 x i32>"
        yield f"  %low = shufflevector <8 x i32> %words, <8 x i32> poison, {order}"
        yield "  %twice = add <8 x i32> %low, %low"
        yield f"  %w = add <8 x i32> %twice, <{second}>"

    def needed(self) -> Iterable[str]:
        yield f"declare <8 x float> {_PERMUTE_EIGHT}(<8 x float>, <8 x i32>)"
        yield self._entries()


_PERMUTE_EIGHT = "@llvm.x86.avx2.permps"
_PERMUTE = {
    "float": "@llvm.x86.avx512.permvar.sf.512",
    "double": "@llvm.x86.avx512.permvar.df.512",
}
_PERMUTE_TWO = {
    "float": "@llvm.x86.avx512.vpermi2var.ps.512",
    "double": "@llvm.x86.avx512.vpermi2var.pd.512",
}


def places(numbers: Iterable[int]) -> str:
    listed = [f"i32 {n}" for n in numbers]
    return f"<{len(listed)} x i32> <{', '.join(listed)}>"
