"""The process in which one side computes: `python -m benchmarks.worker SIDE CORES MEGABYTES DATA RESULT`.

The network comes as the first line on stdin, then a command a line; every answer is a line of JSON on what was stdout.

    import   seconds that importing takes
    first    seconds from the network to its first result, which is written to RESULT
    again    seconds of one more call
    memory   megabytes that one more call takes at most, its result included
    profile  shares of the time of one more call, by module; none where a side cannot tell
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def resident(field: str) -> float | None:
    """Return VmRSS, the memory held now, or VmHWM, the most that was held, in megabytes; None where unknown."""
    if not STATUS.exists():
        return None
    lines = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii").splitlines())
    return int(lines[field].split()[0]) / 1024


def release() -> None:
    """Give memory that is free but still held back to the system, where the C library can."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_of(call: Callable[[], object]) -> float | None:
    """Return by how many megabytes the memory of this process grows during a call."""
    release()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is forgotten
    before = resident("VmRSS")
    call()
    peak = resident("VmHWM")
    return None if before is None or peak is None else peak - before


def seconds_of(call: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Worker:
    """One side and its network."""

    def __init__(self, side: str, network: str, data: str, result: str) -> None:
        self.side, self.network, self.data, self.result = side, network, data, result
        self.run: Callable[[Any], Any] | None = None

    def answer(self, command: str) -> float | dict[str, float] | None:
        """Carry out a command, and return its answer."""
        import numpy as np

        if command == "import":
            return seconds_of(lambda: importlib.import_module(f"benchmarks.{self.side}").warm_imports())
        x = np.load(self.data)
        if command == "first":
            return self._first(x)
        assert self.run is not None
        run = self.run
        if command == "profile":
            profile = getattr(run, "profile", None)
            return {} if profile is None else dict(profile(x))
        return {"again": seconds_of, "memory": memory_of}[command](lambda: run(x))

    def _first(self, x: Any) -> float:
        import numpy as np

        from benchmarks.networks import decode

        found: list[Any] = []
        network = decode(self.network)

        def build_and_run() -> None:
            self.run = importlib.import_module(f"benchmarks.{self.side}").prepare(network)
            found.extend(self.run(x))

        seconds = seconds_of(build_and_run)
        np.save(self.result, np.stack(found))
        return seconds


def confine(cores: int, megabytes: int) -> None:
    """Keep this process to some processors and some memory; exceeding it is an error, not a halt of the machine."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(cores)
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, resource.RLIM_INFINITY))


def main() -> None:
    """Serve until stdin ends."""
    side, cores, megabytes, data, result = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed goes to stderr
    confine(int(cores), int(megabytes))
    worker = Worker(side, sys.stdin.readline(), data, result)
    for line in sys.stdin:
        answers.write(json.dumps(worker.answer(line.strip())) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
