"""Log records, warnings and what is written to streams: at every call, once and in order."""

from __future__ import annotations

import contextlib
import io
import logging
import pprint
import sys
import threading
import warnings
from collections.abc import Callable
from pprint import pp
from typing import Any
from warnings import warn

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning
from tests.trace.agreement import compiled_throughout

LOG = logging.getLogger("tests.telling")


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(
            (record.levelname, record.getMessage(), record.funcName, record.lineno,
             record.filename, getattr(record, "user", None))
        )  # fmt: skip


def told(f: Callable[..., Any], *args: Any) -> list[Any]:
    """Return all that a call tells."""
    kept, out, err = _Kept(), io.StringIO(), io.StringIO()
    LOG.addHandler(kept)
    LOG.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(out):
            warnings.simplefilter("always")
            with contextlib.redirect_stderr(err):
                f(*args)
    finally:
        LOG.removeHandler(kept)
    found = [(str(w.message), w.category, w.filename, w.lineno) for w in caught]
    found = [w for w in found if w[1] is not EagerFallbackWarning]
    return [kept.lines, found, out.getvalue(), err.getvalue()]


def by_loggers(x: Any) -> Any:
    LOG.info("step %d of %s", 3, "many", extra={"user": "me"})
    LOG.debug("not shown")
    logging.getLogger("tests.telling").log(logging.ERROR, "bad")
    logging.LoggerAdapter(LOG, {}).warning("adapted %s", (1, 2.5))
    return x * 2


def of_a_shape(x: Any) -> Any:
    LOG.info("shape %s, %s", x.shape, {"rows": len(x)})
    LOG.info("%(a)s", {"a": [1, 2]})
    return x * 2


def by_warnings(x: Any) -> Any:
    warnings.warn("first", stacklevel=1)
    warn("second {brace}", DeprecationWarning, stacklevel=1)
    warnings.warn(RuntimeWarning("third"), stacklevel=1)
    in_a_helper()
    return x + 1


def in_a_helper() -> None:
    warnings.warn("from the caller's line", stacklevel=2)


def by_streams(x: Any) -> Any:
    sys.stdout.write("{out}\n")
    print("between", file=sys.stdout)
    sys.stderr.writelines(["a", "b\n"])
    print("err", file=sys.stderr, flush=True)
    sys.stdout.flush()
    pprint.pprint({"b": [1, 2], "a": x.shape})
    pp({"b": 1, "a": 2})
    return x


def imported_inside(x: Any) -> Any:
    import sys as system
    import warnings as w

    w.warn("inside", stacklevel=1)
    system.stdout.write("inside\n")
    return x


def in_order(x: Any) -> Any:
    sys.stdout.write("one\n")
    print("two")
    hb.print("three {}", x.sum())
    sys.stdout.write("four\n")
    return x


def in_a_loop(x: Any) -> Any:
    def step(i: Any, x: Any) -> Any:
        LOG.info("a step")
        sys.stdout.write("step\n")
        return x * 2

    return hb.fori_loop(0, 3, step, x)


def in_a_branch(x: Any) -> Any:
    if x.sum() > 2:
        LOG.warning("large")
        return x / 2
    warnings.warn("small", stacklevel=1)
    return x


TRACED: list[Callable[[Any], Any]] = [
    by_loggers, of_a_shape, by_warnings, by_streams, imported_inside, in_order, in_a_branch,
]  # fmt: skip


@pytest.mark.parametrize("f", TRACED, ids=lambda f: f.__name__)
def test_what_eager_code_tells_is_told_at_every_call(f: Callable[[Any], Any]) -> None:
    traced = hb.compile(f)
    for x in [np.ones(3), np.zeros(3), np.ones(3), np.zeros(3), np.ones(3)]:
        assert told(traced, hb.asarray(x)) == told(f, hb.asarray(x))
    assert traced.cache_info().hits > 0
    with compiled_throughout():
        hb.compile(f)(hb.ones(3))


def test_a_body_of_a_loop_tells_at_each_step() -> None:
    traced = hb.compile(in_a_loop)
    for _ in range(3):
        found = told(traced, hb.ones(3))
        assert [line[1] for line in found[0]] == ["a step"] * 3
        assert found[2] == "step\n" * 3


def test_a_level_is_that_of_the_run() -> None:
    def f(x: Any) -> Any:
        LOG.info("seen")
        return x * 2

    kept = _Kept()
    LOG.addHandler(kept)
    traced = hb.compile(f)
    for level in (logging.ERROR, logging.INFO, logging.ERROR, logging.DEBUG):
        LOG.setLevel(level)
        traced(hb.ones(3))
    LOG.removeHandler(kept)
    assert len(kept.lines) == 2


def test_what_needs_contents_runs_eagerly() -> None:
    def logs(x: Any) -> Any:
        LOG.info("sum %s", x.sum())
        return x * 2

    def writes(x: Any) -> Any:
        sys.stdout.write(f"{x.sum()}\n")
        return x * 2

    def pretty(x: Any) -> Any:
        pprint.pprint([x.sum()])
        return x * 2

    for f in (logs, writes, pretty):
        traced = hb.compile(f)
        for x in (hb.ones(3), hb.ones(3) * 2, hb.ones(3)):
            assert told(traced, x) == told(f, x)


def test_filters_of_the_function_itself_hold() -> None:
    def quiet(x: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn("never", stacklevel=1)
        return x * 2

    def recorded(x: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("kept", stacklevel=1)
        return x * len(caught)

    def raised(x: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                warnings.warn("caught", stacklevel=1)
            except UserWarning:
                return x * 3
        return x

    for f, factor in ((quiet, 2), (recorded, 1), (raised, 3)):
        traced = hb.compile(f)
        for _ in range(3):
            assert told(traced, hb.ones(2))[1] == []
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                np.testing.assert_array_equal(traced(hb.ones(2)), [factor, factor])


def test_a_stream_of_the_functions_own_is_written_there() -> None:
    def f(x: Any) -> Any:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            sys.stdout.write("kept")
        return x * len(out.getvalue())

    traced = hb.compile(f)
    for _ in range(3):
        np.testing.assert_array_equal(traced(hb.ones(2)), [4.0, 4.0])


def test_other_threads_and_later_calls_log_as_ever() -> None:
    info = logging.Logger.info
    hb.compile(by_loggers)(hb.ones(2))
    assert logging.Logger.info is info
    assert warnings.warn.__module__ != "hybrid.trace.telling"


class Narrow(logging.Logger):
    """A logger of a program, which knows of no stack levels and looks for lines by itself."""

    def _log(self, level: int, msg: object, args: Any, *rest: Any, **options: Any) -> None:
        assert not options.keys() - {"exc_info", "extra"}
        super()._log(level, msg, args, *rest, **options)


def _in_all_ways(logger: logging.Logger) -> None:
    logger.info("by place %d", 1)
    logger.info(msg="by name")
    logger.log(level=logging.ERROR, msg="a level by name")
    logger.log(logging.INFO, msg="half by name")
    logger.info("not of a number %s", object)
    logging.LoggerAdapter(logger, {}).warning("adapted")
    if type(logger) is logging.Logger:
        logger.warning("from the caller's line", stacklevel=2)
        logger.info("with its stack", stack_info=True)


def _records(logger: logging.Logger) -> list[Any]:
    found: list[Any] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            parts = vars(record)
            line = (record.filename, record.lineno, record.funcName, record.stack_info)
            found.append((*line, record.getMessage(), record.levelno, sorted(parts)))

    keeping = Keeping()
    logger.addHandler(keeping)
    try:
        _in_all_ways(logger)
        raise ValueError("raised")
    except ValueError:
        logger.exception("with what was raised")
    finally:
        logger.removeHandler(keeping)
    return found


@pytest.mark.parametrize("kind", [logging.Logger, Narrow])
def test_what_another_thread_logs_during_a_trace_is_as_if_there_were_none(kind: Any) -> None:
    logger = kind("another")
    logger.setLevel(logging.INFO)
    results: list[Any] = []

    @hb.compile
    def f(x: Any) -> Any:
        thread = threading.Thread(target=lambda: results.append(_records(logger)))
        thread.start()
        thread.join()
        return x * 2

    def outside() -> None:
        thread = threading.Thread(target=lambda: results.append(_records(logger)))
        thread.start()
        thread.join()

    outside()
    f(hb.ones(2))
    assert len(results) == 2
    strip = [[(*r[:3], (r[3] or "").count("_in_all_ways"), *r[4:]) for r in x] for x in results]
    assert strip[0] == strip[1]


@pytest.mark.parametrize("kind", [logging.Logger, Narrow])
def test_all_ways_to_log_tell_in_a_trace_what_they_tell_in_eager_code(kind: Any) -> None:
    logger = kind("of a trace")
    logger.setLevel(logging.INFO)

    def f(x: Any) -> Any:
        _in_all_ways(logger)
        return x * 2

    def lines(g: Any) -> Any:
        kept = _Kept()
        logger.addHandler(kept)
        try:
            g(hb.ones(2))
        finally:
            logger.removeHandler(kept)
        return kept.lines

    traced = hb.compile(f)
    for _ in range(3):
        assert lines(traced) == lines(f)
