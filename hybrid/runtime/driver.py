"""Schedule + memory -> the driver: a Python function, straight-line code without decisions.

The text is meant to be read: it is ``Plan.source``, tracebacks show it and a debugger steps
through it. Names: x inputs, c captures, s converted scalars, t arrays in the workspace, o outputs,
r results of library functions, v views, q constants, k kernels, g their geometries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from hybrid.core.any_size import AnySize
from hybrid.core.graph import Const, Node
from hybrid.core.layout import Layout
from hybrid.core.spec import TensorSpec
from hybrid.ops.moving import window
from hybrid.runtime import workspaces
from hybrid.runtime.bound import Driver, Late, Sizes, compiled
from hybrid.runtime.donation import Donation
from hybrid.runtime.driver_arrays import Arrays
from hybrid.runtime.driver_calls import Borrowed, adopt_result, new_workspace
from hybrid.runtime.load import LoadedKernel
from hybrid.runtime.memory import MemoryPlan, used_roots
from hybrid.runtime.native_calls import divided_product, product_kernel
from hybrid.runtime.picks import outside, pick_kernel
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
)

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


class _Writer(Arrays):
    """The whole function: one statement or a few for each step."""

    def __init__(
        self,
        schedule: Schedule,
        memory: MemoryPlan,
        kernels: Iterator[LoadedKernel],
        donations: tuple[Donation, ...],
        space: AnySize,
    ) -> None:
        super().__init__(schedule, memory, space)
        self.kernels = kernels
        self.donations = donations
        self.name = "plan_" + "".join(c if c.isalnum() else "_" for c in schedule.name)
        self.once: dict[str, Late] = {}
        consumed = (step for step in schedule.steps if isinstance(step, KernelStep))
        self.read_by_kernels = {root for step in consumed for root in step.inputs}
        sources = (output.source for output in schedule.returns)
        self.returned = {source.root for source in sources if isinstance(source, Place)}
        self.written = _written_again(schedule.steps)
        self.given: dict[Root, tuple[str, Root]] = {}

    def write(self) -> None:
        """Write the whole function."""
        self._name_parameters()
        for root, array in self.schedule.constants:
            if isinstance(array, Later):
                self.names[root] = self._late("q", array.for_sizes)
            else:
                self.names[root] = self._constant("q", array)
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

    # --- steps ------------------------------------------------------------------------------------

    def _kernel(self, step: KernelStep) -> None:
        kernel = next(self.kernels)
        arrays = [self._array(root)[0] for root in (*step.inputs, *step.outputs)]
        self._call(kernel, arrays, step.node)

    def _call(self, kernel: LoadedKernel, arrays: list[str], node: Node) -> str:
        """Write the call of a kernel; return the name of its geometry."""
        call = self._constant("k", kernel.entry)
        geometry = self._geometry(kernel.geometry)
        if kernel.parallel:
            self.namespace["par"] = kernel.parallel
        parallel = "par" if kernel.parallel else 0
        self._line(f"{call}({parallel}, {geometry}, {', '.join(arrays)})", node)
        return geometry

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
        if self._picked(step, out):
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

    def _picked(self, step: LibraryStep, out: str) -> bool:
        """Write the call of a kernel for single elements; False where there is none."""
        picked = pick_kernel(step)
        if picked is None:
            return False
        kernel, operands = picked
        node, attrs = step.node, step.node.attrs
        if node.op.changes and (base := self._argument(step.args[0], node)) != out:
            self._line(f"{self._helper('copyto', np.copyto)}({out}, {base})", node)
        arrays = [
            self._literal_array(x) if isinstance(x, Const) else self._array(x.root)[0]
            for x in operands
        ]
        flag = self._fresh_name("f")
        empty, int64 = self._helper("empty", np.empty), self._dtype(np.dtype(np.int64))
        self._line(f"{flag} = {empty}(1, {int64})")
        geometry = self._call(kernel, [*arrays, flag], node)
        where = self._constant("q", (attrs.get("shape"), attrs["axes"]))
        index = ", ".join(arrays[-len(attrs["axes"]) :])
        wrong = f"{self._helper('outside', outside)}({where}, {geometry}, {index})"
        self._line(f"if {flag}[0]: raise {wrong}", node)
        if len(operands) == len(attrs["axes"]):  # nothing but a look at the indices
            self._line(f"{out}.fill(True)", node)
        return True

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
