"""The primitives: a convolution, and its transposes by the input and by the weights.

With ``x`` the input, ``w`` the weights and ``g`` something of the result's shape, one trilinear
form ``sum(conv(x, w) * g)`` stands behind all three: each op is its derivative by one of them, so
the gradient of each is made of the other two, to any order.
"""

from __future__ import annotations

from typing import Any

from hybrid.core.batch import Lane, Lanes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, always, register
from hybrid.core.spec import Shape, TensorSpec, promote_specs
from hybrid.core.tensor import Tensor
from hybrid.dtypes import promote
from hybrid.errors import ShapeError
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.conv import compute
from hybrid.ops.conv.geometry import Padding, positions
from hybrid.ops.conv.library import computed
from hybrid.ops.permuting import swapaxes
from hybrid.ops.reshaping import reshape


def _check_channels(name: str, x: Shape, w: Shape, groups: int) -> None:
    if len(x) != len(w) or len(x) < 3:
        raise ShapeError(
            f"{name}: the input has shape {x} and the weights {w}; expected (N, C, spatial axes) "
            "and (C_out, C / groups, spatial axes)"
        )
    if x[1] != w[1] * groups or w[0] % groups:
        raise ShapeError(
            f"{name}: shapes {x} and {w} do not fit with groups={groups}: the input has {x[1]} "
            f"channels, the weights take {w[1]} x {groups} and give {w[0]}"
        )


def _conv_shape(
    x: Shape, w: Shape, stride: Shape, padding: Padding, dilation: Shape, groups: int
) -> Shape:
    name = f"conv{len(x) - 2}d"
    _check_channels(name, x, w, groups)
    return x[0], w[0], *positions(name, x[2:], w[2:], stride, padding, dilation)


def _input_shape(g: Shape, w: Shape, size: Shape, **attrs: Any) -> Shape:
    name = f"conv_transpose{len(g) - 2}d"
    if len(g) != len(w) or len(g) < 3:
        raise ShapeError(
            f"{name}: the input has shape {g} and the weights {w}; expected (N, C, spatial axes) "
            "and (C, C_out / groups, spatial axes)"
        )
    shape = g[0], w[1] * attrs["groups"], *size
    if g[1] != w[0] or w[0] % attrs["groups"]:
        raise ShapeError(
            f"{name}: shapes {g} and {w} do not fit with groups={attrs['groups']}: the input has "
            f"{g[1]} channels, the weights take {w[0]}"
        )
    if _conv_shape(shape, w, **attrs) != g:
        raise ShapeError(f"{name}: no convolution of {shape} by {w} with {attrs} gives shape {g}")
    return shape


def _weight_shape(x: Shape, g: Shape, size: Shape, **attrs: Any) -> Shape:
    shape = g[1], x[1] // attrs["groups"], *size
    if _conv_shape(x, shape, **attrs) != g:
        raise ShapeError(f"conv_weight: no convolution of {x} by {shape} with {attrs} gives {g}")
    return shape


def _same_dtype(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Return both arrays in the dtype to compute in, and the dtype of the result."""
    dtype = promote((a.dtype, b.dtype))
    wide = computed(dtype)
    return a.astype(wide, copy=False), b.astype(wide, copy=False), dtype


# --- batches of them ------------------------------------------------------------------------------


def _batched(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor:
    """Convolve the images of all examples with what they share."""
    x, w = lanes
    if w.batched or not x.batched:
        return _grouped(op, size, lanes, attrs)
    images = reshape(x.tensor, (size * x.tensor.shape[1], *x.tensor.shape[2:]))
    found = bind(op, (images, w.tensor), attrs)
    return reshape(found, (size, x.tensor.shape[1], *found.shape[1:]))


def _grouped(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor:
    """Make each example a group of channels."""
    first, second = (_every(lane, size) for lane in lanes)
    weights = op.name != "conv_weight"  # the second operand has its channels in front
    left = _channels(first)
    rows = size * second.shape[1]
    right = reshape(second, (rows, *second.shape[2:])) if weights else _channels(second)
    found = bind(op, (left, right), {**attrs, "groups": size * attrs["groups"]})
    if not weights:
        return reshape(found, (size, found.shape[0] // size, *found.shape[1:]))
    apart = reshape(found, (found.shape[0], size, found.shape[1] // size, *found.shape[2:]))
    return swapaxes(apart, 0, 1)


def _every(lane: Lane, size: int) -> Tensor:
    tensor = asarray(lane.tensor)
    return tensor if lane.batched else broadcast_to(tensor, (size, *tensor.shape))


def _channels(x: Tensor) -> Tensor:
    """Put the channels of all examples side by side."""
    moved = swapaxes(x, 0, 1)
    return reshape(moved, (moved.shape[0], moved.shape[1] * moved.shape[2], *moved.shape[3:]))


# --- conv -----------------------------------------------------------------------------------------


def _infer_conv(x: TensorSpec, w: TensorSpec, **attrs: Any) -> TensorSpec:
    return TensorSpec(_conv_shape(x.shape, w.shape, **attrs), promote_specs((x, w)), x.device)


def _eager_conv(xp: Any, x: Any, w: Any, **attrs: Any) -> Any:
    if compute.are_short(xp, x, w, **attrs):
        return compute.correlated(x, w, attrs["padding"])
    _conv_shape(x.shape, w.shape, **attrs)
    x, w, dtype = _same_dtype(x, w)
    return compute.convolved(xp, x, w, **attrs).astype(dtype, copy=False)


def _attrs(
    stride: Shape = (1,), padding: Padding = ((0, 0),), dilation: Shape = (1,), groups: int = 1
) -> dict[str, Any]:
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


_PLAIN = _attrs()
_WIDE = _attrs((2, 1), ((1, 0), (2, 1)), (1, 2), 2)

CONV = register(
    Op(
        name="conv",
        family="conv",
        infer=_infer_conv,
        eager=_eager_conv,
        in_order=always,
        batch=_batched,
        vjp=(
            lambda g, out, x, w, **attrs: conv_input(g, w, x.shape[2:], attrs).astype(
                x.dtype, copy=False
            ),
            lambda g, out, x, w, **attrs: conv_weight(x, g, w.shape[2:], attrs).astype(
                w.dtype, copy=False
            ),
        ),
        examples=(
            Example(((2, 1, 5), (2, 1, 3)), _PLAIN),
            Example(((1, 2, 4, 3), (2, 1, 3, 2)), _WIDE),
            Example(((0, 1, 4), (2, 1, 2)), _PLAIN),
            Example(((1, 2, 4), (1, 2, 2)), _PLAIN, ("int32", "int64")),
            Example(((1, 1, 4), (1, 1, 2)), _PLAIN, ("bfloat16", "bfloat16")),
        ),
        doc="The sums of products of weights with what lies under them, at each place of a window.",
    )
)


def conv(x: Tensor, w: Tensor, attrs: dict[str, Any]) -> Tensor:
    """Bind the `conv` op."""
    return bind(CONV, (x, w), attrs)


# --- its transposes -------------------------------------------------------------------------------


def _infer_input(g: TensorSpec, w: TensorSpec, **attrs: Any) -> TensorSpec:
    return TensorSpec(_input_shape(g.shape, w.shape, **attrs), promote_specs((g, w)), g.device)


def _eager_input(xp: Any, g: Any, w: Any, **attrs: Any) -> Any:
    _input_shape(g.shape, w.shape, **attrs)
    g, w, dtype = _same_dtype(g, w)
    return compute.by_input(xp, g, w, **attrs).astype(dtype, copy=False)


CONV_INPUT = register(
    Op(
        name="conv_input",
        family="conv",
        infer=_infer_input,
        eager=_eager_input,
        in_order=always,
        batch=_batched,
        vjp=(
            lambda h, out, g, w, *, size, **attrs: conv(h, w, attrs).astype(g.dtype, copy=False),
            lambda h, out, g, w, *, size, **attrs: conv_weight(h, g, w.shape[2:], attrs).astype(
                w.dtype, copy=False
            ),
        ),
        examples=(
            Example(((2, 2, 3), (2, 1, 3)), {"size": (5,), **_PLAIN}),
            Example(((1, 2, 2, 4), (2, 1, 3, 2)), {"size": (4, 3), **_WIDE}),
            Example(((1, 1, 3), (1, 2, 2)), {"size": (4,), **_PLAIN}, ("int64", "int32")),
        ),
        doc="The transpose of a convolution by its input: the gradient by it, or a layer.",
    )
)


def conv_input(g: Tensor, w: Tensor, size: Shape, attrs: dict[str, Any]) -> Tensor:
    """Bind the `conv_input` op; `size` is the spatial shape of the result."""
    return bind(CONV_INPUT, (g, w), {"size": size, **attrs})


def _infer_weight(x: TensorSpec, g: TensorSpec, **attrs: Any) -> TensorSpec:
    return TensorSpec(_weight_shape(x.shape, g.shape, **attrs), promote_specs((x, g)), x.device)


def _eager_weight(xp: Any, x: Any, g: Any, **attrs: Any) -> Any:
    _weight_shape(x.shape, g.shape, **attrs)
    x, g, dtype = _same_dtype(x, g)
    return compute.by_weight(xp, x, g, **attrs).astype(dtype, copy=False)


CONV_WEIGHT = register(
    Op(
        name="conv_weight",
        family="conv",
        infer=_infer_weight,
        eager=_eager_weight,
        in_order=always,
        batch=_grouped,
        vjp=(
            lambda h, out, x, g, *, size, **attrs: conv_input(g, h, x.shape[2:], attrs).astype(
                x.dtype, copy=False
            ),
            lambda h, out, x, g, *, size, **attrs: conv(x, h, attrs).astype(g.dtype, copy=False),
        ),
        examples=(
            Example(((2, 1, 5), (2, 2, 3)), {"size": (3,), **_PLAIN}),
            Example(((1, 2, 4, 3), (1, 2, 2, 4)), {"size": (3, 2), **_WIDE}),
            Example(((0, 1, 4), (0, 2, 3)), {"size": (2,), **_PLAIN}),
        ),
        doc="The transpose of a convolution by its weights: the gradient by them.",
    )
)


def conv_weight(x: Tensor, g: Tensor, size: Shape, attrs: dict[str, Any]) -> Tensor:
    """Bind the `conv_weight` op; `size` is the spatial shape of the weights."""
    return bind(CONV_WEIGHT, (x, g), {"size": size, **attrs})
