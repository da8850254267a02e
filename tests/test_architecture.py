"""The architecture holds: imports go one way, each outside library has one door, data are frozen."""

import ast
import dataclasses
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tensorprog"
FILES = sorted(PACKAGE.rglob("*.py"))

ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "store": set(),
    "syntax": {"errors", "store"},
    "nonlin": {"errors"},
    "core": {"errors", "syntax", "nonlin"},
    "backprop": {"errors", "nonlin", "core"},
    "finite": {"errors", "nonlin", "core", "backprop"},
    "dual": {"errors", "nonlin"},
    "limit": {"errors", "syntax", "nonlin", "core", "backprop", "dual"},
    "kernel": {"errors", "nonlin", "dual", "limit"},
    "codegen": {"errors", "nonlin", "kernel"},
    "runtime": {"errors", "store", "core", "nonlin", "dual", "limit", "kernel", "codegen"},
    "plots": {"errors", "core", "nonlin"},
}
FACES = {"activation", "__init__", "__main__", "compiler", "program", "verify", "commands", "cli"}

TYPES_ONLY = {"plots": {"verify"}}  # a figure of a verification names its type

DOORS = {
    "lark": {"syntax"},
    "sympy": {"dual", "limit", "kernel"},
    "networkx": {"core/graph.py"},
    "numba": {"runtime"},
    "llvmlite": {"runtime"},
    "matplotlib": {"plots"},
    "click": {"cli.py", "commands"},
    "rich": {"commands"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, for_types: bool) -> Iterator[str]:
    """The modules that a file imports, with or without those that only the type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set() if for_types else {id(node) for block in _type_blocks(tree) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            yield node.module or ""
            if node.module == "tensorprog":
                yield from (f"tensorprog.{alias.name}" for alias in node.names)


def _type_blocks(tree: ast.Module) -> Iterator[ast.If]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield node


def ids(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_go_one_way(path: Path) -> None:
    here = room(path)
    if here in FACES:
        return
    assert here in ROOMS, f"{here} is no room: add it to the table here and in CONTRIBUTING.md"
    loaded = set(imports(path, for_types=False))
    for module in imports(path, for_types=True):
        parts = module.split(".")
        if parts[0] == "tensorprog":
            assert len(parts) > 1, "rooms do not import the public face"
            allowed = ROOMS[here] | {here} | (TYPES_ONLY.get(here, set()) if module not in loaded else set())
            assert parts[1] in allowed, f"{here} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_each_library_has_one_door(path: Path) -> None:
    place = ids(path)
    for module in imports(path, for_types=False):
        library = module.split(".")[0]
        if library in DOORS:
            doors = DOORS[library]
            assert any(place == door or place.startswith(f"{door}/") for door in doors), f"{place} imports {library}"


def test_rooms_are_ordered() -> None:
    order = list(ROOMS)
    for name, allowed in ROOMS.items():
        assert all(order.index(other) < order.index(name) for other in allowed)


def test_the_contributors_table_is_this_table() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    written = {row[0].strip("`"): {*row[2].split(", ")} - {"–"} for row in rows if row[0].count("`") == 2}
    assert written == ROOMS


def test_no_room_for_odds_and_ends() -> None:
    assert not [path for path in FILES if path.stem in {"utils", "util", "common", "helpers", "misc"}]


@pytest.mark.parametrize(
    "name", ["errors", "syntax.tree", "nonlin.expression", "core.ir", "limit.equations", "kernel.ir"]
)
def test_data_are_frozen_and_slotted(name: str) -> None:
    module = importlib.import_module(f"tensorprog.{name}")
    classes = [item for item in vars(module).values() if isinstance(item, type) and item.__module__ == module.__name__]
    data = [item for item in classes if dataclasses.is_dataclass(item)]
    assert data
    for item in data:
        assert item.__dataclass_params__.frozen, item  # type: ignore[attr-defined]
        assert "__slots__" in vars(item), item


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("tensorprog", {"sympy", "numba", "matplotlib", "networkx", "scipy", "numpy", "lark"}),
        ("tensorprog.cli", {"sympy", "numba", "matplotlib", "networkx", "scipy"}),
        ("tensorprog.syntax.parser", {"sympy", "numba", "matplotlib", "numpy"}),
        ("tensorprog.nonlin.evaluate", {"sympy", "numba", "matplotlib", "scipy"}),
        ("tensorprog.core.build", {"sympy", "numba", "matplotlib", "scipy", "networkx"}),
        ("tensorprog.core.evaluate", {"sympy", "numba", "matplotlib", "scipy", "networkx"}),
        ("tensorprog.finite.network", {"sympy", "numba", "matplotlib"}),
        ("tensorprog.limit.derive", {"numba", "matplotlib"}),
        ("tensorprog.kernel.interpret", {"sympy", "numba", "matplotlib", "scipy"}),
        ("tensorprog.codegen.cpu", {"sympy", "numba", "matplotlib", "scipy"}),
        ("tensorprog.codegen.arrays.emit", {"sympy", "numba", "matplotlib", "scipy"}),
        ("tensorprog.runtime.gram", {"sympy", "numba", "matplotlib", "scipy", "networkx"}),
        ("tensorprog.runtime.arrays", {"sympy", "numba", "matplotlib", "scipy", "networkx"}),
        ("tensorprog.plots.draw", {"sympy", "numba", "matplotlib"}),
    ],
)
def test_imports_stay_light(module: str, forbidden: set[str]) -> None:
    script = f"import sys, {module}; print(*sorted({forbidden!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=PACKAGE.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
