"""Reductions across the inner loop: the values of the kept axes are short vectors of an item."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

from hybrid.kernels.phase import Base, Phase, cascades, start, step
from hybrid.kernels.spec import arguments

# Rows that are added into the first accumulator before it is added to the result.
ROW_GROUP = 128
# Rows in one sweep over the accumulators; it saves three quarters of their loads and stores.
ROW_UNROLL = 4
TAGS = "abcd"


class ColumnsPhase(Phase):
    """Kept loops, reduced loops, then the inner loop over neighbouring results."""

    def item(self) -> None:
        """A stretch of results; or a block of rows of it, if the reduction is split."""
        self.stretch()
        {"item": self._whole, "partial": self._partial, "total": self._total}.get(
            self.kind, self._store
        )()

    def stretch(self) -> None:
        """Where the item's results begin, and how many they are."""
        self.emit("first = block * length")
        self.emit("width = minimum(length, n_j - first)")

    def _whole(self) -> None:
        self.locate(list(self.operands))
        staged = [name for name in self.operands if self.staged(name)]
        for name in staged:
            self.allocate(f"{name}_tile", self.operands[name].dtype, "rows * length")
        self.fill([name for name in staged if name.startswith("in")])
        for number in self.passes:
            if len(self.passes) > 1:
                self.emit(f"# pass {number}")
            self.keep(number, "rows * length")
            self._sweep(number, ("0", "rows"))
        for name in staged:
            if name.startswith("out"):
                self.copy(name, inwards=False)
        self._finish()

    # --- staging ----------------------------------------------------------------------------

    def fill(self, names: list[str]) -> None:
        """Copy the inputs that are staged to their tiles."""
        for name in names:
            self.copy(name, inwards=True)

    def staged(self, name: str) -> bool:
        """Whether an operand is copied to a tile."""
        operand = self.operands[name]
        return (
            self.spec.staged
            and operand.inner == "s"
            and not (operand.outer or operand.picks or operand.windows)
        )

    def copy(self, name: str, inwards: bool) -> None:
        """Copy an operand to its tile, in which the inner loop is contiguous, or back."""
        emit = self.emit
        with emit.block("for j in range(width):"):
            step_ = f"j * {name}_j" if self.operands[name].inner == "s" else "j"
            emit(f"at = {name}_at + {step_}")
            with emit.block("for row in range(rows):"):
                outside, inside = f"at + row * {name}_r0", "row * length + j"
                if inwards:
                    emit(f"store({name}_tile, {inside}, load({name}, {outside}))")
                else:
                    emit(f"store({name}, {outside}, load({name}_tile, {inside}))")

    def memory(self, name: str) -> str:
        """The operand itself, or its tile."""
        return f"{name}_tile" if self.staged(name) else name

    def place(self, name: str, base: Base) -> str:
        """Index of the operand's element, or of the tile's, for inner index ``j``."""
        return f"{base(name)} + j" if self.staged(name) else super().place(name, base)

    # --- blocks -----------------------------------------------------------------------------

    def _block(self) -> None:
        self.emit("first_row = row_block * row_length")
        self.emit("last_row = minimum(first_row + row_length, rows)")
        self.locate(list(self.operands))

    def _partial(self) -> None:
        number = self.passes[0]
        self._block()
        self._sweep(number, ("first_row", "last_row"))
        where = f"({self.kept_position()} * row_blocks + row_block) * n_j + first"
        for value in self.flow.reduces[number]:
            memory = self.temporary(value)
            with self.emit.block("for j in range(width):"):
                self.emit(f"store({memory}, partial_{value} + {where} + j, load(v{value}, j))")

    def _store(self) -> None:
        self._block()
        self._sweep(self.passes[0], ("first_row", "last_row"))

    def _total(self) -> None:
        """Add the partial results of a stretch of columns."""
        emit = self.emit
        reduces = self.flow.reduces[self.passes[0]]
        for value in reduces:
            instr, memory = self.instr(value), self.temporary(value)
            position = self.kept_position()
            emit(f"v{value} = advance({memory}, total_{value} + {position} * n_j + first)")
            with emit.block("for j in range(width):"):
                emit(f"store(v{value}, j, {self.constant(instr)})")
            with emit.block("for part in range(row_blocks):"):
                emit(f"at = partial_{value} + ({position} * row_blocks + part) * n_j + first")
                with emit.block("for j in range(width):"):
                    part = f"load({memory}, at + j)"
                    emit(f"store(v{value}, j, {step(instr)}(load(v{value}, j), {part}))")
            self.known[value] = f"load(v{value}, @)"
        if self.is_last_total():
            outer = [f"in{i}" for i, x in enumerate(self.spec.inputs) if x.outer]
            self.locate(outer + [f"out{i}" for i in self.flow.outer_outputs])
            self._finish()

    # --- values of the kept axes ------------------------------------------------------------

    def _recall(self, roots: set[int]) -> None:
        """Find the totals that earlier phases have left."""
        for value in self.outer_closure(roots):
            if value >= self.count and self.instr(value).kind == "reduce":
                place = f"total_{value} + {self.kept_position()} * n_j + first"
                self.emit(f"v{value} = advance({self.temporary(value)}, {place})")
                self.known[value] = f"load(v{value}, @)"
            elif value < self.count:
                self.known[value] = self.element(f"in{value}", self.at).replace(" j", " @")

    def _compute_outer(self, values: list[int]) -> dict[int, str]:
        """Scalar code for maps of the kept axes at inner index ``j``."""
        names = {value: text.replace("@", "j") for value, text in self.known.items()}
        for value in values:
            self.emit(f"v{value}_j = {self.expression(value, names, self.at)}")
            names[value] = f"v{value}_j"
        return names

    def _need(self, roots: set[int]) -> None:
        """Compute outer values into vectors that the inner loops can read."""
        self._recall(roots)
        values = self.outer_closure(roots)
        wanted = [value for value in values if value in roots]
        if not wanted:
            return
        with self.emit.block("for j in range(width):"):
            names = self._compute_outer(values)
            for value in wanted:
                vector = self.allocate(f"v{value}", self.dtype(value), "length")
                self.emit(f"store({vector}, j, {names[value]})")
        for value in wanted:
            self.known[value] = f"load(v{value}, @)"

    def _finish(self) -> None:
        outputs = self.flow.outer_outputs
        if not outputs:
            return
        roots = {self.spec.outputs[index][0] for index in outputs}
        self._recall(roots)
        with self.emit.block("for j in range(width):"):
            names = self._compute_outer(self.outer_closure(roots))
            self.write_outputs(outputs, names, self.at)

    # --- loops ------------------------------------------------------------------------------

    def _sweep(self, number: int, rows: tuple[str, str]) -> None:
        """One pass over the rows."""
        reduces = self.flow.reduces[number]
        self._need(self.references(self.roots(number)))
        blocked = [value for value in reduces if cascades(self.instr(value))]
        for value in reduces:
            self.allocate(f"v{value}", self.dtype(value), "length")
        self.add_up(number, reduces, blocked, rows)
        for value in reduces:
            self.known[value] = f"load(v{value}, @)"
        self.saved |= self.kept_by(number)

    def add_up(
        self, number: int, reduces: tuple[int, ...], blocked: list[int], rows: tuple[str, str]
    ) -> None:
        """The loops of a pass."""
        emit = self.emit
        for value in blocked:
            self.allocate(f"v{value}_low", self.dtype(value), "length")
        self.clear(reduces, blocked)
        self._begin_scans(self.scans(number))
        counters = [(f"r{i}", f"n_r{i}") for i in range(self.spec.reduced)]
        if len(counters) > 1:
            self._unravel(rows[0], counters)
        if blocked:
            with emit.block(f"for start in range({rows[0]}, {rows[1]}, {ROW_GROUP}):"):
                emit(f"stop = minimum(start + {ROW_GROUP}, {rows[1]})")
                self._rows(number, blocked, ("start", "stop"))
                self._flush(blocked)
        else:
            self._rows(number, blocked, rows)

    def clear(self, reduces: tuple[int, ...], blocked: list[int]) -> None:
        """Begin with what reductions over nothing give."""
        if not reduces:
            return
        with self.emit.block("for j in range(width):"):
            for value in reduces:
                constant = self.constant(self.instr(value))
                self.emit(f"store(v{value}, j, {constant})")
                if value in blocked:
                    self.emit(f"store(v{value}_low, j, {constant})")

    def _begin_scans(self, scans: list[int]) -> None:
        for value in scans:
            self.allocate(f"v{value}", self.dtype(value), "length")
        with self.emit.block("for j in range(width):") if scans else nullcontext():
            for value in scans:
                first = self.header.constant(start(self.instr(value)), self.dtype(value))
                self.emit(f"store(v{value}, j, {first})")

    def running(self, value: int) -> str:
        """The row of what scans have come to, one element a column."""
        return f"load(v{value}, j)"

    def ran(self, value: int, name: str) -> None:
        """Keep the result of a scan for the next row."""
        if value >= self.count and self.instr(value).kind == "scan":
            self.emit(f"store(v{value}, j, {name})")

    def _flush(self, blocked: list[int]) -> None:
        """Add the first accumulators to the results."""
        with self.emit.block("for j in range(width):"):
            for value in blocked:
                instr = self.instr(value)
                text = f"{step(instr)}(load(v{value}, j), load(v{value}_low, j))"
                self.emit(f"store(v{value}, j, {text})")
                self.emit(f"store(v{value}_low, j, {self.constant(instr)})")

    def _rows(self, number: int, blocked: list[int], rows: tuple[str, str]) -> None:
        emit = self.emit
        reduces = self.flow.reduces[number]
        start, stop = rows
        if self.spec.reduced == 1 and reduces and not self.heavy():
            emit(f"rest = {stop} - ({stop} - {start}) % {ROW_UNROLL}")
            with emit.block(f"for row in range({start}, rest, {ROW_UNROLL}):"):
                self._row(number, blocked, TAGS)
            with emit.block(f"for row in range(rest, {stop}):"):
                self._row(number, blocked, "a")
            return
        with emit.block(f"for row in range({start}, {stop}):"):
            self._row(number, blocked, "a")
            if self.spec.reduced > 1:
                self._count_up([(f"r{i}", f"n_r{i}") for i in range(self.spec.reduced)])

    def locate_rows(self, tags: str) -> None:
        """Where the rows begin that are added up at once."""
        emit = self.emit
        for name, operand in self.operands.items():
            if operand.outer:
                continue
            step_ = f"{name}_r0"
            if self.staged(name):
                step_ = "length"
                emit(f"{name}_a = row * length")
            elif self.spec.reduced == 1:
                emit(f"{name}_a = {name}_at + row * {name}_r0")
            else:
                terms = [f"r{i} * {name}_r{i}" for i in range(self.spec.reduced)]
                emit(f"{name}_a = {name}_at + {' + '.join(terms)}")
            for before, tag in pairwise(tags):
                emit(f"{name}_{tag} = {name}_{before} + {step_}")

    def _base(self, tag: str) -> Base:
        return lambda name: f"{name}_at" if self.operands[name].outer else f"{name}_{tag}"

    def _row(self, number: int, blocked: list[int], tags: str) -> None:
        """One row, or several at once, of the inner loop."""
        self.locate_rows(tags)
        with self.emit.block("for j in range(width):"):
            terms = self.terms(number, tags)
            for value, total in terms.items():
                target = f"v{value}_low" if value in blocked else f"v{value}"
                self.accumulate(value, target, "j", total)

    def terms(self, number: int, tags: str) -> dict[int, str]:
        """Write the body for some rows; gives the text of what they add to each reduction."""
        stores = self.flow.inner_outputs if number == self.flow.store_pass else ()
        terms: dict[int, list[str]] = {value: [] for value in self.flow.reduces[number]}
        for offset, tag in enumerate(tags):
            row = f"(row + {offset})" if offset else "row"
            at, base = f"{row} * length + j", self._base(tag)
            names = self.compute(self.roots(number), base, at, {}, f"_{tag}")
            self.write_outputs(stores, names, base)
            for value, found in terms.items():
                (arg,) = arguments(self.instr(value))
                found.append(self.converted(names[arg], self.dtype(arg), self.dtype(value)))
        return {value: _paired(step(self.instr(value)), found) for value, found in terms.items()}

    def accumulate(self, value: int, target: str, place: str, total: str) -> None:
        """Add to an accumulator."""
        combine = step(self.instr(value))
        self.emit(f"store({target}, {place}, {combine}(load({target}, {place}), {total}))")


def _paired(combine: str, terms: list[str]) -> str:
    """``combine`` applied to a list of terms as a balanced tree."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"{combine}({_paired(combine, terms[:half])}, {_paired(combine, terms[half:])})"
