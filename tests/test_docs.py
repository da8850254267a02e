"""The documentation is true: snippets run, programs parse, tables are those of the code, links lead somewhere."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import tensorprog as tp
from tensorprog.cli import main
from tensorprog.compiler import STAGES
from tensorprog.core.calls import builtin_functions
from tensorprog.core.codes import MEANINGS
from tensorprog.errors import Source
from tensorprog.syntax.parser import parse

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

CODE = re.compile(r"\bTP\d{3}\b")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows of a page."""
    lines = [line.replace(r"\|", "∣") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def run_commands(example: Example) -> None:
    """Run the lines of a shell snippet that start with `tensorprog`; what sets up and what tests is left out."""
    for line in str(example.parsed).splitlines():
        words = shlex.split(line, comments=True)
        if words and Path(words[0]).name == "tensorprog":
            result = CliRunner().invoke(main, words[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}"


def parse_program(example: Example) -> None:
    """Parse a snippet of the language; a whole program is checked and sampled too."""
    text = str(example.parsed)
    parse(Source(f"{example.path}:{example.line}", text))
    if text.startswith("program"):
        assert tp.parse(text).sample(width=8, seed=0).width == 8


SNIPPETS = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE),
        CodeBlockParser(language="tp", evaluator=parse_program),
        CodeBlockParser(language="sh", evaluator=run_commands),
    ]
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_snippets_run(path: Path, tmp_path: Path) -> None:
    for folder in ("examples", "data"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    with contextlib.chdir(tmp_path):
        for example in SNIPPETS.parse(path).examples():
            example.evaluate()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_snippet_has_a_language(path: Path) -> None:
    openings = re.findall(r"^ *```(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)[::2]
    if path.name != "README.md":
        assert set(openings) <= {"python", "tp", "sh", "text"}


def test_the_first_program_is_the_example() -> None:
    example = tp.load(ROOT / "examples" / "mlp.tp")
    for name in ("README.md", "docs/getting_started.md", "grammar/README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found = re.search(r"^```(?:tp)?\n(program mlp.*?)```", text, re.DOTALL | re.MULTILINE)
        assert found is not None
        assert tp.parse(found[1]) == example, name


def headings(path: Path) -> set[str]:
    """The anchors of a page, as they are made from headings."""
    lines = [line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose)):  # `mean[i](h[i])` is code
        if "://" not in link:
            target, _, anchor = link.partition("#")
            file = (path.parent / target).resolve() if target else path
            assert file.exists(), link
            assert not anchor or anchor in headings(file), link


def test_the_map_has_every_page_and_every_example() -> None:
    text = page("index.md")
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.tp")]:
        assert path.name == "index.md" or path.name in text, path.name


def test_stages_are_those_of_the_compiler() -> None:
    header = ["| stage | function | from | to | what it does |", "| --- | --- | --- | --- | --- |"]
    table = [f"| {s.name} | `{s.path}` | {s.takes} | {s.gives} | {s.purpose} |" for s in STAGES]
    assert "\n".join([*header, *table]) + "\n" in page("architecture.md")


def test_rooms_are_those_of_the_contributors() -> None:
    """And theirs are those of the test of the architecture."""
    contributors = rows((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    wanted = [(row[0], row[2], row[3]) for row in contributors if len(row) == 4 and row[0].startswith("`")]
    after = page("architecture.md").split("## Rooms")[1]
    assert [tuple(row) for row in rows(after) if row[0].startswith("`")] == wanted


def test_every_code_has_a_line_and_every_line_a_code() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tensorprog").rglob("*.py")]
    used = {code for source in sources for code in re.findall(r"[\"'](TP\d{3})[\"']", source)}
    listed = [row[0] for row in rows(page("errors.md")) if CODE.fullmatch(row[0])]
    assert len(listed) == len(set(listed))
    assert set(listed) == used


def test_codes_of_the_checks_mean_what_the_builder_says() -> None:
    listed = {row[0]: row[1] for row in rows(page("errors.md")) if CODE.fullmatch(row[0])}
    assert {code.value: meaning for code, meaning in MEANINGS.items()}.items() <= listed.items()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_codes_that_are_mentioned_exist(path: Path) -> None:
    assert set(CODE.findall(path.read_text(encoding="utf-8"))) <= set(CODE.findall(page("errors.md")))


def test_functions_are_those_of_the_registry() -> None:
    table = page("language.md").split("## Functions")[1].split("\n\n")[1]
    listed = {name for row in rows(table) for name in re.findall(r"`(\w+)\(", row[0])}
    assert listed == set(builtin_functions())


def test_places_to_add_to_exist() -> None:
    found = 0
    for row in rows(page("adding.md").split("## An instruction")[1]):
        if row[0].endswith(".py`"):
            module = importlib.import_module("tensorprog." + row[0].strip("`").removesuffix(".py").replace("/", "."))
            for name in re.findall(r"`(\w+)`", row[1]):
                assert hasattr(module, name), f"{row[0]}: {name}"
                found += 1
    assert found > 8
    for place in re.findall(r"`((?:tensorprog|tests|grammar)/[\w/.]+)`", page("adding.md")):
        assert os.path.exists(ROOT / place), place
