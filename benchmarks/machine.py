"""The machine and the versions with which times were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import tensorprog

__all__ = ["Machine", "describe", "memory_megabytes", "rival_versions"]

PACKAGES = ("numpy", "scipy", "sympy", "numba", "llvmlite")
RIVALS = ("neural-tangents", "jax", "jaxlib", "numpy")

ASK = (
    "import sys; from importlib import metadata as m; print(*(n + ' ' + m.version(n) for n in sys.argv[1:]), sep=', ')"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a table was measured on."""

    processor: str
    cores: int
    caches: str
    memory: float
    system: str
    ours: str
    theirs: str


def describe(cores: int, theirs: str) -> Machine:
    """Return the machine with so many of its processors; `theirs` are the versions of the other program."""
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    ours = f"tensorprog {tensorprog.__version__}, Python {platform.python_version()}, {packages}"
    system = f"{platform.system()}, {platform.machine()}"
    return Machine(_processor(), cores, _caches(), memory_megabytes() / 1024, system, ours, theirs)


def rival_versions(interpreter: str) -> str | None:
    """Return the versions in another interpreter, None if neural-tangents is not there."""
    try:
        found = subprocess.run([interpreter, "-c", ASK, *RIVALS], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def memory_megabytes() -> float:
    """Return the physical memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        pairs = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        fields = {name.strip(): value.strip() for name, value in pairs}
        family = ", ".join(f"{name} {fields[name]}" for name in ("cpu family", "model") if name in fields)
        return f"{fields.get('model name', platform.machine())} ({family}; {_vectors(fields.get('flags', ''))})"
    return platform.processor() or platform.machine()


def _vectors(flags: str) -> str:
    known = [name for name in ("avx2", "avx512f", "amx_tile") if name in flags.split()]
    return ", ".join(known) or "no wide vectors"


def _caches() -> str:
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    parts = [tuple((folder / name).read_text().strip() for name in ("level", "type", "size")) for folder in folders]
    return ", ".join(f"L{level} {size}" for level, kind, size in parts if kind != "Instruction") or "unknown"
