"""One index for each place along an axis: reading there, and copies with other values there."""

from __future__ import annotations

from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.spec import Shape
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import IndexingError, ShapeError
from hybrid.ops._axes import one_axis
from hybrid.ops.elementwise.operands import with_lists
from hybrid.ops.indexing.gather import gather, index_array
from hybrid.ops.indexing.update import index_update
from hybrid.ops.ranges import arange
from hybrid.ops.reshaping import ravel, reshape


def take_along_axis(x: ArrayLike, /, indices: ArrayLike, axis: int | None = -1) -> Tensor:
    """Take for each place of `indices` the element of `x` with that index along `axis`.

    Parameters
    ----------
    x : array-like
    indices : array-like of int
        With as many axes as `x`; the other axes broadcast.
    axis : int, optional
        None takes from the raveled array.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexingError
        For an index outside the axis.

    Examples
    --------
    >>> take_along_axis([[3, 1], [2, 4]], [[1], [0]], axis=1)
    Tensor([[1],
            [2]], dtype=int64)
    """
    x = asarray(x)
    index = index_array(indices, x.device)
    if axis is None:
        x, axis = ravel(x), 0
    axis = one_axis("take_along_axis", axis, x.shape)
    grid = _grid("take_along_axis", x.shape, index, axis)
    return gather(x, grid, tuple(range(x.ndim)), 0)


def scatter(x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """Return a copy of `x` with `values` at the places that :func:`take_along_axis` reads.

    Of several values for one place the last one stays. :func:`put_along_axis` writes in place.

    Parameters
    ----------
    x : array-like
    indices : array-like of int
        With as many axes as `x`; the other axes broadcast.
    values : array-like
        Broadcast to the shape of `indices`; they take the dtype of `x`.
    axis : int

    Returns
    -------
    Tensor

    Examples
    --------
    >>> scatter([[0, 0], [0, 0]], [[1], [0]], 7, axis=1)
    Tensor([[0, 7],
            [7, 0]], dtype=int64)
    """
    return _scattered("scatter", x, indices, values, axis, "set")


def scatter_add(
    x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, *, axis: int = -1
) -> Tensor:
    """Return a copy of `x` with `values` added where :func:`take_along_axis` reads.

    Several values for one place add up; it is the gradient of :func:`take_along_axis`. Arguments
    are those of :func:`scatter`.

    Parameters
    ----------
    x : array-like
    indices : array-like of int
        Of as many axes as `x`.
    values : array-like
        Of a shape that broadcasts to that of `indices`.
    axis : int

    Returns
    -------
    Tensor

    Examples
    --------
    >>> scatter_add([0, 0, 0], [2, 0, 2], [1, 10, 100])
    Tensor([ 10,   0, 101], dtype=int64)
    """
    return _scattered("scatter_add", x, indices, values, axis, "add")


def put_along_axis(x: Tensor, indices: ArrayLike, values: ArrayLike, axis: int | None = -1) -> None:
    """Write `values` into `x` at the places that :func:`take_along_axis` reads, as NumPy does.

    Parameters
    ----------
    x : Tensor
        Is written to.
    indices : array-like of int
        Of as many axes as `x`.
    values : array-like
        Of a shape that broadcasts to that of `indices`.
    axis : int, optional
        The raveled array if it is None.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.zeros((2, 2))
    >>> put_along_axis(x, [[0], [1]], 5.0, 1)
    >>> x
    Tensor([[5., 0.],
            [0., 5.]], dtype=float32)
    """
    from hybrid.ops.assignment import setitem

    index = index_array(indices, x.device)
    if axis is None:
        x, axis = reshape(x, -1, copy=False), 0
    axis = one_axis("put_along_axis", axis, x.shape)
    setitem(x, _grid("put_along_axis", x.shape, index, axis), values)


def _scattered(
    name: str, x: ArrayLike, indices: ArrayLike, values: ArrayLike, axis: int, mode: str
) -> Tensor:
    x, values = with_lists(x, values)
    x = asarray(x)
    index = index_array(indices, x.device)
    axis = one_axis(name, axis, x.shape)
    grid = _grid(name, x.shape, index, axis)
    return index_update(x, values, grid, tuple(range(x.ndim)), 0, mode)


def _grid(name: str, shape: Shape, index: Tensor, axis: int) -> tuple[Tensor, ...]:
    if index.dtype.kind not in "iu":
        raise IndexingError(located(f"{name}: indices are integers, not {index.dtype.name}"))
    if index.ndim != len(shape):
        raise ShapeError(
            located(
                f"{name}: indices of shape {index.shape} must have as many axes as the array of "
                f"shape {shape}"
            )
        )
    lying = [[n if j == i else 1 for j in range(len(shape))] for i, n in enumerate(shape)]
    return tuple(
        index if i == axis else reshape(arange(n, device=index.device), lying[i])
        for i, n in enumerate(shape)
    )
