"""``atlas plan next``: which runs would make a decision surer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from atlas_scaling.cli.output import JsonFlag
from atlas_scaling.cli.plan_options import Unique, count, mixture_of, numbers, show, sizes_of

if TYPE_CHECKING:
    from atlas_scaling.planning.next_runs import Information

NEXT_EXAMPLE: Final = (
    "Example: atlas plan next --fit fit.json --allowance 1e19 --params 2B --tokens 40B"
)


def next_command(
    fit: Annotated[Path, typer.Option(help="A saved fit with bootstrap draws.")],
    allowance: Annotated[str, typer.Option(help="Compute the next runs may take: 1e19 FLOPs.")],
    decide: Annotated[
        str,
        typer.Option(help="loss (of --params, --tokens), size (for --budget), or a parameter."),
    ] = "loss",
    params: Annotated[str | None, typer.Option(help="Of the run whose loss is wanted.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Of the run whose loss is wanted.")] = None,
    budget: Annotated[str | None, typer.Option(help="FLOPs the best size is wanted for.")] = None,
    mixture: Annotated[
        str | None, typer.Option(help="Of that run: sv=0.5,da=0.5; the target alone if left out.")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="A size that may be trained; repeat it.")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="A study whose sizes and languages may be used.")
    ] = None,
    unique: Unique = None,
    all_parameters: Annotated[
        bool, typer.Option("--all-parameters", help="Narrow all parameters, not the decision.")
    ] = False,
    information: Annotated[
        str, typer.Option(help="draws, or jacobian: of the law at the fitted values.")
    ] = "draws",
    most_runs: Annotated[int, typer.Option(help="Most runs in all.")] = 8,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A study of these runs (.yaml, with --study), or a drawing: .html, .svg, .png.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Which runs to make next, to be surer of one decision for the compute they take."""
    from atlas_scaling.cli import next_study
    from atlas_scaling.cli.plan_text import next_text
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.planning.next_runs import next_runs
    from atlas_scaling.units import parse_count

    fitted = Fit.load(fit)
    flops = parse_count(allowance, name="--allowance")
    texts = numbers(unique, "--unique")
    decision = next_study.decision_of(
        fitted,
        decide,
        n_params=count(params, "--params"),
        tokens=count(tokens, "--tokens"),
        budget=count(budget, "--budget"),
        mixture=mixture_of(mixture, "--mixture"),
        unique=texts,
    )
    answer = next_runs(
        fitted,
        decision,
        flops=flops,
        candidates=next_study.candidates(fitted, flops, sizes_of(size, False), study),
        criterion="parameters" if all_parameters else "decision",
        information=cast("Information", information),
        unique=texts,
        max_runs=most_runs,
    )
    if output is not None and output.suffix in (".yaml", ".yml"):
        next_study.write_study(answer, study, output)
        output = None
    show(answer, as_json, next_text, output)
