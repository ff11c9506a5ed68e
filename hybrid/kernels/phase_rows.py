"""Reductions along the inner loop: the values of the kept axes are scalars of an item."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

from hybrid.kernels.expression import Header, literal
from hybrid.kernels.moments import SAMPLE
from hybrid.kernels.phase import Base, Text, cascades, start, step
from hybrid.kernels.phase_asking import AskingPhase
from hybrid.kernels.spec import (
    KernelSpec,
    arguments,
    quotients_by_root,
)

# Elements that a vectorised accumulation covers: 1024 over 64 lanes makes 16 additions in a row.
REDUCE_BLOCK = 1024
# Block results that are added before they move up in the cascade; a power of two.
CASCADE = 64


class RowsPhase(AskingPhase):
    """Kept loops outside, reduced loops inside."""

    def __init__(self, spec: KernelSpec, kind: str, header: Header, emit: Text) -> None:
        super().__init__(spec, kind, header, emit)
        self.flow = replace(self.flow, saved=self.flow.saved | self.lent.keys())

    def item(self) -> None:
        """One result; or one block of it, if the reduction is split."""
        {"item": self._whole, "partial": self._partial, "total": self._total}.get(
            self.kind, self._store
        )()

    def _whole(self) -> None:
        self.locate(list(self.operands))
        if self.ahead is not None:
            self.known[self.ahead] = f"v{self.ahead}"
        for number in self.passes[self.ahead is not None :]:
            if len(self.passes) > 1:
                self.emit(f"# pass {number}")
            self.keep(number, f"rows * {self.inner_size}")
            if number < self.flow.store_pass and self.kept_by(number):
                self.ask()
            self.ask_next(number)
            self._sweep(number, ("0", "rows"), ("0", self.inner_size))
            self.forget_asked()
        self._finish()
        if self.ahead is not None:
            self.emit(f"v{self.ahead} = v{self.ahead}_ahead")

    def begin(self) -> None:
        """Look for the extreme of the first row."""
        value, emit = self.ahead, self.emit
        if value is not None:
            (source,) = arguments(self.instr(value))
            emit(f"first_at = in{source}_offset + lo * in{source}_k0")
            emit(f"v{value}_first = {self.constant(self.instr(value))}")
            with emit.block(f"for j in range(0, select(lo < hi, {self.inner_size}, 0)):"):
                x = f"load(in{source}, first_at + j)"
                emit(f"v{value}_first = {self._step(value)}(v{value}_first, {x})")
            emit(f"v{value} = v{value}_first")

    def _look_ahead(self) -> None:
        """Take an element of the next row, and ask for one of the row after that."""
        value = self.ahead
        assert value is not None
        (source,) = arguments(self.instr(value))
        name = f"in{source}"
        x = self.with_asking(f"load({name}, {name}_next + j)", name, name, f"{name}_after")
        self.emit(f"v{value}_ahead = {self._step(value)}(v{value}_ahead, {x})")

    def keep(self, number: int, size: str) -> None:
        """Allocate what this pass saves for later ones, but for what waits in a result."""
        for value in sorted(self.kept_by(number) - self.lent.keys()):
            self.allocate(f"v{value}_row", self.dtype(value), size)

    def kept_at(self, value: int, saved_at: str, base: Base) -> str:
        """In scratch memory, or in the row of a result that a later pass stores."""
        if value not in self.lent:
            return super().kept_at(value, saved_at, base)
        name = f"out{self.lent[value]}"
        return f"{name}, {self.place(name, base)}"

    def _block(self) -> None:
        emit = self.emit
        emit("first = block * length")
        emit(f"last = minimum(first + length, {self.inner_size})")
        if self.spec.reduced > 1:
            emit("first_row = row_block * row_length")
            emit("last_row = minimum(first_row + row_length, rows)")
        self.locate(list(self.operands))

    def _partial(self) -> None:
        number = self.passes[0]
        self._block()
        self._sweep(number, ("first_row", "last_row"), ("first", "last"))
        for value in self.flow.reduces[number]:
            self.emit(f"store({self.temporary(value)}, partial_{value} + item, v{value})")

    def _store(self) -> None:
        self._block()
        self._sweep(self.passes[0], ("first_row", "last_row"), ("first", "last"))

    def _total(self) -> None:
        """Combine the partial results of one item of the kept axes."""
        reduces = self.flow.reduces[self.passes[0]]
        emit = self.emit
        emit("pieces = row_blocks * blocks")
        emit("begin = item * pieces")

        def body() -> dict[int, str]:
            names = {}
            for value in reduces:
                emit(f"v{value}_part = load({self.temporary(value)}, partial_{value} + begin + j)")
                names[value] = f"v{value}_part"
            return names

        self._open(reduces)
        self._blocked(reduces, ("0", "pieces"), body)
        self._end(reduces)
        for value in reduces:
            emit(f"store({self.temporary(value)}, total_{value} + item, v{value})")
        if self.is_last_total():
            outer = [f"in{i}" for i, x in enumerate(self.spec.inputs) if x.outer]
            self.locate(outer + [f"out{i}" for i in self.flow.outer_outputs])
            self._finish()

    # --- values of the kept axes ------------------------------------------------------------

    def _need(self, roots: set[int]) -> None:
        for value in self.outer_closure(roots):
            if value < self.count:
                text = self.element(f"in{value}", self.at)
            elif self.instr(value).kind == "reduce":
                position = "item" if self.kind == "total" else self.kept_position()
                text = f"load({self.temporary(value)}, total_{value} + {position})"
            else:
                text = self.expression(value, self.known, self.at)
            self.emit(f"v{value} = {text}")
            self.known[value] = f"v{value}"
            if value in self._quotients.values():
                one = self.header.constant(1.0, self.dtype(value))
                self.emit(f"v{value}_inverse = {one} / v{value}")

    @property
    def _quotients(self) -> dict[int, int]:
        return quotients_by_root(self.spec)

    def expression(self, value: int, names: dict[int, str], base: Base) -> str:
        """The text that computes a value; by a root of the kept axes nothing is divided.

        A million divisions are half of the time of a layer norm of 1000 x 1000 in the cache.
        """
        root = self._quotients.get(value)
        if root is None:
            return super().expression(value, names, base)
        (dividend, _) = self.instr(value).args
        text = names[dividend] if isinstance(dividend, int) else literal(dividend, self.header)
        return f"({text} * v{root}_inverse)"

    def _finish(self) -> None:
        outputs = self.flow.outer_outputs
        self._need({self.spec.outputs[index][0] for index in outputs})
        for index in outputs:
            value, operand = self.spec.outputs[index]
            text = self.converted(self.known[value], self.dtype(value), operand.dtype)
            self.emit(f"store(out{index}, out{index}_at, {text})")

    # --- loops ------------------------------------------------------------------------------

    def _sweep(self, number: int, rows: tuple[str, str], inner: tuple[str, str]) -> None:
        """One pass over the reduced loops."""
        roots = self.roots(number)
        reduces = tuple(v for v in self.flow.reduces[number] if v not in self._derived)
        self._need(self.references(roots))
        self._open(reduces)
        if self.spec.reduced == 1:
            self._run(number, reduces, inner, self.at, "j")
        else:
            self._rows(number, reduces, rows, inner)
        self._end(reduces)
        self.saved |= self.kept_by(number)

    def _rows(
        self, number: int, reduces: tuple[int, ...], rows: tuple[str, str], inner: tuple[str, str]
    ) -> None:
        emit = self.emit
        counters = [(f"r{i}", f"n_r{i}") for i in range(self.spec.reduced - 1)]
        self._unravel(rows[0], counters)
        with emit.block(f"for row in range({rows[0]}, {rows[1]}):"):
            for name, operand in self.operands.items():
                if not operand.outer:
                    terms = [f"r{i} * {name}_r{i}" for i in range(self.spec.reduced - 1)]
                    emit(f"{name}_here = {name}_at + {' + '.join(terms)}")

            def base(name: str) -> str:
                return f"{name}_at" if self.operands[name].outer else f"{name}_here"

            self._run(number, reduces, inner, base, f"row * {self.inner_size} + j")
            self._count_up(counters)

    def _run(
        self,
        number: int,
        reduces: tuple[int, ...],
        inner: tuple[str, str],
        base: Callable[[str], str],
        saved_at: str,
    ) -> None:
        """The inner loop."""
        roots = self.roots(number)
        stores = self.flow.inner_outputs if number == self.flow.store_pass else ()
        hoisted = self.hoisted(roots, base)

        def body() -> dict[int, str]:
            names = self.compute(roots, base, saved_at, hoisted)
            self.write_outputs(stores, names, base)
            if self.ahead is not None and number == 1:
                self._look_ahead()
            results = {}
            for value in reduces:
                if value in self.squares:
                    results[value] = names[self.squares[value].x]
                    continue
                (arg,) = arguments(self.instr(value))
                results[value] = self.converted(names[arg], self.dtype(arg), self.dtype(value))
            return results

        for value in reduces:
            if value in self.squares:
                self._sample(value, base, saved_at, hoisted)
        if self.ahead is not None and number == 1:
            self.emit(f"v{self.ahead}_ahead = {self.constant(self.instr(self.ahead))}")
        if self.squares.keys() & set(reduces):
            self.ask_further(number, base)
        if reduces:
            self._blocked(reduces, inner, body)
        else:
            for value in self.scans(number):
                first = self.header.constant(start(self.instr(value)), self.dtype(value))
                self.emit(f"v{value} = {first}")
            with self.emit.block(f"for j in range({inner[0]}, {inner[1]}):"):
                body()

    # --- accumulation -----------------------------------------------------------------------

    def _open(self, reduces: tuple[int, ...]) -> None:
        for value in reduces:
            instr = self.instr(value)
            self.emit(f"v{value} = {self.constant(instr)}")
            if self._watched(value):
                zero = self.header.constant(0, instr.dtype.replace("float", "int"))
                self.emit(f"v{value}_bits = {zero}")
            if cascades(instr):
                self.emit(f"v{value}_mid = {self.constant(instr)}")
                self.emit(f"v{value}_high = {self.constant(instr)}")
        if any(cascades(self.instr(value)) for value in reduces):
            self.emit("runs = 0")

    def _blocked(
        self,
        reduces: tuple[int, ...],
        inner: tuple[str, str],
        body: Callable[[], dict[int, str]],
    ) -> None:
        """Accumulate over the inner loop, block by block where rounding wants that."""
        emit = self.emit
        if not any(cascades(self.instr(value)) for value in reduces):
            with emit.block(f"for j in range({inner[0]}, {inner[1]}):"):
                for value, text in body().items():
                    self._take(value, f"v{value}", text)
            return
        with emit.block(f"for start in range({inner[0]}, {inner[1]}, {REDUCE_BLOCK}):"):
            emit(f"stop = minimum(start + {REDUCE_BLOCK}, {inner[1]})")
            for value in reduces:
                emit(f"v{value}_sum = {self.constant(self.instr(value))}")
                if value in self.squares:
                    emit(f"v{value}_squares = v{value}_sum")
            with emit.block("for j in range(start, stop):"):
                for value, text in body().items():
                    name = f"v{value}"
                    if value in self.squares:
                        emit(f"{name}_d = difference({text}, {name}_shift)")
                        emit(f"{name}_squares = add_square({name}_squares, {name}_d)")
                        text = f"{name}_d"
                    self._take(value, f"{name}_sum", text)
            for value in reduces:
                if value in self.squares:
                    self._put_together(value)
                else:
                    emit(f"v{value} = {self._joined(value, f'v{value}', f'v{value}_sum')}")
            self._cascade([value for value in reduces if cascades(self.instr(value))])

    def _watched(self, value: int) -> bool:
        """Whether it is the extreme of floats, one of which may be NaN: see extrema.py."""
        instr = self.instr(value)
        return instr.expr in ("max", "min") and instr.dtype.startswith("float")

    def _take(self, value: int, name: str, text: str) -> None:
        """Accumulate one element."""
        if self._watched(value):
            self.emit(f"v{value}_x = {text}")
            self.emit(f"v{value}_bits = watch_step(v{value}_bits, v{value}_x)")
            text = f"v{value}_x"
        self.emit(f"{name} = {self._step(value)}({name}, {text})")

    def _step(self, value: int) -> str:
        instr = self.instr(value)
        return f"{instr.expr}_number" if self._watched(value) else step(instr)

    # --- deviations (moments.py) ------------------------------------------------------------

    @property
    def _derived(self) -> set[int]:
        """The reductions that come along with those of squares."""
        plain = {value for moment in self.spec.moments for value in moment.plain}
        return plain | {x.total for x in self.spec.moments if x.total is not None}

    def _sample(self, value: int, base: Base, saved_at: str, hoisted: dict[int, str]) -> None:
        """The first shift: the mean of the first elements."""
        emit, name, x = self.emit, f"v{value}", self.squares[value].x
        zero = self.constant(self.instr(value))
        with nullcontext() if self.spec.reduced == 1 else emit.block("if row == 0:"):
            for start in ("shift", "from", "gone", "before"):
                emit(f"{name}_{start} = {zero}")
            emit(f"sample = minimum({SAMPLE}, {self.inner_size})")
            one = self.header.constant(1.0, self.dtype(value))
            emit(f"{name}_part = {one} / {self._number(value, 'max(sample, 1)')}")
            with emit.block("for j in range(sample):"):
                names = self.compute({x}, base, saved_at, hoisted)
                # Of large numbers the sum may overflow, their mean does not.
                emit(f"{name}_shift = add_reassoc({name}_shift, {names[x]} * {name}_part)")

    def _put_together(self, value: int) -> None:
        """Add a block, by Chan's formula.

        ``from`` is the mean of the first block. ``before`` elements came before this one; the mean
        of all so far is ``gone`` away from ``from``.
        """
        emit, name = self.emit, f"v{value}"
        zero = self.constant(self.instr(value))
        emit(f"{name}_n = {self._number(value, 'stop - start')}")
        emit(f"{name}_off = {name}_sum / {name}_n")
        # Squares that overflow are the result, whatever is taken from them.
        emit(f"{name}_is_finite = {name}_squares - {name}_squares == {zero}")
        less = f"max_step({name}_squares - {name}_sum * {name}_off, {zero})"
        emit(f"{name} = {name} + select({name}_is_finite, {less}, {name}_squares)")
        with emit.block("if runs == 0:"):
            emit(f"{name}_from = {name}_shift + {name}_off")
        emit(f"{name}_step = {name}_shift - {name}_from + {name}_off - {name}_gone")
        emit(f"{name}_share = {name}_n / ({name}_before + {name}_n)")
        emit(f"{name} = {name} + {name}_step * {name}_before * {name}_share * {name}_step")
        emit(f"{name}_gone = {name}_gone + {name}_step * {name}_share")
        emit(f"{name}_before = {name}_before + {name}_n")
        emit(f"{name}_shift = {name}_shift + {name}_off")

    def _centre(self, value: int) -> None:
        """Make deviations from the mean those from the centre."""
        emit, name, moment = self.emit, f"v{value}", self.squares[value]
        if moment.total is not None:
            emit(f"v{moment.total} = {name}_before * ({name}_from + {name}_gone)")
            self.known[moment.total] = f"v{moment.total}"
        self._need({moment.centre})
        emit(f"{name}_off = {name}_gone - ({self.known[moment.centre]} - {name}_from)")
        # Of nothing the mean may be anything.
        zero = self.constant(self.instr(value))
        emit(f"{name}_off = select(runs > 0, {name}_off, {zero})")
        for plain in moment.plain:
            emit(f"v{plain} = {name}_before * {name}_off")
            self.known[plain] = f"v{plain}"
        emit(f"{name} = {name} + {name}_before * {name}_off * {name}_off")
        self.known[value] = name

    def _number(self, value: int, text: str) -> str:
        return f"{self.header.cast(self.dtype(value))}({text})"

    # --- partial results --------------------------------------------------------------------

    def _joined(self, value: int, a: str, b: str) -> str:
        """Two partial results as one; the order of rounding is fixed here."""
        instr = self.instr(value)
        if cascades(instr):
            return f"{a} {'+' if instr.expr == 'sum' else '*'} {b}"
        return f"{self._step(value)}({a}, {b})"

    def _cascade(self, values: list[int]) -> None:
        """After every 64 blocks, move what has been added up by one level."""
        if not values:
            return
        emit = self.emit
        emit("runs += 1")
        for level, upper, mask in (("", "_mid", CASCADE - 1), ("_mid", "_high", CASCADE**2 - 1)):
            with emit.block(f"if runs & {mask} == 0:"):
                for value in values:
                    low, high = f"v{value}{level}", f"v{value}{upper}"
                    emit(f"{high} = {self._joined(value, high, low)}")
                    emit(f"{low} = {self.constant(self.instr(value))}")

    def running(self, value: int) -> str:
        """The variable of the scan: each element gives it its next value."""
        return f"v{value}"

    def _end(self, reduces: tuple[int, ...]) -> None:
        for value in reduces:
            if cascades(self.instr(value)):
                low = self._joined(value, f"v{value}_mid", f"v{value}")
                whole = self._joined(value, f"v{value}_high", f"({low})")
                self.emit(f"v{value} = {whole}")
            if self._watched(value):
                self.emit(f"v{value} = unless_nan(v{value}_bits, v{value})")
            if value not in self.squares:
                self.known[value] = f"v{value}"
        for value in self.squares:
            if value in reduces:
                self._centre(value)
