"""Files, folders, processes, data bases: a function that asks them runs eagerly, and says so."""

from __future__ import annotations

import functools
import glob
import json
import os
import pathlib
import pickle
import queue
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import TraceError
from tests.trace.agreement import compiled_throughout, falls_back

Function = Callable[[Any], Any]


def opened(path: Path) -> Function:
    def f(x: Any) -> Any:
        with open(path) as file:
            return x * float(file.read())

    return f


def read_as_json(path: Path) -> Function:
    return lambda x: x * json.loads(path.read_text())


def read_by_pathlib(path: Path) -> Function:
    return lambda x: x * float(pathlib.Path(path).read_bytes())


def read_by_a_helper(path: Path) -> Function:
    def read() -> float:
        with path.open() as file:
            return float(file.readline())

    return lambda x: x * read()


def read_by_numpy(path: Path) -> Function:
    return lambda x: x * np.loadtxt(path)


def unpickled(path: Path) -> Function:
    def f(x: Any) -> Any:
        path.with_suffix(".pickle").write_bytes(pickle.dumps(float(path.read_text())))
        with open(path.with_suffix(".pickle"), "rb") as file:
            return x * pickle.load(file)

    return f


def told_by_its_size(path: Path) -> Function:
    return lambda x: x * os.path.getsize(path)


def looked_for(path: Path) -> Function:
    return lambda x: x * 2 if os.path.exists(path.with_name("1")) else -x


def listed(path: Path) -> Function:
    return lambda x: x * len(os.listdir(path.parent))


def globbed(path: Path) -> Function:
    return lambda x: x * len(glob.glob(f"{path.parent}/*"))


def walked(path: Path) -> Function:
    return lambda x: x * len(list(path.parent.iterdir()))


def written(path: Path) -> Function:
    def f(x: Any) -> Any:
        with open(path, "a") as file:
            file.write("0")
        return x * float(path.read_text())

    return f


def from_a_queue(path: Path) -> Function:
    waiting: queue.SimpleQueue[float] = queue.SimpleQueue()
    for number in range(20):
        waiting.put(float(number))
    return lambda x: x * waiting.get()


def into_a_queue(path: Path) -> Function:
    waiting: queue.SimpleQueue[float] = queue.SimpleQueue()

    def f(x: Any) -> Any:
        waiting.put(1.0)
        return x * waiting.qsize()

    return f


def copied(path: Path) -> Function:
    def f(x: Any) -> Any:
        shutil.copy(path, path.with_suffix(".copy"))
        return x * float(path.with_suffix(".copy").read_text())

    return f


def in_a_temporary_folder(path: Path) -> Function:
    def f(x: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return x * len(os.listdir(folder)) + float(path.read_text())

    return f


def by_another_process(path: Path) -> Function:
    return lambda x: x * float(subprocess.check_output([sys.executable, "-c", f"print(open({str(path)!r}).read())"]))  # fmt: skip # noqa: E501


def by_a_data_base(path: Path) -> Function:
    table = sqlite3.connect(":memory:", check_same_thread=False)
    table.execute("create table t(k)")
    table.execute("insert into t values(0)")

    def f(x: Any) -> Any:
        table.execute("update t set k = k + 1")
        (found,) = table.execute("select k from t").fetchone()
        return x * found

    return f


def by_the_thread(path: Path) -> Function:
    return lambda x: x * len(threading.current_thread().name)


PROGRAMS = [
    opened, read_as_json, read_by_pathlib, read_by_a_helper, read_by_numpy, unpickled,
    told_by_its_size, looked_for, listed, globbed, walked, written, copied, in_a_temporary_folder,
    by_another_process, by_a_data_base, by_the_thread, from_a_queue, into_a_queue,
]  # fmt: skip


def outcomes(f: Function, path: Path) -> list[Any]:
    """Return what some calls give, between which the file and its folder change."""
    found = []
    for name in ("0", "1", "2"):
        path.write_text(f"1{name}")
        (path.parent / name).touch()
        called: list[Any] = []
        thread = threading.Thread(
            target=lambda: called.append(np.asarray(f(np.arange(3.0)))), name=f"t{name * 2}"
        )
        thread.start()
        thread.join()
        found += called
    return [x.tolist() for x in found]


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_what_is_outside_is_looked_at_by_each_call(make: Any, tmp_path: Path) -> None:
    folders = tmp_path / "eager", tmp_path / "compiled"
    for folder in folders:
        folder.mkdir()
    wanted = outcomes(make(folders[0] / "file"), folders[0] / "file")
    with falls_back("which looks at or changes what is outside"):
        found = outcomes(hb.compile(make(folders[1] / "file")), folders[1] / "file")
    assert found == wanted
    assert len(wanted) == 3


def test_the_warning_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("2")
    with falls_back(r"in f: with open(path) as file:"):
        hb.compile(opened(tmp_path / "file"))(np.ones(2))


def test_fullgraph_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("2")
    with pytest.raises(TraceError, match=r"open\(\)"):
        hb.compile(opened(tmp_path / "file"), fullgraph=True)(np.ones(2))


def test_what_is_read_once_and_kept_ends_no_trace(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(3.0))

    @functools.cache
    def table() -> Any:
        return np.load(tmp_path / "w.npy")

    held = types.SimpleNamespace(table=None)

    def by_a_cache(x: Any) -> Any:
        return x * table()

    def by_an_attribute(x: Any) -> Any:
        if held.table is None:
            held.table = np.load(tmp_path / "w.npy")
        return x * held.table

    with compiled_throughout():
        for f in (by_a_cache, by_an_attribute):
            traced = hb.compile(f)
            for _ in range(4):
                np.testing.assert_array_equal(traced(np.ones(3)), np.arange(3.0))
            assert traced.cache_info().hits >= 2


def test_what_an_import_or_a_warning_reads_ends_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_a_measuring_test.py").write_text("factor = 3.0\n")
    monkeypatch.syspath_prepend(tmp_path)

    def f(x: Any) -> Any:
        import module_of_a_measuring_test as ours

        warnings.warn("os is named, so that calls are watched", stacklevel=1)
        return x * ours.factor * len(os.sep)

    traced = hb.compile(f)
    with compiled_throughout():
        for _ in range(3):
            with pytest.warns(UserWarning, match="os is named"):
                np.testing.assert_array_equal(traced(np.ones(2)), [3.0, 3.0])


def test_a_pause_is_one_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with falls_back(r"sleep\(\)".replace("\\", "")):
        hb.compile(lambda x: (time.sleep(0), x * 2)[1])(np.ones(2))
