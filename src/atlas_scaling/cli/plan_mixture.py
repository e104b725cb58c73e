"""``atlas plan allocate``, ``schedule`` and ``export``: mixtures for a budget, and for trainers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from atlas_scaling.cli.output import JsonFlag, print_json
from atlas_scaling.cli.plan_options import (
    Cap,
    Floor,
    MaxEpochs,
    PlotOption,
    Unique,
    count,
    load_fits,
    numbers,
    pairs,
    show,
    sizes_of,
)

if TYPE_CHECKING:
    from atlas_scaling.transfer.matrix import TransferMatrix

ALLOCATE_EXAMPLE: Final = "Example: atlas plan allocate --flops 1e21 --target ca --unique ca=10B"
SCHEDULE_EXAMPLE: Final = (
    "Example: atlas plan schedule --fit two-stage.json --flops 1e21 --unique ca=10B"
)
EXPORT_EXAMPLE: Final = "Example: atlas plan export plan.json --to megatron --paths data/{language}"


def allocate(
    target: Annotated[
        list[str] | None,
        typer.Option(help="A language the model is for; repeat it. Those of the fits if left out."),
    ] = None,
    flops: Annotated[
        str | None, typer.Option(help="Compute of training and of what is served: 1e21.")
    ] = None,
    params: Annotated[str | None, typer.Option(help="Model size, if it is fixed: 2B.")] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="A size that may be chosen; repeat it.")
    ] = None,
    published_sizes: Annotated[
        bool, typer.Option("--published-sizes", help="Choose among the sizes of Table B.3.")
    ] = False,
    tokens: Annotated[
        str | None, typer.Option(help="Training tokens, if they are fixed: 100B.")
    ] = None,
    served_tokens: Annotated[
        str | None, typer.Option(help="Tokens to be served over the model's life: 1T.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="A further language to train on; chosen by transfer if left out."),
    ] = None,
    unique: Unique = None,
    objective: Annotated[
        str, typer.Option(help="mean, worst, or regret: the worst loss over each one's own best.")
    ] = "mean",
    weight: Annotated[list[str] | None, typer.Option(help="Of a target in the mean: ca=2.")] = None,
    floor: Floor = None,
    cap: Cap = None,
    max_epochs: MaxEpochs = None,
    fit: Annotated[
        list[Path] | None,
        typer.Option(help="A saved fit of a target; one without borrows a relative's."),
    ] = None,
    matrix: Annotated[
        Path | None, typer.Option(help="Transfer scores; the published 38x38 if left out.")
    ] = None,
    like: Annotated[
        list[str] | None, typer.Option(help="Whose law a target borrows: ca=es.")
    ] = None,
    interference: Annotated[
        bool, typer.Option("--interference", help="Count negative transfer of the matrix too.")
    ] = False,
    output: PlotOption = None,
    as_json: JsonFlag = False,
) -> None:
    """The best model size, tokens and mixture for some languages under a budget."""
    from atlas_scaling.cli.allocation_text import allocation_text
    from atlas_scaling.planning.allocate_targets import allocate_targets
    from atlas_scaling.planning.allocation_budget import Budget

    answer = allocate_targets(
        target or (),
        Budget(
            flops=count(flops, "--flops"),
            n_params=count(params, "--params"),
            sizes=sizes_of(size, published_sizes),
            tokens=count(tokens, "--tokens"),
            inference_tokens=count(served_tokens, "--served-tokens") or 0.0,
        ),
        fits=load_fits(fit),
        matrix=_matrix(matrix),
        sources=source,
        like=pairs(like, "--like"),
        interference=interference,
        weights=numbers(weight, "--weight"),
        unique=numbers(unique, "--unique"),
        objective=objective,
        floors=numbers(floor, "--floor"),
        caps=numbers(cap, "--cap"),
        max_epochs=max_epochs,
    )
    show(answer, as_json, allocation_text, output)


def schedule(
    flops: Annotated[str, typer.Option(help="Training compute of the run: 1e21.")],
    fit: Annotated[
        Path | None, typer.Option(help="A saved fit of the law atlas_two_stage to staged runs.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The language it is for; a fit says it itself.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Without a fit: a further language; repeat it.")
    ] = None,
    params: Annotated[str | None, typer.Option(help="Model size, if it is fixed: 2B.")] = None,
    unique: Unique = None,
    floor: Floor = None,
    cap: Cap = None,
    max_epochs: MaxEpochs = None,
    study: Annotated[
        Path | None, typer.Option(help="A study to take corpus and sizes of missing runs from.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The missing runs as a study (.yaml, with --study), or a drawing: .html, .png.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """A multilingual stage and then one with more of the target: how long, which mixtures.

    Only runs whose mixture changes tell what the order is worth; without them the answer is which
    runs are missing.
    """
    from atlas_scaling.cli import next_study
    from atlas_scaling.cli.plan_text import schedule_text
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.planning.two_stage import two_stages
    from atlas_scaling.units import parse_count

    answer = two_stages(
        None if fit is None else Fit.load(fit),
        flops=parse_count(flops, name="--flops"),
        target=target,
        sources=source or (),
        n_params=count(params, "--params"),
        unique=numbers(unique, "--unique"),
        floors=numbers(floor, "--floor"),
        caps=numbers(cap, "--cap"),
        max_epochs=max_epochs,
    )
    if output is not None and output.suffix in (".yaml", ".yml"):
        next_study.write_staged_study(answer.missing, study, output)
        output = None
    show(answer, as_json, schedule_text, output)


def export(
    plan: Annotated[Path, typer.Argument(help="What atlas plan allocate --json printed.")],
    to: Annotated[str, typer.Option(help="olmo-core, megatron, huggingface, olmix or atlas.")],
    paths: Annotated[
        str | None, typer.Option(help="Where data lies, with {language} or {madlad} in it.")
    ] = None,
    document_tokens: Annotated[
        list[str] | None,
        typer.Option(help="Mean tokens of a document, for huggingface: ca=900; repeat it."),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the run, for olmix and atlas.")] = "plan",
    as_json: JsonFlag = False,
) -> None:
    """A plan's mixture in the form that a trainer reads."""
    from atlas_scaling.planning.export import export_mixture, read_plan

    answer = export_mixture(
        read_plan(plan),
        to,
        paths=paths,
        tokens_per_document=numbers(document_tokens, "--document-tokens"),
        name=name,
    )
    if as_json:
        print_json(answer)
    else:
        sys.stdout.write(answer.text)


def _matrix(path: Path | None) -> TransferMatrix | None:
    if path is None:
        return None
    from atlas_scaling.transfer.matrix_files import load_matrix

    return load_matrix(path)
