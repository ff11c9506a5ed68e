"""``import hybrid`` brings what eager code needs; the rest comes when it is first used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LATER = {
    *("numba", "llvmlite"),  # for the first kernel
    *("scipy", "opt_einsum"),  # for the functions that are theirs
    *("rich", "matplotlib", "tqdm", "platformdirs"),  # for reports and the demo
    *("pandas", "sklearn", "torch", "jax"),  # libraries that take Tensors
    *("optree", "hashlib", "sysconfig"),  # for containers, kernels on disk, nothing at all
    *("hybrid.kernels.cpu", "hybrid.kernels.phase"),  # for kernels that no hand wrote
    *("numpy.ma", "importlib.metadata", "xml", "ssl", "http", "email", "tempfile"),
}


def test_import_leaves_to_later_what_eager_code_does_not_need() -> None:
    code = "import sys; site = set(sys.modules); import hybrid; print(*set(sys.modules) - site)"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True
    )
    assert "hybrid" in (loaded := set(done.stdout.split()))
    assert LATER & loaded == set()
    # What builds the short ways of operators comes when some thousands have run.
    assert not {f"hybrid.kernels.{name}" for name in ("shortway.installing", "native")} & loaded


EAGER = """
import sys
import numpy as np
import hybrid as hb

x = hb.asarray([[1.0, 2.0], [3.0, 4.0]])
with hb.GradientTape() as tape:
    tape.watch(x)
    y = (hb.tanh(x @ x)[1:] + np.sin(x)).sum()
tape.gradient(y, x)
hb.vmap(hb.grad(lambda row: (row * row).sum()))(x)
x[0] += hb.random.normal(2)
hb.linalg.solve(x, x)
assert "compile" in dir(hb)
print(*(name for name in sys.modules if name.startswith(BEHIND)))
with hb.default_dtype(hb.float64):  # compiled code comes while a block is open, in a thread
    from threading import Thread
    found = []
    threads = [Thread(target=lambda: found.append(hb.compile(lambda x: x * 2)(x))) for _ in "abc"]
    [t.start() for t in threads], [t.join() for t in threads]
assert [y.dtype for y in found] == [hb.float32] * 3 and len({id(hb.compile)}) == 1
"""
BEHIND = "hybrid.trace", "hybrid.runtime", "hybrid.inspect", "hybrid.compiled"


def test_eager_code_does_without_what_compiles_functions() -> None:
    code = EAGER.replace("BEHIND", repr(BEHIND))
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_what_comes_later_is_in_the_namespace_and_what_is_not_there_is_refused() -> None:
    code = (
        "import hybrid as hb\n"
        "from hybrid import while_loop\n"
        "from hybrid import *\n"
        "assert hb.while_loop is while_loop and scan is hb.scan and print is hb.print\n"
        "hb.compiles\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert "AttributeError: module 'hybrid' has no attribute 'compiles'" in done.stderr


PLAIN = """
import sys
import numpy as np
import hybrid as hb

x = hb.asarray([[1.0, 2.0], [3.0, 4.0]])
with hb.GradientTape() as tape:
    tape.watch(x)
    y = (hb.tanh(x @ x)[1:] + np.sin(x)).sum()
tape.gradient(y, x)
x[0] += hb.random.normal(2)
hb.stack([hb.sort(x), hb.softmax(x), hb.tensordot(x, x, 1)]).mean(axis=0).argmax()
hb.compile(hb.sqrt)(x)
assert {"median", "linalg"} <= set(dir(hb))
print(*(name for name in sys.modules if name.startswith(BEHIND)))
@hb.compile
def of_families(x):  # they come in the middle of a trace
    return np.concatenate([x, hb.linalg.inv(x)]), hb.median(x)
with hb.default_dtype(hb.float64):
    found = of_families(x)
assert [part.dtype for part in found] == [hb.float32] * 2
"""
FAMILIES = (
    *("hybrid.families", "hybrid.ops.fft", "hybrid.ops.linalg", "hybrid.ops.conv"),
    *("hybrid.ops.pooling", "hybrid.ops.statistics", "hybrid.ops.sets", "hybrid.ops.layers"),
    *("hybrid.ops.segments", "hybrid.ops.losses", "hybrid.ops.protocols.adapters"),
    "hybrid.ops.protocols.compositions",
)


def test_plain_code_and_compiled_code_do_without_families_that_few_need() -> None:
    code = PLAIN.replace("BEHIND", repr(FAMILIES))
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_each_later_name_is_behind_one_door() -> None:
    import hybrid
    from hybrid import compiled, families

    assert set(compiled.__all__) == hybrid._TRACING
    assert not hybrid._TRACING & set(families.__all__)
    assert hybrid._TRACING.union(families.__all__) <= set(hybrid.__all__)


@pytest.mark.parametrize("wanted", [True, False])
def test_garbage_is_looked_for_afterwards_if_it_was_before(wanted: bool) -> None:
    code = (
        "import gc, sys, hybrid as hb\n"
        f"(gc.enable if {wanted} else gc.disable)()\n"
        "hb.compile, hb.median\n"
        f"assert gc.isenabled() == {wanted}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_garbage_is_looked_for_after_an_import_that_failed() -> None:
    code = (
        "import gc, sys, hybrid as hb\n"
        "sys.modules['hybrid.families'] = None\n"
        "try:\n    hb.median\n"
        "except ImportError:\n    assert gc.isenabled()\n"
        "else:\n    raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
