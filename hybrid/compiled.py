"""The public names that trace functions, run them or look at them, and what these need.

Half of the package is behind them. ``hybrid`` brings it when it is asked for the first of these
names (``@hb.compile``), so that ``import hybrid`` takes what eager code needs.
"""

from __future__ import annotations

from hybrid.inspect.compare import Comparison, compare
from hybrid.inspect.graphview import draw
from hybrid.trace.checkpointing import checkpoint
from hybrid.trace.compile import compile
from hybrid.trace.compiled_function import CompiledFunction
from hybrid.trace.control.branches import cond, switch
from hybrid.trace.control.effects import assert_, callback, print
from hybrid.trace.control.loops import fori_loop, while_loop
from hybrid.trace.control.scan import map, scan
from hybrid.trace.custom import custom_gradient, custom_jvp, custom_vjp
from hybrid.trace.define_and_run import Graph
from hybrid.trace.modes import eagerly, functions_run_eagerly, run_functions_eagerly

__all__ = [
    "Comparison",
    "CompiledFunction",
    "Graph",
    "assert_",
    "callback",
    "checkpoint",
    "compare",
    "compile",
    "cond",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "draw",
    "eagerly",
    "fori_loop",
    "functions_run_eagerly",
    "map",
    "print",
    "run_functions_eagerly",
    "scan",
    "switch",
    "while_loop",
]
