"""Moving elements from device to device; the method of Tensors is in ``hybrid.core.tensor``."""

from __future__ import annotations

from typing import Any

from hybrid.core.devices import place
from hybrid.core.op import Example, Op, register
from hybrid.core.places import DeviceArray, data_to
from hybrid.core.spec import TensorSpec


def _eager(xp: Any, x: Any, *, device: str) -> Any:
    if xp.__name__ == "numpy":
        return xp.array(x) if device == "cpu" else data_to(x, place(device))
    here = place(f"cuda:{x.device.id}")
    assert here is not None
    return data_to(DeviceArray(x, here), place(device))


TO_DEVICE = register(
    Op(
        name="to_device",
        family="placement",
        infer=lambda x, *, device: TensorSpec(x.shape, x.dtype, device),
        eager=_eager,
        vjp=(lambda g, out, x, *, device: g.to_device(x.device),),
        lead=lambda attrs, size, *shapes: attrs,
        examples=(Example(((2, 3),), {"device": "cpu"}),),
        doc="The same elements on a device.",
    )
)
