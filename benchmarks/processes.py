"""The processes that compute: started here, asked one thing at a time, ended when an answer takes too long."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.networks import Network, encode

__all__ = ["Child", "Failure", "Limits", "Side"]

ROOT = Path(__file__).resolve().parent.parent


class Failure(Exception):
    """A side has no result: it ran over a limit, ended, or is not there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use: processors, megabytes of memory, seconds for an answer."""

    cores: int
    megabytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Side:
    """A program that computes kernels: a module of this package, and the interpreter that can import it."""

    name: str
    module: str
    interpreter: str = sys.executable


@dataclass
class Child:
    """A process of one side, with one network. A context manager: the process ends with it.

    `folder` is for its files; processes with the same folder share caches of compiled code and have the same data.
    """

    side: Side
    network: Network
    folder: Path
    limits: Limits
    process: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Child:
        arguments = [self.side.module, self.limits.cores, self.limits.megabytes, self.data, self.output]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TENSORPROG_CACHE": str(self.folder / "cache")}
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.side.interpreter, "-m", "benchmarks.worker", *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                cwd=self.folder,
            )
        self._send(encode(self.network))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def data(self) -> Path:
        """Where the inputs are read."""
        return self.folder / "x.npy"

    @property
    def output(self) -> Path:
        """Where the first result is written."""
        return self.folder / f"{self.side.module}.npy"

    @property
    def log(self) -> Path:
        """What the process says on stderr."""
        return self.folder / f"{self.side.module}.log"

    def ask(self, command: str) -> Any:
        """Return the answer to a command of `benchmarks.worker`: what its JSON says.

        Raises:
            Failure: there is none in time, or the process ended.
        """
        start = time.monotonic()
        self._send(command)
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], self.limits.seconds)
        line = self.process.stdout.readline() if ready else ""
        if not ready:
            self.process.kill()
            raise Failure(f"over {time.monotonic() - start:.0f} s")
        if not line:
            raise Failure(self._reason())
        return json.loads(line)

    def result(self) -> npt.NDArray[np.float64]:
        """Return the first result: NNGP and NTK, (2, N, N)."""
        found: npt.NDArray[np.float64] = np.load(self.output)
        return found

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure(self._reason()) from None

    def _reason(self) -> str:
        code = self.process.wait()
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        said = " ".join(lines)
        if "RESOURCE_EXHAUSTED" in said or "MemoryError" in said or "bad_alloc" in said or "Out of memory" in said:
            return f"over {self.limits.megabytes / 1024:.2g} GB"
        return f"ended with {code}: {next((line for line in reversed(lines) if line), 'no message')[:100]}"
