"""What recording and going back cost where there is next to nothing to compute: 1000 small ops."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case, Compile, Function, uniform

STEPS = 500
RATE = 0.99


def chain(x: Any) -> Any:
    y = x
    for _ in range(STEPS):
        y = y * RATE + x
    return y


def by_hand(np: Any, compile: Any) -> Function:
    slope = sum(RATE**k for k in range(STEPS + 1))
    return lambda x: np.full_like(x, slope)


def with_tape(hb: Any, compile: Any) -> Function:
    def gradient(x: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = chain(x)
        return tape.gradient(y, x)

    return gradient


def with_torch(torch: Any, compile: Any) -> Function:
    def gradient(x: Any) -> Any:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(chain(x).sum(), x)[0]

    return gradient


def with_autograd(autograd: Any, compile: Compile) -> Function:
    slope: Function = autograd.grad(lambda x: chain(x).sum())
    return slope


def forward(library: Any, compile: Any) -> Function:
    return chain


PEERS = ("numpy", "hybrid-eager", "torch", "autograd")

CASES = (
    Case(
        "1000 ops, no tape",
        uniform(1, "float32"),
        16,
        {"numpy": forward, "hybrid": forward, "torch": forward},
        peers=PEERS,
        rtol=1e-4,
    ),
    Case(
        "1000 ops and their gradient",
        uniform(1, "float32"),
        16,
        {
            "numpy": by_hand,
            "hybrid": with_tape,
            "torch": with_torch,
            "autograd": with_autograd,
        },
        peers=PEERS[1:],  # by hand there are no ops
        rtol=1e-4,
    ),
)
