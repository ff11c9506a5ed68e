"""Schedule + memory -> the driver: a Python function, straight-line code without decisions.

The text is meant to be read: it is ``Plan.source``, tracebacks show it and a debugger steps
through it. Names: x inputs, c captures, s converted scalars, t arrays in the workspace, o outputs,
r results of library functions, v views, q constants, k kernels, g their geometries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Any

import numpy as np

from hybrid.core import recycle
from hybrid.core.any_size import AnySize
from hybrid.core.graph import Const, Node
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import TensorSpec
from hybrid.core.substitute import substitute, unknowns_in
from hybrid.core.unknown import Unknown
from hybrid.dtypes import DType
from hybrid.ops.moving import window
from hybrid.records import dataclass
from hybrid.runtime import workspaces
from hybrid.runtime.bound import Driver, Late, Sizes, compiled
from hybrid.runtime.donation import Donation
from hybrid.runtime.driver_calls import Borrowed, adopt_result, new_workspace
from hybrid.runtime.load import LoadedKernel
from hybrid.runtime.memory import MemoryPlan, used_roots
from hybrid.runtime.native_calls import divided_product, product_kernel
from hybrid.runtime.steps import (
    KernelStep,
    Later,
    LibraryStep,
    Place,
    Return,
    Root,
    Schedule,
    Step,
    WindowStep,
    WriteStep,
    tells_scalars,
)
from hybrid.runtime.view_text import view_expression

# Library results from this size on are released as soon as they have been read.
_WORTH_RELEASING = 1 << 16


def make_driver(
    schedule: Schedule,
    memory: MemoryPlan,
    kernels: tuple[LoadedKernel, ...],
    donations: tuple[Donation, ...] = (),
    space: AnySize | None = None,
) -> Driver:
    """Write and compile the driver of a schedule.

    Parameters
    ----------
    schedule : Schedule
    memory : MemoryPlan
    kernels : tuple of LoadedKernel
        One for each KernelStep, in order.
    donations : tuple of Donation
        Results that lie in the memory of parameters where the caller gives it.
    space : AnySize, optional
        Of the sizes that are unknown.

    Returns
    -------
    Driver
    """
    writer = _Writer(schedule, memory, iter(kernels), donations, space or AnySize())
    writer.write()
    source = "\n".join(writer.lines) + "\n"
    inputs, names = tuple(writer.space.names), dict.fromkeys(writer.names_of_late)
    run = compiled(writer.name, source, writer.namespace | names, writer.nodes, inputs)
    if not inputs:
        return Driver(source, run)
    geometries = writer.space.reader(tuple(writer.geometries.values()))
    late, once = tuple(writer.late.values()), tuple((writer.late | writer.once).values())
    return Driver(source, run, inputs, geometries, late, once)


@dataclass(slots=True)
class _Writer:
    """The text under construction, with the names that it refers to."""

    schedule: Schedule
    memory: MemoryPlan
    kernels: Iterator[LoadedKernel]
    donations: tuple[Donation, ...]
    space: AnySize
    name: str = ""
    lines: list[str] = field(default_factory=list)
    nodes: dict[int, Node] = field(default_factory=dict)
    namespace: dict[str, Any] = field(default_factory=dict)
    geometries: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    late: dict[str, Late] = field(default_factory=dict)
    once: dict[str, Late] = field(default_factory=dict)
    depth: int = 0
    names: dict[Root, str] = field(default_factory=dict)
    parameters: dict[Root, str] = field(default_factory=dict)
    views: dict[tuple[Root, Layout], str] = field(default_factory=dict)
    workspace: dict[tuple[int, Layout, str], str] = field(default_factory=dict)
    held: dict[Root, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    read_by_kernels: set[Root] = field(default_factory=set)
    returned: set[Root] = field(default_factory=set)
    written: set[Root] = field(default_factory=set)
    given: dict[Root, tuple[str, Root]] = field(default_factory=dict)

    @property
    def names_of_late(self) -> tuple[str, ...]:
        """What depends on sizes, these first."""
        return (*self.space.names.values(), *self.geometries, *self.late)

    def write(self) -> None:
        """Write the whole function."""
        self.name = "plan_" + "".join(c if c.isalnum() else "_" for c in self.schedule.name)
        self._name_parameters()
        for root, array in self.schedule.constants:
            if isinstance(array, Later):
                self.names[root] = self._late("q", array.for_sizes)
            else:
                self.names[root] = self._constant("q", array)
        kernels = (step for step in self.schedule.steps if isinstance(step, KernelStep))
        self.read_by_kernels = {root for step in kernels for root in step.inputs}
        sources = (output.source for output in self.schedule.returns)
        self.returned = {source.root for source in sources if isinstance(source, Place)}
        self.written = _written_again(self.schedule.steps)
        inner = self._captured(self._body)
        if self.workspace:
            self._provide_workspace()
        parameters = [*self.parameters.values()]
        if self.donations:
            nothing = self._constant("q", (False,) * len(self.donations))
            parameters.append(f"give=lambda: {nothing}")
        # So that a function for other sizes is nothing but other defaults.
        parameters += [f"{name}={name}" for name in self.names_of_late]
        self._line(f"def {self.name}({', '.join(parameters)}):")
        with self._indented():
            if self.workspace:
                self._take_workspace()
            self._line("try:")
            self._append(inner)
            self._line("except Exception as error:")
            known = ", ".join(("error", *self.space.names.values()))
            self._line(f"    raise explained({known}) from error.__cause__")
            if self.workspace:
                self._line("finally:")
                self._line("    pool.append(workspace)")

    def _take_workspace(self) -> None:
        # Two threads may see the same last workspace, so that asking first would not be safe.
        self._line("try:")
        self._line("    workspace = pool.pop()")
        self._line("except IndexError:")
        self._line("    workspace = new_workspace()")
        self._line(f"{', '.join(self.workspace.values())}, = workspace")

    def _provide_workspace(self) -> None:
        """Give ``pool`` and ``new_workspace`` their meaning."""
        views = [(at, layout, np.dtype(name)) for at, layout, name in self.workspace]
        arena = self.memory.arena
        if not self.space.names:
            self.namespace["pool"] = workspaces.new_pool(arena)
            self.namespace["new_workspace"] = lambda: new_workspace(arena, views)
            return
        size = self.space.reader(arena)
        dtypes = [dtype for _, _, dtype in views]
        read = self.space.reader(tuple((at, x.shape, x.strides, x.offset) for at, x, _ in views))

        def sized(sizes: Sizes) -> list[Any]:
            found = zip(read(*sizes.values()), dtypes, strict=True)
            return [(at, Layout(*layout), dtype) for (at, *layout), dtype in found]

        def made(sizes: Sizes) -> Callable[[], Any]:
            return lambda: new_workspace(size(*sizes.values()), sized(sizes))

        shared = workspaces.SharedPools()
        self.once["pool"] = lambda sizes: Borrowed(shared, size(*sizes.values()), sized(sizes))
        self.once["new_workspace"] = lambda sizes: None
        self.late["pool"] = lambda sizes: workspaces.new_pool(size(*sizes.values()))
        self.late["new_workspace"] = made

    def _body(self) -> None:
        self.depth = 2
        begin = min((donation.step for donation in self.donations), default=-1)
        for number, step in enumerate(self.schedule.steps):
            if number == begin:
                self._ask()
            if isinstance(step, KernelStep):
                self._kernel(step)
            elif isinstance(step, WriteStep):
                self._write(step)
            elif isinstance(step, WindowStep):
                self._window(step)
            else:
                self._library(step)
            self._release(number, step)
        results = [self._returned(output) for output in self.schedule.returns]
        self._line(f"return ({', '.join(results)}{',' if len(results) == 1 else ''})")
        self.depth = 0

    def _ask(self) -> None:
        """Learn which parameters may be written over; nothing is allocated from there on."""
        given = {donation.result: donation for donation in self.donations}
        for root, output in self.memory.fresh.items():
            if root not in given:
                self._output(root, output)
        names = [self._fresh_name("d") for _ in self.donations]
        self._line(f"{', '.join(names)}, = give()")
        for name, (root, donation) in zip(names, given.items(), strict=True):
            self.given[root] = name, donation.parameter
            array = self.parameters[donation.parameter]
            self._output(root, self.memory.fresh[root], f"{array} if {name} else ")

    # --- text -------------------------------------------------------------------------------------

    def _line(self, text: str, node: Node | None = None) -> None:
        if node is not None:
            self.nodes[len(self.lines)] = node
            text += f"  # {node.line}" if node.line else ""
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def _indented(self) -> Iterator[None]:
        self.depth += 1
        yield
        self.depth -= 1

    def _captured(self, write: Callable[[], None]) -> tuple[list[str], dict[int, Node]]:
        write()
        captured = self.lines, self.nodes
        self.lines, self.nodes = [], {}
        return captured

    def _append(self, captured: tuple[list[str], dict[int, Node]]) -> None:
        lines, nodes = captured
        # Lines of source are numbered from 1.
        start = len(self.lines) + 1
        self.nodes = {start + number: node for number, node in nodes.items()}
        self.lines += lines

    def _fresh_name(self, letter: str) -> str:
        number = self.counts.get(letter, 0)
        self.counts[letter] = number + 1
        return f"{letter}{number}"

    def _constant(self, letter: str, value: Any) -> str:
        if self.space.names and unknowns_in(value):
            return self._late(letter, lambda sizes: substitute(value, sizes))
        name = self._fresh_name(letter)
        self.namespace[name] = value
        return name

    def _late(self, letter: str, make: Late) -> str:
        name = self._fresh_name(letter)
        self.late[name] = make
        return name

    def _prepared(self, node: Node) -> str:
        """Name the function that an op has prepared for what it is applied to."""
        prepare = node.op.prepare
        assert prepare is not None
        key = tuple(x.spec for x in node.inputs), node.attrs

        def prepared(sizes: Sizes) -> Any:
            specs, attrs = substitute(key, sizes)
            return prepare(specs, **attrs)

        if self.space.names and unknowns_in(key):
            return self._late(f"hb_{node.op.name}", prepared)
        return self._helper(f"hb_{node.op.name}", prepare(key[0], **key[1]))

    def _helper(self, name: str, value: Any) -> str:
        """Give `value` a name in the driver; ops that are not registered may share theirs."""
        name = unique = "".join(c if c.isalnum() else "_" for c in name)
        number = 1
        while self.namespace.setdefault(unique, value) is not value:
            number += 1
            unique = f"{name}_{number}"
        return unique

    def _dtype(self, dtype: DType) -> str:
        return self._helper(dtype.name, np.dtype(dtype.name))

    # --- arrays -----------------------------------------------------------------------------------

    def _name_parameters(self) -> None:
        inputs = self.schedule.inputs
        for root in self.schedule.parameters:
            n = root.number
            self.parameters[root] = f"x{n}" if n < inputs else f"c{n - inputs}"
            if not root.spec.weak:
                self.names[root] = self.parameters[root]

    def _converted_scalar(self, root: Root) -> str:
        name = self.names.get(root)
        if name is None:
            name = self.names[root] = self._fresh_name("s")
            asarray = self._helper("asarray", np.asarray)
            dtype = self._dtype(root.spec.dtype)
            self._line(f"{name} = {asarray}({self.parameters[root]}, {dtype})")
        return name

    def _array(self, root: Root) -> tuple[str, Layout]:
        """Name the ndarray of a root and say how its elements lie; makes the ndarray if need be."""
        if root.origin == "parameter" and root.spec.weak:
            return self._converted_scalar(root), root.layout
        fresh = self.memory.fresh.get(root)
        if fresh is not None:
            return self._output(root, fresh)
        if root.planned:
            return self._temporary(root, root.layout), root.layout
        return self.names[root], root.layout

    def _output(self, root: Root, output: Return, rather: str = "") -> tuple[str, Layout]:
        place = output.source
        assert isinstance(place, Place)
        # Allocated in the shape in which it is returned, if that is how its elements follow.
        plain = place.layout == contiguous(place.layout.shape)
        layout = place.layout if plain else place.root.layout
        owner = place.root
        name = self.names.get(owner)
        if name is None:
            name = self.names[owner] = self._fresh_name("o")
            large = owner.spec.nbytes >= recycle.LARGE
            empty = self._helper("empty", recycle.empty if large else np.empty)
            shape = self.space.text(layout.shape)
            self._line(f"{name} = {rather}{empty}({shape}, {self._dtype(owner.spec.dtype)})")
        return name, layout

    def _temporary(self, root: Root, layout: Layout) -> str:
        key = self.memory.offsets[root], layout, root.spec.dtype.name
        if key not in self.workspace:
            self.workspace[key] = self._fresh_name("t")
        return self.workspace[key]

    def _view(self, place: Place) -> str:
        """Name an ndarray of a value: what library functions are called with."""
        root = place.root
        if root.planned and root not in self.memory.fresh:
            return self._temporary(root, place.layout)
        name, layout = self._array(root)
        if place.layout == layout:
            return name
        key = root, place.layout
        if key not in self.views:
            text = view_expression(name, layout, place.layout, self.space.text)
            text = text or self._replayed(name, place)
            self.views[key] = self._fresh_name("v")
            self.held.setdefault(root, []).append(self.views[key])
            self._line(f"{self.views[key]} = {text}")
        return self.views[key]

    def _replayed(self, name: str, place: Place) -> str:
        """View an array by the view ops themselves."""
        _, layout = self._array(place.root)
        text = name
        if layout.shape != place.root.layout.shape:
            text = f"{name}.reshape({self.space.text(place.root.layout.shape)})"
        for node in place.chain:
            text = self._eager_call(node, [text])
        return text

    # --- steps ------------------------------------------------------------------------------------

    def _kernel(self, step: KernelStep) -> None:
        kernel = next(self.kernels)
        arrays = [self._array(root)[0] for root in (*step.inputs, *step.outputs)]
        self._call(kernel, arrays, step.node)

    def _call(self, kernel: LoadedKernel, arrays: list[str], node: Node) -> None:
        call = self._constant("k", kernel.entry)
        geometry = self._geometry(kernel.geometry)
        if kernel.parallel:
            self.namespace["par"] = kernel.parallel
        parallel = "par" if kernel.parallel else 0
        self._line(f"{call}({parallel}, {geometry}, {', '.join(arrays)})", node)

    def _geometry(self, numbers: Any) -> str:
        if not isinstance(numbers, list):
            return self._constant("g", numbers)
        name = self._fresh_name("g")
        self.geometries[name] = tuple(numbers)
        return name

    def _library(self, step: LibraryStep) -> None:
        if step.into is not None:
            return self._library_into(step, step.into)
        node = step.node
        args = [self._argument(arg, node) for arg in step.args]
        call = self._eager_call(node, args)
        for root in step.outputs:
            self.names[root] = self._fresh_name("r")
        names = [self.names[root] for root in step.outputs]
        if node.op.multi:
            results = f"{', '.join(names)}{',' if len(names) == 1 else ''} = " if names else ""
            self._line(f"{results}{call}", node)
            calls = names
        else:
            calls = [call]
        adopt = self._helper("adopt", adopt_result)
        for position, (name, value, root) in enumerate(zip(names, calls, step.outputs)):
            order = "C" if root in self.read_by_kernels | self.written else "K"
            shape = self.space.text(root.spec.shape)
            parts = [value, shape, self._dtype(root.spec.dtype), f'"{order}"']
            parts += self._clear_of(root, step, args, names[:position])
            self._line(f"{name} = {adopt}({', '.join(parts)})", node)

    def _write(self, step: WriteStep) -> None:
        source, target = self._argument(step.source, step.node), self._view(step.target)
        copyto = self._helper("copyto", np.copyto)
        # A parameter that is given needs no copy of itself.
        given, parameter = self.given.get(step.target.root, ("", None))
        itself = isinstance(step.source, Place) and step.source.root is parameter
        unless = f"if not {given}: " if itself and not step.target.chain else ""
        self._line(f'{unless}{copyto}({target}, {source}, "unsafe")', step.node)

    def _window(self, step: WindowStep) -> None:
        name = self.names[step.output] = self._fresh_name("w")
        self.held.setdefault(step.output.owner, []).append(name)
        counters = [self._argument(place, step.node) for place in step.counters]
        parts = [self._helper("np", np), self._view(step.source), *counters]
        for key in ("chain", "moves"):
            parts.append(f"{key}={self._constant('q', step.node.attrs[key])}")
        self._line(f"{name} = {self._helper('window', window)}({', '.join(parts)})", step.node)

    def _clear_of(
        self, root: Root, step: LibraryStep, args: list[str], siblings: list[str]
    ) -> list[str]:
        """Name the arrays whose memory a library result must not be part of."""
        returned = root in self.returned or root in self.written
        # Memory of the Plan is written again later; a result that is returned, or written into,
        # must be fresh.
        found = [
            text
            for text, arg in zip(args, step.args, strict=True)
            if isinstance(arg, Place) and (arg.root.owner.planned or returned)
        ]
        return list(dict.fromkeys(found + siblings if returned else found))

    def _library_into(self, step: LibraryStep, into: Callable[..., Any]) -> None:
        (root,) = step.outputs
        out = self._view(Place(root, root.layout))
        found = product_kernel(step)
        if found is not None:
            kernel, places = found
            self._call(kernel, [*(self._view(place) for place in places), out], step.node)
            return
        args = [self._argument(arg, step.node) for arg in step.args]
        divided = divided_product(step)
        if divided is not None:
            multiply, numbers = divided
            call, geometry = self._helper(multiply.__name__, multiply), self._geometry(numbers)
            self._line(f"{call}({geometry}, {', '.join(args)}, {out})", step.node)
            return
        matrices = all(_is_matrix(operand.spec) for operand in step.node.inputs)
        if into is np.matmul and matrices and not _is_of_one_array(step):
            # The same call of BLAS as `matmul`, reached 0.6 microseconds sooner. Of `x @ x.T` both
            # copy one half from the other, which `dot` takes longer for: 1,000 x 32 float32 1.04
            # milliseconds instead of 0.68.
            self._line(f"{args[0]}.dot({args[1]}, {out})", step.node)
            return
        function = self._helper(step.node.op.name, into)
        self._line(f"{function}({', '.join(args)}, out={out})", step.node)

    def _argument(self, arg: Place | Const, node: Node) -> str:
        if isinstance(arg, Const):
            return self._literal_array(arg)
        # Ops that are not elementwise may tell Python scalars from arrays, as they do in eager
        # code; elementwise ones were promoted when the graph was made.
        if arg.root.spec.weak and not arg.chain and tells_scalars(node):
            return self.parameters.get(arg.root) or self._view(arg)
        return self._view(arg)

    def _literal_array(self, const: Const) -> str:
        value = np.array(const.value, const.dtype)
        value.setflags(write=False)
        return self._constant("q", value)

    def _eager_call(self, node: Node, args: list[str]) -> str:
        op = node.op
        if op.prepare is not None:
            prepared = self._prepared(node)
            return f"{prepared}({', '.join(args)})"
        function = self._helper(f"hb_{op.name}", op.eager)
        parts = [self._helper("np", np), *args]
        for key, value in node.attrs.items():
            text = self._attr(value)
            parts.append(f"{key}={text if text is not None else self._constant('q', value)}")
        return f"{function}({', '.join(parts)})"

    def _attr(self, value: Any) -> str | None:
        """Write an attr as Python text, where that is short and exact."""
        if isinstance(value, np.dtype):
            return self._dtype(value)
        if type(value) is tuple:
            parts = [self._attr(x) for x in value]
            if None in parts:
                return None
            return f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"
        if type(value) is Unknown:
            return self.space.text(value)
        plain = value is None or type(value) in (bool, int, str)
        return repr(value) if plain else None

    def _release(self, number: int, step: Step) -> None:
        for root in dict.fromkeys((*used_roots(step), *step.outputs)):
            large = root.origin == "result" and root.spec.nbytes >= _WORTH_RELEASING
            if large and self._last_use(root) == number:
                self._line(f"del {', '.join([self.names[root], *self.held.get(root, [])])}")

    def _last_use(self, root: Root) -> int:
        return self.memory.last_use.get(root, root.start)

    # --- results ----------------------------------------------------------------------------------

    def _returned(self, output: Return) -> str:
        source = output.source
        if isinstance(source, Const):
            return f"{self._literal_array(source)}.copy()"
        return self._view(source) if output.owned else f"{self._view(source)}.copy()"


def _written_again(steps: Iterable[Step]) -> set[Root]:
    """Return the arrays that a step writes after they have been made."""
    made: set[Root] = set()
    again: set[Root] = set()
    for step in steps:
        outputs = {root.owner for root in step.outputs}
        again |= made & outputs
        made |= outputs
    return again


def _is_of_one_array(step: LibraryStep) -> bool:
    one, other = step.args
    return isinstance(one, Place) and isinstance(other, Place) and one.root is other.root


def _is_matrix(spec: TensorSpec) -> bool:
    return spec.ndim == 2 and spec.size > 0 and spec.dtype.kind in "fc" and spec.dtype.itemsize > 2
