"""`use "layers.tp"`: the `fn`s and `block`s of other files, put where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tensorprog.errors import Diagnostic, ParseError, Source
from tensorprog.syntax.limits import Limits
from tensorprog.syntax.parser import parse
from tensorprog.syntax.tree import BlockDecl, FnDecl, Statement, SyntaxTree, UseDecl

__all__ = ["inline_uses", "list_library"]

_LIBRARY = Path(__file__).resolve().parent.parent / "library"


def list_library() -> tuple[str, ...]:
    """Return the names of the files of the shipped library."""
    return tuple(sorted(path.name for path in _LIBRARY.glob("*.tp")))


def inline_uses(tree: SyntaxTree, folder: Path | None, limits: Limits | None = None) -> SyntaxTree:
    """Return `tree` with every `use` replaced by the declarations of the file that it names, each file once.

    A file is looked for in `folder`, that of the using file (None if it has none), then in the shipped library.

    Raises:
        ParseError: if a file is missing, does not parse, uses itself, or has more in it than `fn`, `block` and `use`.
    """
    inliner = _Inliner(limits if limits is not None else Limits())
    statements = tuple(inliner.expand(tree, folder, ()))
    if inliner.found:
        raise ParseError(inliner.found)
    return SyntaxTree(tree.header, statements, span=tree.span)


@dataclass(slots=True)
class _Inliner:
    """What has been used already, and what was found wrong."""

    limits: Limits
    found: list[Diagnostic] = field(default_factory=list)
    done: set[Path] = field(default_factory=set)

    def expand(self, tree: SyntaxTree, folder: Path | None, within: tuple[Path, ...]) -> Iterator[Statement]:
        for statement in tree.statements:
            if isinstance(statement, UseDecl):
                yield from self._use(statement, folder, within)
            else:
                yield statement

    def _use(self, use: UseDecl, folder: Path | None, within: tuple[Path, ...]) -> Iterator[Statement]:
        path = _find(use.path, folder)
        if path is None:
            self._report(use, "TP120", _missing(use.path), f"the library has {', '.join(list_library())}")
        elif path in within:
            cycle = " uses ".join(f"`{file.name}`" for file in (*within[within.index(path) :], path))
            self._report(use, "TP121", f"a file cannot use itself: {cycle}", "move what both need to a third file")
        elif len(within) >= self.limits.nesting:
            self._report(use, "TP118", f"more than {self.limits.nesting} files using each other")
        elif path not in self.done:
            self.done.add(path)
            yield from self._read(use, path, within)

    def _read(self, use: UseDecl, path: Path, within: tuple[Path, ...]) -> Iterator[Statement]:
        try:
            tree = parse(Source(use.path, _read_text(path, self.limits)), self.limits)
        except ParseError as error:
            self.found.extend(error.diagnostics)
        except (OSError, UnicodeDecodeError):
            self._report(use, "TP122", f'"{use.path}" cannot be read as UTF-8 text')
        else:
            self._check(tree)
            yield from self.expand(tree, path.parent, (*within, path))

    def _check(self, tree: SyntaxTree) -> None:
        """Report what a used file may not have."""
        if tree.header is not None:
            message = "a file for `use` has no `program`"
            self.found.append(
                Diagnostic("TP123", message, tree.header.span, "its functions and blocks go to a file of their own")
            )
            return
        for statement in tree.statements:
            if not isinstance(statement, FnDecl | BlockDecl | UseDecl):
                hint = "what it needs comes in by the arguments of a block"
                message = "a file for `use` has only `fn`, `block` and `use`"
                self.found.append(Diagnostic("TP123", message, statement.span, hint))

    def _report(self, use: UseDecl, code: str, message: str, hint: str | None = None) -> None:
        self.found.append(Diagnostic(code, message, use.span, hint))


def _missing(path: str) -> str:
    if not path:
        return "the name of the file is empty"
    if not _is_inside(path):
        return f'"{path}" leads out of the folder; a file for `use` is beside this one or in the library'
    return f'there is no file "{path}"'


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path.replace("\\", "/"))
    return (
        bool(parts.parts)
        and not parts.is_absolute()
        and ".." not in parts.parts
        and ":" not in path
        and "\0" not in path
    )


def _find(path: str, folder: Path | None) -> Path | None:
    """Return the file that a `use` means, resolved, or None."""
    if not _is_inside(path):
        return None
    places = [place / path for place in (folder, _LIBRARY) if place is not None]
    return next((place.resolve() for place in places if place.is_file()), None)


def _read_text(path: Path, limits: Limits) -> str:
    """Return the text of a file, but no more than can be refused for its size."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read(limits.size + 1)
