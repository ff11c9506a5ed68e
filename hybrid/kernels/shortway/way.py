"""A way: what is said of an operator that has a short way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """An operator with a short way.

    Parameters
    ----------
    name : str
    kind : str
        ``"unary"``, ``"binary"``, ``"comparison"``, ``"product"`` (of arrays of one floating-point
        dtype), ``"in place"`` (``x += y``), ``"item"`` (``x[index]``), ``"set item"``,
        ``"reshape"``, ``"transpose"``, ``"squeeze"``, ``"ravel"``, ``"flatten"``, ``"copy"``,
        ``"length"``, ``"float"``, ``"int"`` and ``"bool"`` (of one element), the name of a
        property, or that of a function, which gives None where the way is not plain:
        ``"function"``, ``"function of two"`` and ``"function of a product"`` of so many arrays,
        ``"function of an axis"``, ``"function of the largest"`` and ``"function of the smallest"``
        (where it is) of an array, an axis and `keepdims`, ``"function of axes"`` and ``"function of
        unit axes"`` of an array and perhaps what the methods ``transpose`` and ``squeeze`` are
        given, ``"function of a choice"`` of three, ``"function of a shape"`` of one, a dtype and a
        number, and ``"function of numbers"`` of a list and the dtype of floats.
    call : callable
        What does it to ndarrays: a ufunc. It gives one, or a NumPy scalar. Of ``"item"``:
        ``call(index, *shape)`` gives the view ops that lead to what the index shows, of
        ``"reshape"`` it is ``call(*shape)``, where shape is the result's, of ``"transpose"``
        ``call(*axes)``, of ``"squeeze"`` ``call(*shape)``, of ``"set item"`` it is what ``del
        x[index]`` does. Functions of a choice, of a shape and of
        numbers, and those of places, call nothing.
    otherwise : callable
        The Python function for what is not plain.
    reflected : callable, optional
        That of ``__radd__``, with the operands swapped.
    """

    name: str
    kind: str
    call: Callable[..., Any] | None = None
    otherwise: Callable[..., Any] | None = None
    reflected: Callable[..., Any] | None = None
