"""A question of the dashboard as the command and the Python lines that answer it too."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from atlas_scaling.answers import Answer
from atlas_scaling.runs.store import SPEC_NAME
from atlas_scaling.web import requests
from atlas_scaling.web.session import Here

IMPORTED: Final = "runs.parquet"
SUFFIXES: Final = (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3))


@dataclass(frozen=True, slots=True)
class Snippets(Answer):
    """The same question elsewhere.

    Attributes:
        command: for a shell; several laws are a line each.
        python: for a notebook; prints what the command prints with ``--json``.
        notes: what has to be done first, such as saving a fit of this session.
    """

    command: str
    python: str
    notes: tuple[str, ...]


def allocate(question: requests.AllocateQuestion, here: Here) -> Snippets:
    """``atlas plan allocate`` and ``atlas.plan.allocate_targets``."""
    files = _Files(here)
    fits = [files.fit(name) for name in question.fits]
    matrix = files.matrix(question.matrix)
    command = [
        *_each("--target", question.targets),
        *_count("--flops", question.flops),
        *_count("--params", question.n_params),
        *_each("--size", map(_number, question.sizes or ())),
        *_count("--tokens", question.tokens),
        *_count("--served-tokens", question.served_tokens),
        *_each("--source", question.sources or ()),
        *_pairs("--unique", question.unique),
        *(["--objective", question.objective] if question.objective != "mean" else []),
        *_pairs("--weight", question.weights),
        *_pairs("--floor", question.floors),
        *_pairs("--cap", question.caps),
        *_count("--max-epochs", question.max_epochs),
        *_each("--fit", fits),
        *(["--matrix", matrix] if matrix else []),
        *_each("--like", (f"{code}={other}" for code, other in question.like.items())),
        *(["--interference"] if question.interference else []),
    ]
    if question.sources == []:
        files.notes.append(
            "the command chooses helpers by transfer; only Python can ask for none at all"
        )
    budget = {
        "flops": question.flops,
        "n_params": question.n_params,
        "sizes": None if question.sizes is None else tuple(question.sizes),
        "tokens": question.tokens,
        "inference_tokens": question.served_tokens,
    }
    arguments = {
        "sources": question.sources,
        "like": question.like or None,
        "interference": question.interference or None,
        "weights": question.weights or None,
        "unique": question.unique or None,
        "objective": question.objective if question.objective != "mean" else None,
        "floors": question.floors or None,
        "caps": question.caps or None,
        "max_epochs": question.max_epochs,
    }
    lines = [
        "import atlas_scaling as atlas",
        "from atlas_scaling.planning.allocation_budget import Budget",
        *(["from atlas_scaling.fitting.result import Fit"] if fits else []),
        "",
        "plan = atlas.plan.allocate_targets(",
        f"    {question.targets!r},",
        f"    Budget({_arguments(budget)}),",
        *([f"    fits=[{', '.join(f'Fit.load({path!r})' for path in fits)}],"] if fits else []),
        *([f"    matrix=atlas.transfer.load_matrix(Path({matrix!r})),"] if matrix else []),
        *(f"    {name}={value!r}," for name, value in arguments.items() if value is not None),
        ")",
        "print(plan.to_dict())",
    ]
    if matrix:
        lines.insert(0, "from pathlib import Path\n")
    return files.snippets([["plan", "allocate", *command]], lines)


def expand(question: requests.ExpandQuestion, here: Here) -> Snippets:
    """``atlas plan expand`` and ``atlas.plan.expand``."""
    files = _Files(here)
    fit = None if question.fit is None else files.fit(question.fit)
    command = [
        *_count("--from-languages", question.from_languages),
        *_count("--to-languages", question.to_languages),
        *_mixture("--from-mixture", question.from_mixture),
        *_mixture("--to-mixture", question.to_mixture),
        *_count("--params", question.n_params),
        *_count("--tokens", question.tokens),
        *_count("--capacity-share", question.capacity_share),
        *(["--fit", fit] if fit else []),
    ]
    arguments = question.model_dump(exclude={"fit"})
    law = f"law=capacity_law_of(Fit.load({fit!r}))" if fit else ""
    lines = [
        "import atlas_scaling as atlas",
        *(
            [
                "from atlas_scaling.fitting.result import Fit",
                "from atlas_scaling.planning.capacity_law import capacity_law_of",
            ]
            if fit
            else []
        ),
        "",
        f"answer = atlas.plan.expand({', '.join(filter(None, (_arguments(arguments), law)))})",
        "print(answer.to_dict())",
    ]
    return files.snippets([["plan", "expand", *command]], lines)


def start(question: requests.StartQuestion, here: Here) -> Snippets:
    """``atlas plan start`` and ``advise_start``."""
    files = _Files(here)
    curves = {
        name: None if run is None else _shown_path(here.runs.path(run))
        for name, run in (("scratch", question.scratch), ("continued", question.continued))
    }
    command = [
        "--language",
        question.language,
        *_count("--params", question.n_params),
        *_count("--tokens", question.tokens),
        *(["--share", repr(question.share)] if question.share != 1 else []),
        *_count("--unique", question.unique_tokens),
        *(item for name, path in curves.items() if path for item in (f"--{name}", path)),
        *_each("--crossover", (f"{k}={_number(v)}" for k, v in question.crossovers.items())),
    ]
    arguments = question.model_dump(exclude={"language", "scratch", "continued", "crossovers"})
    arguments["share"] = question.share if question.share != 1 else None
    given = [_arguments(arguments)]
    given += [f"{name}=Path({path!r})" for name, path in curves.items() if path]
    if question.crossovers:
        from atlas_scaling.units import parse_count

        sizes = {parse_count(k, name="crossovers"): v for k, v in question.crossovers.items()}
        given.append(f"crossovers={sizes!r}")
    lines = [
        *(["from pathlib import Path", ""] if any(curves.values()) else []),
        "from atlas_scaling.planning.start_runs import advise_start",
        "",
        f"answer = advise_start({question.language!r}, {', '.join(given)})",
        "print(answer.to_dict())",
    ]
    return files.snippets([["plan", "start", *command]], lines)


def next_runs(question: requests.NextQuestion, here: Here) -> Snippets:
    """``atlas plan next``."""
    files = _Files(here)
    command = [
        "--fit",
        files.fit(question.fit),
        *_count("--allowance", question.allowance),
        *(["--decide", question.decide] if question.decide != "loss" else []),
        *_count("--params", question.n_params),
        *_count("--tokens", question.tokens),
        *_count("--budget", question.budget),
        *_mixture("--mixture", question.mixture),
        *_each("--size", map(_number, question.sizes or ())),
        *_pairs("--unique", question.unique),
        *(["--all-parameters"] if question.all_parameters else []),
        *(["--most-runs", str(question.most_runs)] if question.most_runs != 8 else []),
    ]
    files.note_study("next.yaml")
    arguments = ["plan", "next", *command]
    lines = [
        "import json, subprocess",
        "",
        f"answer = json.loads(subprocess.check_output({['atlas', *arguments, '--json']!r}))",
        "print(answer)",
    ]
    return files.snippets([arguments], lines)


def schedule(question: requests.ScheduleQuestion, here: Here) -> Snippets:
    """``atlas plan schedule`` and ``two_stages``."""
    files = _Files(here)
    fit = None if question.fit is None else files.fit(question.fit)
    command = [
        *(["--fit", fit] if fit else []),
        *_count("--flops", question.flops),
        *(["--target", question.target] if question.target else []),
        *_each("--source", question.sources),
        *_count("--params", question.n_params),
        *_pairs("--unique", question.unique),
    ]
    files.note_study("stages.yaml")
    arguments = question.model_dump(exclude={"fit"}, exclude_defaults=True)
    loaded = f"Fit.load({fit!r})" if fit else "None"
    lines = [
        *(["from atlas_scaling.fitting.result import Fit"] if fit else []),
        "from atlas_scaling.planning.two_stage import two_stages",
        "",
        f"answer = two_stages({loaded}, {_arguments(arguments)})",
        "print(answer.to_dict())",
    ]
    return files.snippets([["plan", "schedule", *command]], lines)


def fits(task: requests.FitTask, here: Here) -> Snippets:
    """``atlas fit``, a command a law, and ``atlas.fit`` or ``fit_pooled``."""
    files = _Files(here)
    table, data = files.data(task.data)
    options = task.model_dump(
        mode="json", exclude={"kind", "data", "laws", "targets", "shared"}, exclude_defaults=True
    )
    several = len(task.targets) > 1 or bool(task.shared)
    targets: list[str | None] = [*task.targets] or [None]
    commands, calls = [], []
    for choice in task.laws:
        title = "-".join(filter(None, (choice.law, choice.variant)))
        command = [
            *("fit", table, "--law", choice.law),
            *(["--variant", choice.variant] if choice.variant else []),
            *(["--sources", ",".join(choice.sources)] if choice.sources else []),
            *_each("--tie", map("=".join, choice.ties)),
            *_each("--fix", (f"{name}={value!r}" for name, value in choice.fixed.items())),
            *_each("--target", task.targets or (["all"] if task.shared else [])),
            *(["--shared", ",".join(task.shared)] if task.shared else []),
            *_options(options),
            *("-o", title if several else f"{title}.json"),
        ]
        commands.append(command)
        law = f"    {_law(choice)},"
        if task.shared:
            arguments = _arguments(
                {"targets": task.targets or None, "shared": task.shared, **options}
            )
            calls += ["made += fit_pooled(", "    runs,", law, f"    {arguments},"]
            calls += [").fits.values()"]
        else:
            for target in targets:
                arguments = _arguments({"target": target, **options})
                calls += ["made.append(atlas.fit(", "    runs,", law]
                calls += [f"    {arguments},"] if arguments else []
                calls += ["))"]
    lines = [
        *data,
        *(["from atlas_scaling.fitting.pooled import fit_pooled", ""] if task.shared else []),
        "made = []",
        *calls,
        "for fit in made:",
        "    print(fit.to_dict())",
    ]
    return files.snippets(commands, lines)


def comparison(task: requests.CompareTask, here: Here) -> Snippets:
    """``atlas compare`` and ``atlas.compare``."""
    files = _Files(here)
    table, data = files.data(task.data)
    options = task.model_dump(
        mode="json", exclude={"kind", "data", "laws", "targets"}, exclude_defaults=True
    )
    if any(choice != requests.LawChoice(law=choice.law) for choice in task.laws):
        files.notes.append("the command takes laws by name: only Python compares variants of one")
    command = [
        *("compare", table),
        *_each("--law", (choice.law for choice in task.laws)),
        *_each("--target", task.targets),
        *_options(options),
    ]
    arguments = _arguments({"targets": task.targets or None, **options})
    lines = [
        *data,
        "compared = atlas.compare(",
        "    runs,",
        *([f"    [{', '.join(map(_law, task.laws))}],"] if task.laws else []),
        *([f"    {arguments},"] if arguments else []),
        ")",
        "print(compared.to_dict())",
    ]
    return files.snippets([command], lines)


KINDS: Final[Mapping[str, Callable[..., Snippets]]] = {
    "allocate": allocate,
    "expand": expand,
    "start": start,
    "next": next_runs,
    "schedule": schedule,
}
"""By the last part of the route that answers."""


class _Files:
    """Paths of a session's things, and notes on those that are not saved."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.notes: list[str] = []

    def fit(self, name: str) -> str:
        return self._path(name, self.here.files.fit_path(name), "fit")

    def matrix(self, name: str | None) -> str | None:
        path = self.here.files.matrix_path(name)
        return None if path is None else self._path(str(name), path, "matrix")

    def note_study(self, output: str) -> None:
        """Say how the runs of an answer become a study."""
        folder = next(iter(self.here.files.study_folders), None)
        spec = "SPEC" if folder is None else _shown_path(folder / SPEC_NAME)
        added = shlex.join(["--study", spec, "-o", output])
        self.notes.append(f"with {added} the command writes these runs as a study")

    def data(self, name: str) -> tuple[str, list[str]]:
        """What a command reads for a data set, and the lines that make it ``runs``."""
        paths = self.here.files.data_paths(name)
        head = ["import atlas_scaling as atlas", ""]
        if self.here.files.scratch in paths[0].parents:
            self.notes.append(
                "the uploaded table first becomes one of runs, by the columns that you chose: "
                f"atlas runs import FILE --map COLUMNS.yaml -o {IMPORTED}"
            )
            return IMPORTED, [*head, f"runs = {IMPORTED!r}"]
        shown = [_shown_path(path) for path in paths]
        if len(shown) == 1:
            return shown[0], [*head, f"runs = {shown[0]!r}"]
        self.notes.append("the command reads one folder of runs; only Python reads several at once")
        several = f"runs = atlas.read_runs([{', '.join(f'Path({path!r})' for path in shown)}])"
        return shown[0], ["from pathlib import Path", "", *head, several]

    def snippets(self, commands: Sequence[Sequence[str]], python: Sequence[str]) -> Snippets:
        return Snippets(
            command="\n".join(shlex.join(["atlas", *command]) for command in commands),
            python="\n".join(python) + "\n",
            notes=tuple(self.notes),
        )

    def _path(self, name: str, path: Path, what: str) -> str:
        if self.here.files.scratch in path.parents:
            self.notes.append(f"save the {what} {name} first: it goes away with this session")
        return _shown_path(path)


def _shown_path(path: Path) -> str:
    """Relative to where the server was started, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _number(value: float) -> str:
    """A count as people write it, if that is exactly the same number.

    >>> _number(2e9), _number(1e21), _number(0.25)
    ('2B', '1e+21', '0.25')
    """
    for suffix, unit in SUFFIXES:
        if unit <= value < 1000 * unit:
            text = f"{value / unit:.6g}"
            if float(text) * unit == value:
                return text + suffix
    return repr(value).removesuffix(".0")


def _count(option: str, value: float | None) -> list[str]:
    return [] if value is None else [option, _number(value)]


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [item for value in values for item in (option, value)]


def _pairs(option: str, values: Mapping[str, float]) -> list[str]:
    return _each(option, (f"{code}={_number(value)}" for code, value in values.items()))


def _mixture(option: str, shares: Mapping[str, float] | None) -> list[str]:
    if shares is None:
        return []
    return [option, ",".join(f"{code}={share!r}" for code, share in shares.items())]


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items() if value is not None)


def _options(values: Mapping[str, Any]) -> list[str]:
    """Options of a command by the names of their arguments; True is a flag."""
    found = []
    for name, value in values.items():
        option = "--" + name.replace("_", "-")
        found += [option] if value is True else [option, str(value)]
    return found


def _law(choice: requests.LawChoice) -> str:
    """The law of a choice as Python writes it."""
    chosen = {"variant": choice.variant, "sources": choice.sources and tuple(choice.sources)}
    given = ", ".join(filter(None, (repr(choice.law), _arguments(chosen))))
    ties = "".join(f".tied({', '.join(map(repr, names))})" for names in choice.ties)
    held = f".with_fixed({_arguments(choice.fixed)})" if choice.fixed else ""
    return f"atlas.laws.get({given}){ties}{held}"
