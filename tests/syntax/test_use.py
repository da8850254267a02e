"""`use`: what comes in, from where, and once."""

from __future__ import annotations

import pytest

from tensorprog.errors import ParseError, Source
from tensorprog.syntax.parser import parse
from tensorprog.syntax.tree import BlockDecl, FnDecl
from tensorprog.syntax.unparse import unparse
from tensorprog.syntax.use import inline_uses, list_library


def inline(text, folder):
    return inline_uses(parse(Source("main.tp", text)), folder)


def names(tree):
    return [statement.name.name for statement in tree.statements if isinstance(statement, FnDecl | BlockDecl)]


def test_library():
    assert {"layers.tp", "activations.tp"} <= set(list_library())
    tree = inline('program p\nuse "layers.tp" ; use "activations.tp"\nwidth n', None)
    assert {"dense", "residual", "layer_norm", "readout", "spike"} <= set(names(tree))
    assert tree.header is not None and tree.header.name.name == "p"
    assert parse(Source("again.tp", unparse(tree))) == tree


def test_file_beside_goes_before_the_library(tmp_path):
    (tmp_path / "layers.tp").write_text("fn mine(u) = u\n")
    assert names(inline('use "layers.tp"', tmp_path)) == ["mine"]
    assert "dense" in names(inline('use "layers.tp"', None))


def test_every_file_comes_in_once_and_before_its_user(tmp_path):
    (tmp_path / "a.tp").write_text('use "b.tp"\nuse "sub/c.tp"\nfn a(u) = b(u)\n')
    (tmp_path / "b.tp").write_text('use "sub/c.tp"\nfn b(u) = c(u)\n')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.tp").write_text('use "d.tp"\nfn c(u) = u\n')
    (tmp_path / "sub" / "d.tp").write_text("fn d(u) = u\n")
    assert names(inline('use "a.tp"\nfn main(u) = a(u)\nuse "b.tp"', tmp_path)) == ["d", "c", "b", "a", "main"]


def test_unreadable_file(tmp_path):
    (tmp_path / "latin.tp").write_bytes(b"fn f(u) = u # \xe9\n")
    with pytest.raises(ParseError) as caught:
        inline('program p\nuse "latin.tp"', tmp_path)
    assert (caught.value.code, caught.value.span.line) == ("TP122", 2)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.tp", "a/../../x.tp", "C:x.tp", "\\\\host\\x.tp", "."])
def test_paths_stay_in_the_folder(path, tmp_path):
    (tmp_path.parent / "x.tp").write_text("fn f(u) = u\n")
    with pytest.raises(ParseError) as caught:
        inline(f'use "{path}"', tmp_path)
    assert caught.value.code == "TP120"
