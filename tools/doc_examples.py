"""Runs the examples in the Markdown pages and compares what they print with what the page shows.

    python tools/doc_examples.py                     # check every page
    python tools/doc_examples.py --update PAGE ...   # write what the commands print into the pages
    python tools/doc_examples.py --figures           # draw the pages' figures again as well
    python tools/doc_examples.py --have atlas-demo=DIR --update   # those of `make demo` as well

In a ``console`` block every line that begins with ``$`` is a command, the lines below it are what
it prints. A line of ``…`` alone stands for any lines, ``…`` within a line for any text. A
``python`` block is run too; a ``text`` block right below it is what it prints. The examples of a
page run in order, in one folder that is empty at first. HTML comments above a block say more:

- ``<!-- file: NAME -->``: the block is a file of that folder, for the examples below it.
- ``<!-- needs: NAME -->``: run only where ``--have NAME=PATH`` puts that folder or file there.
- ``<!-- slow: REASON -->``: run only with ``--slow``.
- ``<!-- not run: REASON -->``: never run. Its commands and options are still looked up.

A figure of a page, ``figures/NAME``, is a file that one of its commands writes.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ELLIPSIS = "…"
WIDTH = "100"
SECONDS = 120
_FENCE = re.compile(r"^(?P<fence>```+)(?P<language>[\w+-]*)\s*$")
_COMMENT = re.compile(r"^<!--\s*(?P<key>file|needs|slow|not run):\s*(?P<value>.+?)\s*-->$")
_SHELL = frozenset("|<>&;*?$`~")
_LONG = re.compile(r"^(make|pip|atlas (serve|demo|study (run|resume)))\b")
"""Commands that train, install or wait: a page must say that they are not run, unless it shows how
they are refused."""


@dataclass(frozen=True)
class Block:
    """A fenced block: ``first`` is the number of its first line inside the fence, from 0."""

    language: str
    lines: tuple[str, ...]
    first: int
    marks: Mapping[str, str]


@dataclass(frozen=True)
class Example:
    """Something to run and what the page says it prints.

    Attributes:
        kind: ``console``, ``python``, or ``file``, which is written and prints nothing.
        source: a command, code, or the content of the file.
        shown: the printed lines of the page; None where nothing is said about them.
        first: number of the line of ``source``, from 0.
        output: numbers of the printed lines in the page, from 0, end excluded.
        marks: what comments above the block say.
    """

    kind: str
    source: str
    shown: tuple[str, ...] | None
    first: int
    output: tuple[int, int]
    marks: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What an example printed; ``why`` is None where the page is right or nothing was run."""

    example: Example
    printed: tuple[str, ...] = ()
    why: str | None = None
    skipped: str | None = None
    seconds: float = 0.0


def pages() -> list[Path]:
    """Every page with examples, in the order of their names."""
    return sorted((ROOT / "docs").glob("*.md"))


def examples(text: str) -> list[Example]:
    """The examples of a page in order."""
    found: list[Example] = []
    blocks = list(_blocks(text.splitlines()))
    for i, block in enumerate(blocks):
        if "file" in block.marks:
            source = "\n".join(block.lines) + "\n"
            found.append(Example("file", source, None, block.first, (0, 0), block.marks))
        elif block.language == "console":
            found += _commands(block)
        elif block.language == "python":
            after = blocks[i + 1] if i + 1 < len(blocks) else None
            found.append(_code(block, after, text.splitlines()))
    return found


def matches(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether a page's lines are what was printed.

    ``…`` stands for anything; how many blank lines stand in a row, and space at the end of a line,
    make no difference.
    """
    parts = []
    for line in _squeezed(shown):
        if line == ELLIPSIS:
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(map(re.escape, line.split(ELLIPSIS))) + r"\n")
    text = "".join(f"{line}\n" for line in _squeezed(printed))
    return re.fullmatch("".join(parts), text) is not None


def _squeezed(lines: Sequence[str]) -> list[str]:
    bare = [line.rstrip() for line in lines]
    return [line for line, before in zip(bare, ["", *bare], strict=False) if line or before]


def figures(text: str) -> list[str]:
    """Names of the figures that a page shows."""
    return re.findall(r"\]\(figures/([^)]+)\)", text)


def run_page(
    path: Path,
    have: Mapping[str, Path] | None = None,
    *,
    slow: bool = False,
    keep_figures: bool = False,
) -> Iterator[Outcome]:
    """Run the examples of a page one by one, in a folder of their own.

    Args:
        path: of the page.
        have: what pages may need, by name.
        slow: run what is marked slow too.
        keep_figures: copy the page's figures to ``figures/`` beside it once they are drawn.
    """
    have = have or {}
    module = types.ModuleType("page")
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        for thing, place in have.items():
            Path(thing).symlink_to(place.resolve())
        for example in examples(text):
            reason = _reason_to_skip(example.marks, have, slow)
            yield Outcome(example, skipped=reason) if reason else _run(example, module)
        for figure in figures(text):
            if keep_figures and Path(figure).is_file():
                shutil.copyfile(figure, path.parent / "figures" / figure)


def updated(text: str, outcomes: Sequence[Outcome]) -> str:
    """The page with what was printed in place of what it showed, where these differ.

    What the page left out with lines of ``…`` stays left out.
    """
    lines = text.splitlines()
    for outcome in reversed(outcomes):
        if outcome.printed and outcome.why is not None and outcome.example.shown is not None:
            start, end = outcome.example.output
            lines[start:end] = shortened(outcome.example.shown, outcome.printed)
    return "\n".join(lines) + "\n"


def shortened(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """``printed`` with gaps where ``shown`` has lines of ``…``: of each part the likest lines."""
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == ELLIPSIS:
            parts.append([])
        else:
            parts[-1].append(line)
    whole, kept, at = _squeezed(printed), [], 0
    if len(parts) == 1:
        return whole
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if i > 0:
            kept.append(ELLIPSIS)
        if not part:
            continue
        if i == 0:
            start = 0
        elif last:
            start = max(at, len(whole) - len(part))
        else:
            start = max(range(at, len(whole)), key=partial(_likeness, part, whole), default=at)
        at = len(whole) if last else min(len(whole), start + len(part))
        kept += whole[start:at]
    return kept


def _likeness(part: Sequence[str], whole: Sequence[str], start: int) -> float:
    there = "\n".join(whole[start : start + len(part)])
    return difflib.SequenceMatcher(None, "\n".join(part), there, autojunk=False).ratio()


def unknown_options(command: str) -> list[str]:
    """The words of an ``atlas`` command line that the program does not know."""
    from typer.main import get_command

    from atlas_scaling.cli.main import app

    words = shlex.split(command.split("|")[0], comments=True)[1:]
    node: Any = get_command(app)
    while words and hasattr(node, "commands"):
        name = words.pop(0)
        if name.startswith("-"):
            return [] if name in ("--help", "--version") else [name]
        if name not in node.commands:
            return [name]
        node = node.commands[name]
    known = {"--help", "-h"} | {option for p in node.params for option in p.opts + p.secondary_opts}
    options = (word.partition("=")[0] for word in words)
    return [o for o in options if re.match(r"-{1,2}[a-z]", o) and o not in known]


def _reason_to_skip(marks: Mapping[str, str], have: Mapping[str, Path], slow: bool) -> str | None:
    if "not run" in marks:
        return marks["not run"]
    if "needs" in marks and marks["needs"] not in have:
        return f"needs {marks['needs']}"
    return None if slow else marks.get("slow")


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    marks: dict[str, str] = {}
    numbered = iter(enumerate(lines))
    for i, line in numbered:
        if comment := _COMMENT.match(line.strip()):
            marks[comment["key"]] = comment["value"]
        elif fence := _FENCE.match(line):
            inside = []
            for _, below in numbered:
                if below.rstrip() == fence["fence"]:
                    break
                inside.append(below)
            yield Block(fence["language"], tuple(inside), i + 1, marks)
            marks = {}
        elif line.strip():
            marks = {}


def _commands(block: Block) -> Iterator[Example]:
    starts = [i for i, line in enumerate(block.lines) if line.startswith("$ ")]
    for start, stop in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        command, i = block.lines[start][2:], start + 1
        while command.endswith("\\"):
            command = command[:-1].rstrip() + " " + block.lines[i].strip().removeprefix("> ")
            i += 1
        end = stop
        while end > i and not block.lines[end - 1].strip():
            end -= 1
        shown = block.lines[i:end] or None
        output = (block.first + i, block.first + end)
        yield Example("console", command, shown, block.first + start, output, block.marks)


def _code(block: Block, after: Block | None, lines: Sequence[str]) -> Example:
    shown, output = None, (0, 0)
    end = block.first + len(block.lines) + 1
    if after is not None and after.language == "text" and "file" not in after.marks:
        between = lines[end : after.first - 1]
        if not any(line.strip() for line in between):
            shown, output = after.lines, (after.first, after.first + len(after.lines))
    return Example("python", "\n".join(block.lines), shown, block.first, output, block.marks)


def _run(example: Example, module: types.ModuleType) -> Outcome:
    if example.kind == "file":
        path = Path(example.marks["file"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.source, encoding="utf-8")
        return Outcome(example)
    refused = example.shown is not None and example.shown[0].startswith("error: ")
    if example.kind == "console" and _LONG.match(example.source) and not refused:
        return Outcome(example, why="takes long: put <!-- not run: REASON --> above the block")
    began = time.perf_counter()
    if example.kind == "python":
        text, failed = _run_code(example, module)
    elif example.source.startswith("atlas ") and not _SHELL & set(example.source):
        text, failed = _run_atlas(shlex.split(example.source, comments=True)[1:])
    else:
        text, failed = _run_shell(example.source)
    printed = tuple(line.rstrip() for line in text.rstrip().splitlines())
    why = None
    if example.shown is None:
        why = f"failed: {text.strip()}" if failed else None
    elif not matches(example.shown, printed):
        why = "prints something else"
    return Outcome(example, printed, why, seconds=time.perf_counter() - began)


def _run_atlas(arguments: list[str]) -> tuple[str, bool]:
    """What a command prints: on stdout, and where it fails also what it says on stderr."""
    from atlas_scaling.cli.main import main

    said, errors = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors), _width():
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    return said.getvalue() + (errors.getvalue() if code else ""), bool(code)


def _run_shell(command: str) -> tuple[str, bool]:
    atlas = f'atlas() {{ {shlex.quote(sys.executable)} -m atlas_scaling "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", atlas + command],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "COLUMNS": WIDTH, "PYTHONPATH": str(ROOT / "src")},
    )
    return done.stdout + (done.stderr if done.returncode else ""), done.returncode != 0


def _run_code(example: Example, module: types.ModuleType) -> tuple[str, bool]:
    said = io.StringIO()
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        with contextlib.redirect_stdout(said), _width():
            exec(compile(example.source, "<page>", "exec"), module.__dict__)
    except Exception as error:  # any failure of a page's code is a finding, not ours
        return f"{said.getvalue()}{type(error).__name__}: {error}", True
    finally:
        del sys.modules[module.__name__]
    return said.getvalue(), False


@contextlib.contextmanager
def _width() -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def main() -> int:
    """Check pages, or bring them up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pages", nargs="*", type=Path, help="default: docs/*.md")
    parser.add_argument("--update", action="store_true", help="write what is printed")
    parser.add_argument("--slow", action="store_true", help="run what is marked slow, too")
    parser.add_argument("--figures", action="store_true", help="draw the figures again")
    parser.add_argument("--have", action="append", default=[], metavar="NAME=PATH")
    arguments = parser.parse_args()
    have = {name: Path(path) for name, _, path in (text.partition("=") for text in arguments.have)}
    wrong = 0
    for page in arguments.pages or pages():
        outcomes = list(
            run_page(page.resolve(), have, slow=arguments.slow, keep_figures=arguments.figures)
        )
        wrong += sum(outcome.why is not None for outcome in outcomes)
        for outcome in outcomes:
            _tell(page, outcome)
        if arguments.update:
            page.write_text(updated(page.read_text(encoding="utf-8"), outcomes), encoding="utf-8")
    return 1 if wrong and not arguments.update else 0


def _tell(page: Path, outcome: Outcome) -> None:
    place = f"{page}:{outcome.example.first + 1}"
    if outcome.skipped:
        print(f"{place}: skipped: {outcome.skipped}")
    elif outcome.why:
        print(f"{place}: {outcome.why}\n$ {outcome.example.source}", *outcome.printed, sep="\n")
    elif outcome.seconds > 5:
        print(f"{place}: {outcome.seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
