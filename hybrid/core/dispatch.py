"""One dispatch for every op: record it in a trace, or run it; then let the tapes see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from hybrid.core import placed
from hybrid.core.aliases import hung, is_current, one_step, shares_memory
from hybrid.core.heard import ASKED, heard_of
from hybrid.core.layout import Layout
from hybrid.core.making import asarray
from hybrid.core.number import Number, in_graph, in_python
from hybrid.core.op import OPS, Attrs, Op
from hybrid.core.operands import PYTHON_SCALARS
from hybrid.core.picked import Picked, lifted
from hybrid.core.places import DeviceArray
from hybrid.core.refusals import explained, leaked
from hybrid.core.state import busy as busy
from hybrid.core.state import state as state
from hybrid.core.storage import Snapshot
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import Unknown
from hybrid.dtypes import is_inexact
from hybrid.errors import HybridError

_new = object.__new__
_array, _asarray = np.ndarray, np.asarray


@contextmanager
def scope(*, recorder: Any = ..., tapes: Any = ..., silent: bool | None = None) -> Iterator[None]:
    """Run a block under another recorder or other tapes.

    With `silent` nothing in it has a gradient; without, another recorder begins with gradients.
    """
    before, always, was_silent = (state.recorder, state.tapes), state.always, state.silent
    # Tapes that have ended already: they are asked for gradients of what is brought up to date.
    asked = [tape for tape in before[1] if tape._ended]
    state.update(before[0] if recorder is ... else recorder, before[1] if tapes is ... else tapes)
    state.silent = (was_silent and recorder is ...) if silent is None else silent
    state.depth += 1
    try:
        yield
    finally:
        state.depth -= 1
        state.silent = was_silent
        before = still(*before)
        # One may be closed inside.
        gone = [tape for tape in always if tape not in state.always]
        open_ones = (tape for tape in before[1] if not tape._ended or tape in asked)
        tapes = tuple([tape for tape in open_ones if tape not in gone])
        state.update(before[0], tapes)
        if state.always is not always and before[0] is None:
            new = [tape for tape in state.always if tape not in tapes]
            state.update(None, (*new, *tapes))


def still(recorder: Any, tapes: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return the recorder and the tapes that are left of those there were.

    A trace that has given up meanwhile records nothing any more, and the tapes around it do.
    """
    if recorder is None or recorder.gave_up is None:
        return recorder, tapes
    return None, (*recorder.around, *tapes)


def record_always(tape: Any) -> None:
    """Keep a tape open in this thread for good, from the end of all scopes on."""
    if tape in state.always and (tape in state.tapes or state.depth):
        return
    state.always = (tape,)
    if not state.depth:
        state.update(state.recorder, (tape, *state.tapes))


def record_no_longer(tape: Any) -> None:
    """Close a tape that was kept open in this thread."""
    state.always = tuple([t for t in state.always if t is not tape])
    state.update(state.recorder, tuple([t for t in state.tapes if t is not tape]))


def bind_all(op: Op, inputs: tuple[Any, ...], attrs: Attrs) -> tuple[Tensor, ...]:
    """Apply an op that has several results; see :func:`bind`."""
    return cast(tuple[Tensor, ...], bind(op, inputs, attrs))


def bind(op: Op, inputs: tuple[Any, ...], attrs: Attrs) -> Tensor:
    """Apply `op`: the one way by which anything is computed.

    Parameters
    ----------
    op : Op
    inputs : tuple
        Tensors, Variables, ndarrays, NumPy or Python scalars.
    attrs : mapping
        Hashable values.

    Returns
    -------
    Tensor
        Or a tuple of Tensors, if the op has several results.
    """
    outputs: Any
    if not busy or state.plain:
        outputs = _eager(op, inputs, attrs)
        if (op.view is not None or op.put is not None) and type(inputs[0]) is Tensor:
            _link_view(op, inputs[0], attrs, outputs)
        return outputs  # type: ignore[no-any-return]
    recorder = state.recorder
    for x in inputs:
        if type(x) is Tensor:
            data, link = x._data, x._link
            if type(data) is Symbol:
                known = data.recorder is recorder and data.array is None
            else:  # tapes watch eager code
                known = recorder is None
            if known and (link is None or is_current(link)):
                continue
        elif type(x) is float or type(x) is int:
            continue
        if recorder is not None:
            whole = lifted(op, inputs, attrs, bind, resolve)
            if whole is not None:
                return whole
        inputs = tuple(map(resolve, inputs))  # which may end the trace
        recorder = state.recorder
        break
    if attrs and Number in map(type, attrs.values()):  # attributes are known
        attrs = {key: in_python(value) for key, value in attrs.items()}
        recorder = state.recorder
    if recorder is not None and ASKED.get() is not recorder.asked:
        recorder.note_asked()  # which may end the trace
        recorder = state.recorder
    if recorder is not None and (op.acts or op.bodies or recorder.acted):
        recorder.before_effects(op, attrs)  # which may end the trace
        recorder = state.recorder
    if recorder is None:
        outputs = _eager(op, inputs, attrs)
    else:
        outputs = _record(recorder, op, inputs, attrs)
        if recorder.turned and not (op.shows and _may_show(op, inputs[0])):
            recorder.lay_out(op, inputs, attrs, outputs)
    if (op.view is not None or op.put is not None) and type(inputs[0]) is Tensor:
        _link_view(op, inputs[0], attrs, outputs)
    if state.tapes:
        state.tapes[-1]._record(op, inputs, attrs, outputs)
    return outputs  # type: ignore[no-any-return]


def at_once(op: Op, x: Any, attrs: Attrs) -> Tensor | None:
    """Apply an op of one array where nothing records it: a short way to :func:`bind`.

    Parameters
    ----------
    op : Op
        That makes no view.
    x : object
    attrs : mapping
        As users write them: NumPy understands negative axes too.

    Returns
    -------
    Tensor or None
        None where bind is to be asked: to record, to convert, or to say what is wrong.
    """
    if (busy and not state.plain) or type(x) is not Tensor:
        return None
    data = x._data
    if type(data) is not _array:
        return None
    try:
        call = heard_of(op)
        data = op.eager(np, data, **attrs) if call is None else call(op.eager, np, data, **attrs)
    except Exception:
        return None
    made = _new(Tensor)
    made._data = data if type(data) is _array else _asarray(data)
    made._link = made._node = None
    return made


def resolve(x: Any) -> Any:
    """Return what an op works on: Variables are read, ndarrays adopted, stale aliases refreshed.

    In a trace, a Tensor from outside is replaced by the one that stands for it there.
    """
    if type(x) is not Tensor:
        if type(x) is Unknown:
            x = in_trace(x)
            if type(x) is Tensor:
                return x
        elif type(x) is Number:
            return resolve(in_graph(x))
        if isinstance(x, PYTHON_SCALARS) and not isinstance(x, np.generic):
            return x
        x = asarray(x)
    recorder = state.recorder
    data = x._data
    if type(data) is Symbol and data.array is not None and data.spec.weak:
        return _scalar_after(data)
    if recorder is not None and type(data) is Symbol and data.recorder is not recorder:
        return recorder.shadow(x)  # of the trace around this one, which refreshes it
    link = x._link
    if link is not None and not is_current(link):
        refresh(x)
    if recorder is not None and type(data) is not Symbol:
        return recorder.shadow(x)
    return x


def in_trace(x: Unknown) -> Any:
    """Return the weak Tensor that stands for an unknown number in the trace at hand, or a number.

    Where no trace is under way that could hold it, it is the number that it is in this call.
    """
    recorder = state.recorder
    return recorder.number(x) if recorder is not None and x.open else x.concrete()


def _eager(op: Op, inputs: tuple[Any, ...], attrs: Attrs) -> Any:
    arrays = []  # filled in a loop: in Python 3.11 a comprehension is a call
    elsewhere = not inputs
    for x in inputs:
        data = x._data if type(x) is Tensor else _plain(x)
        if type(data) is not np.ndarray:
            data = _scalar_after(data) if type(data) is Symbol else data
            elsewhere = True
        arrays.append(data)
    if elsewhere and (state.device != "cpu" or DeviceArray in map(type, arrays)):
        return _elsewhere(op, inputs, arrays, attrs)
    try:
        call, eager = heard_of(op), op.eager
        result = eager(np, *arrays, **attrs) if call is None else call(eager, np, *arrays, **attrs)
    except Exception as error:
        raise explained(op, inputs, attrs, error) from None
    if op.multi:
        return tuple([wrap(r if type(r) is _array else _asarray(r)) for r in result])
    kind = type(result)  # of `to_device` it is a DeviceArray
    return wrap(result if kind is _array or kind is DeviceArray else _asarray(result))


def _elsewhere(op: Op, inputs: tuple[Any, ...], arrays: list[Any], attrs: Attrs) -> Any:
    """Apply an op to what may be on a card, or is made where the scope says."""
    try:
        result = placed.run(op, arrays, attrs)
    except Exception as error:
        raise explained(op, inputs, attrs, error) from error.__cause__
    return tuple(map(wrap, result)) if op.multi else wrap(result)


def after_trace(x: Any) -> Any:
    """Return the Python scalar for what stood for one in a trace that has given up."""
    if type(x) is Number and x.known:
        return in_graph(x)
    if type(x) is Tensor and type(x._data) is Symbol and x._data.array is not None:
        return _scalar_after(x._data)
    return x


def _scalar_after(symbol: Symbol) -> Any:
    if symbol.array is None:
        raise leaked(symbol)
    return symbol.array.item() if symbol.spec.weak else symbol.array


def _plain(x: Any) -> Any:
    if type(x) is Unknown:
        return x.concrete()
    if type(x) is Number:
        return _plain(in_graph(x))
    if isinstance(x, (*PYTHON_SCALARS, np.ndarray)):
        return x
    data = asarray(x)._data
    if type(data) is Symbol:
        raise leaked(data)
    return data


def _record(recorder: Any, op: Op, inputs: tuple[Any, ...], attrs: Attrs) -> Any:
    try:
        symbols = recorder.record(op, inputs, attrs)
    except HybridError as error:
        raise explained(op, inputs, attrs, error) from None
    if state.silent:
        symbols = tuple([_stopped(recorder, symbol) for symbol in symbols])
    if not op.multi:
        tensor = wrap(symbols[0])
        recorder.track(tensor)
        return tensor
    tensors = tuple(map(wrap, symbols))
    for tensor in tensors:
        recorder.track(tensor)
    return tensors


def _stopped(recorder: Any, symbol: Symbol) -> Symbol:
    """Return what stands for the same value in a trace, but that no gradient passes."""
    if symbol.spec.weak or not is_inexact(symbol.dtype):
        return symbol
    stopped: Symbol = recorder.record(OPS["stop_gradient"], (wrap(symbol),), {})[0]
    recorder.silenced.add(stopped.value)
    return stopped


# --- views ----------------------------------------------------------------------------------------


def _may_show(op: Op, source: Any) -> bool:
    """Tell whether the memory of an array is what an op shows: real numbers have no parts."""
    return op.put is None or op.shown is not Layout.halved or source.dtype.kind == "c"


def _link_view(op: Op, source: Tensor, attrs: Attrs, view: Tensor) -> None:
    """Hang `view` on the Storage of the Tensor that it is a view of."""
    data, memory = view._data, source._data
    if type(memory) is Symbol and memory.array is not None:
        return
    if type(data) is np.ndarray:
        if type(memory) is DeviceArray or not shares_memory(data, memory):
            return
    elif type(data) is DeviceArray:
        if not data.shares_memory(memory):
            return
    elif not (_may_show(op, source) and state.recorder.is_view(op, source, attrs, view)):
        return
    storage, parent = hung(source)
    view._link = storage, storage.version, None, parent, one_step, op, attrs


def _select(tensor: Tensor, picked: Picked) -> None:
    source = picked.whole._data
    if type(source) is Symbol and not source.recorder.open:
        raise leaked(source)
    recorder = source.recorder if type(source) is Symbol else None
    if recorder is state.recorder:
        picked.settle(tensor)
        return
    with scope(recorder=recorder):
        picked.settle(tensor)


def refresh(tensor: Tensor) -> None:
    """Bring a Tensor up to date whose memory was written through another alias."""
    if type(tensor._link) is Snapshot:
        return
    alias = tensor._alias
    if alias is None or alias.version == alias.storage.version:
        return
    if type(alias) is Picked:
        _select(tensor, alias)
        return
    storage = alias.storage
    traced = type(storage.base) is Symbol
    if traced and not storage.base.recorder.open:
        raise leaked(storage.base)
    current = wrap(storage.base)
    current._node = storage.node
    # A Tensor from outside a trace is no part of it: its memory is up to date, its node may not be.
    recorder = storage.base.recorder if traced else None
    if recorder is state.recorder:
        for op, attrs in alias.chain:
            current = bind(op, (current,), attrs)
    elif alias.chain:
        with scope(recorder=recorder):
            for op, attrs in alias.chain:
                current = bind(op, (current,), attrs)
    if traced:
        tensor._data = current._data
    if state.silent:
        return  # its gradient is looked for again by who reads it where there may be one
    tensor._node = current._node
    alias.version = storage.version
