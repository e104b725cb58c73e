"""``atlas plan``: decisions from a fit of one's own runs, or from the published constants."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from atlas_scaling.cli.output import JsonFlag, emit, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.planning.capacity_law import CapacityLaw
    from atlas_scaling.planning.next_runs import Information
    from atlas_scaling.report.plan_page import PlanAnswer
    from atlas_scaling.transfer.matrix import TransferMatrix

app = typer.Typer(
    help="What to train: more languages, a budget's best mixture, start anew or continue, cost.",
    no_args_is_help=True,
)

FitOption = Annotated[
    Path | None, typer.Option("--fit", help="A saved fit; else the published constants.")
]

PlotOption = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="Also draw it: .html (a page), .svg, .png, .csv (its numbers)."
    ),
]


@app.command(epilog="Example: atlas plan expand --from-languages 8 --to-languages 16 --params 2B")
def expand(
    from_languages: Annotated[
        float | None, typer.Option(help="Languages now, sampled evenly.")
    ] = None,
    to_languages: Annotated[float | None, typer.Option(help="Languages wanted.")] = None,
    from_mixture: Annotated[
        str | None, typer.Option(help="Shares now, if uneven: en=0.5,de=0.3,fr=0.2")
    ] = None,
    to_mixture: Annotated[str | None, typer.Option(help="Shares wanted.")] = None,
    params: Annotated[
        str | None, typer.Option(help="Parameters of the model you have: 2B, 350M, 2e9.")
    ] = None,
    tokens: Annotated[str | None, typer.Option(help="All its training tokens: 400B, 4e11.")] = None,
    capacity_share: Annotated[
        float | None,
        typer.Option(help="Share of its reducible loss that more parameters would remove."),
    ] = None,
    fit: FitOption = None,
    added_fit: Annotated[
        list[Path] | None,
        typer.Option(help="A capacity fit of an added language, whose loss is wanted; repeat it."),
    ] = None,
    output: PlotOption = None,
    as_json: JsonFlag = False,
) -> None:
    """What it costs to serve more languages at the same loss: parameters, tokens, compute."""
    from atlas_scaling.cli.plan_text import expansion_text
    from atlas_scaling.planning import expand as planning

    answer = planning.expand(
        from_languages=from_languages,
        to_languages=to_languages,
        from_mixture=_mixture(from_mixture, "--from-mixture"),
        to_mixture=_mixture(to_mixture, "--to-mixture"),
        n_params=_count(params, "--params"),
        tokens=_count(tokens, "--tokens"),
        capacity_share=capacity_share,
        law=_capacity_law(fit),
        added=_added_laws(added_fit),
    )
    _show(answer, as_json, expansion_text, output)


@app.command(epilog="Example: atlas plan start --language vie_Latn --params 2e9 --tokens 100e9")
def start(
    language: Annotated[str, typer.Option(help="Target: vie_Latn, vi, vie.")],
    tokens: Annotated[str, typer.Option(help="Training tokens of the run: 100B.")],
    params: Annotated[
        str | None, typer.Option(help="Parameters: 2B. Run directories say it themselves.")
    ] = None,
    share: Annotated[float, typer.Option(help="Share of the target in these tokens.")] = 1.0,
    unique: Annotated[
        str | None, typer.Option(help="Distinct tokens of the target that there are.")
    ] = None,
    base_tokens: Annotated[
        str | None,
        typer.Option(help="Tokens of the target that your checkpoint saw: 5B; widens the range."),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(help="Own curve from scratch: a run directory, or a CSV of tokens,loss."),
    ] = None,
    continued: Annotated[
        Path | None, typer.Option(help="Own curve continued from a checkpoint, likewise.")
    ] = None,
    crossover: Annotated[
        list[str] | None,
        typer.Option(help="Own crossover at a size, as PARAMS=TOKENS; give two or more sizes."),
    ] = None,
    output: PlotOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a language from scratch, or continue from a multilingual checkpoint?"""
    from atlas_scaling.cli.plan_text import start_text
    from atlas_scaling.planning.start_runs import advise_start
    from atlas_scaling.units import parse_count

    answer = advise_start(
        language,
        n_params=_count(params, "--params"),
        tokens=parse_count(tokens, name="--tokens"),
        share=share,
        unique_tokens=_count(unique, "--unique"),
        base_language_tokens=_count(base_tokens, "--base-tokens"),
        scratch=scratch,
        continued=continued,
        crossovers=dict(_crossover(text) for text in crossover or ()),
    )
    _show(answer, as_json, start_text, output)


@app.command(
    epilog="Example: atlas plan cost --params 2B --tokens 400B --accelerator h100 --devices 64"
)
def cost(
    params: Annotated[str | None, typer.Option(help="Parameters: 2B.")] = None,
    tokens: Annotated[str | None, typer.Option(help="All training tokens: 400B.")] = None,
    flops: Annotated[str | None, typer.Option(help="Or the compute: 1e21.")] = None,
    accelerator: Annotated[
        list[str] | None,
        typer.Option(help="a100, h100, h200, gh200, mi300x or cpu-core; all if left out."),
    ] = None,
    devices: Annotated[int, typer.Option(help="How many work at once.")] = 1,
    peak: Annotated[
        str | None, typer.Option(help="FLOP/s of one, instead of the data sheet's: 989e12.")
    ] = None,
    power: Annotated[float | None, typer.Option(help="Watts of one, likewise.")] = None,
    memory: Annotated[str | None, typer.Option(help="Bytes of one, likewise: 80e9.")] = None,
    mfu: Annotated[float | None, typer.Option(help="Share of the peak reached.")] = None,
    tokens_per_second: Annotated[
        str | None, typer.Option(help="Measured, of all devices together; instead of peak and MFU.")
    ] = None,
    overhead: Annotated[
        float, typer.Option(help="Share of time on top, for evaluation and restarts.")
    ] = 0.0,
    pue: Annotated[
        float | None, typer.Option(help="Data centre's power over the machines'; 1.56 if left out.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Of one accelerator for an hour.")] = None,
    currency: Annotated[str, typer.Option(help="Of the price.")] = "USD",
    output: PlotOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Accelerator-hours, wall-clock, energy and money of a training run."""
    from atlas_scaling.cli.plan_text import cost_text
    from atlas_scaling.planning.cost import PUE, chosen_accelerators
    from atlas_scaling.planning.cost import cost as cost_of

    answer = cost_of(
        n_params=_count(params, "--params"),
        tokens=_count(tokens, "--tokens"),
        flops=_count(flops, "--flops"),
        accelerators=chosen_accelerators(
            accelerator,
            peak_flops=_count(peak, "--peak"),
            power_w=power,
            memory_bytes=_count(memory, "--memory"),
        ),
        devices=devices,
        mfu=mfu,
        tokens_per_second=_count(tokens_per_second, "--tokens-per-second"),
        overhead=overhead,
        pue=PUE if pue is None else pue,
        price_per_hour=price,
        currency=currency,
    )
    _show(answer, as_json, cost_text, output)


@app.command(epilog="Example: atlas plan allocate --flops 1e21 --target ca --unique ca=10B")
def allocate(
    target: Annotated[list[str], typer.Option(help="A language the model is for; repeat it.")],
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
    unique: Annotated[
        list[str] | None, typer.Option(help="Distinct tokens there are: ca=10B; repeat it.")
    ] = None,
    objective: Annotated[
        str, typer.Option(help="mean, worst, or regret: the worst loss over each one's own best.")
    ] = "mean",
    weight: Annotated[list[str] | None, typer.Option(help="Of a target in the mean: ca=2.")] = None,
    floor: Annotated[list[str] | None, typer.Option(help="Least share: ca=0.3.")] = None,
    cap: Annotated[list[str] | None, typer.Option(help="Largest share: en=0.5.")] = None,
    max_epochs: Annotated[
        float | None, typer.Option(help="Most passes over a text; no limit if left out.")
    ] = None,
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
        target,
        Budget(
            flops=_count(flops, "--flops"),
            n_params=_count(params, "--params"),
            sizes=_sizes(size, published_sizes),
            tokens=_count(tokens, "--tokens"),
            inference_tokens=_count(served_tokens, "--served-tokens") or 0.0,
        ),
        fits=_fits(fit),
        matrix=_matrix(matrix),
        sources=source,
        like=_pairs(like, "--like"),
        interference=interference,
        weights=_numbers(weight, "--weight"),
        unique=_numbers(unique, "--unique"),
        objective=objective,
        floors=_numbers(floor, "--floor"),
        caps=_numbers(cap, "--cap"),
        max_epochs=max_epochs,
    )
    _show(answer, as_json, allocation_text, output)


@app.command(
    "next",
    epilog="Example: atlas plan next --fit fit.json --allowance 1e19 --params 2B --tokens 40B",
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
    unique: Annotated[
        list[str] | None, typer.Option(help="Distinct tokens there are: sv=10B; repeat it.")
    ] = None,
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
    texts = _numbers(unique, "--unique")
    decision = next_study.decision_of(
        fitted,
        decide,
        n_params=_count(params, "--params"),
        tokens=_count(tokens, "--tokens"),
        budget=_count(budget, "--budget"),
        mixture=_mixture(mixture, "--mixture"),
        unique=texts,
    )
    answer = next_runs(
        fitted,
        decision,
        flops=flops,
        candidates=next_study.candidates(fitted, flops, _sizes(size, False), study),
        criterion="parameters" if all_parameters else "decision",
        information=cast("Information", information),
        unique=texts,
        max_runs=most_runs,
    )
    if output is not None and output.suffix in (".yaml", ".yml"):
        next_study.write_study(answer, study, output)
        output = None
    _show(answer, as_json, next_text, output)


@app.command(
    epilog="Example: atlas plan schedule --fit two-stage.json --flops 1e21 --unique ca=10B"
)
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
    unique: Annotated[
        list[str] | None, typer.Option(help="Distinct tokens there are: ca=10B; repeat it.")
    ] = None,
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
        n_params=_count(params, "--params"),
        unique=_numbers(unique, "--unique"),
    )
    if output is not None and output.suffix in (".yaml", ".yml"):
        next_study.write_staged_study(answer.missing, study, output)
        output = None
    _show(answer, as_json, schedule_text, output)


@app.command(epilog="Example: atlas plan export plan.json --to megatron --paths data/{language}")
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
        tokens_per_document=_numbers(document_tokens, "--document-tokens"),
        name=name,
    )
    if as_json:
        print_json(answer)
    else:
        sys.stdout.write(answer.text)


def _show(
    answer: PlanAnswer,
    as_json: bool,
    text: Callable[[Any], RenderableType],
    output: Path | None,
) -> None:
    """Print an answer, and draw it where that is asked for."""
    if output is not None:
        from atlas_scaling.report.plan_page import save_plan

        save_plan(answer, output, command=shlex.join(["atlas", *sys.argv[1:]]))
    emit(answer, as_json=as_json, text=text)


def _sizes(given: list[str] | None, published: bool) -> tuple[float, ...] | None:
    from atlas_scaling.units import parse_count

    sizes = [parse_count(text, name="--size") for text in given or ()]
    if published:
        from atlas_scaling.published.model_shapes import model_shapes

        sizes += [float(shape.n_params) for shape in model_shapes()]
    return tuple(sizes) or None


def _fits(paths: list[Path] | None) -> list[Fit]:
    if not paths:
        return []
    from atlas_scaling.fitting.result import Fit

    return [Fit.load(path) for path in paths]


def _matrix(path: Path | None) -> TransferMatrix | None:
    if path is None:
        return None
    from atlas_scaling.transfer.matrix_files import load_matrix

    return load_matrix(path)


def _pairs(texts: list[str] | None, option: str) -> dict[str, str] | None:
    """``ca=es`` as pairs of code and what is said of it."""
    from atlas_scaling.errors import InputError

    pairs = {}
    for text in texts or ():
        code, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise InputError(
                "this names no language and what is said of it",
                value=text,
                where=option,
                remedy="write it like ca=...",
            )
        pairs[code.strip()] = value.strip()
    return pairs or None


def _numbers(texts: list[str] | None, option: str) -> dict[str, float] | None:
    """``ca=10B`` or ``ca=0.3`` as numbers by code; 0 is a number too."""
    from atlas_scaling.units import parse_count

    pairs = _pairs(texts, option)
    if pairs is None:
        return None
    return {
        code: 0.0 if value in ("0", "0.0", "0%") else parse_count(value, name=f"{option} {code}")
        for code, value in pairs.items()
    }


def _capacity_law(path: Path | None) -> CapacityLaw | None:
    if path is None:
        return None
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.planning.capacity_law import capacity_law_of

    return capacity_law_of(Fit.load(path))


def _added_laws(paths: list[Path] | None) -> dict[str, CapacityLaw]:
    from atlas_scaling.errors import InputError
    from atlas_scaling.planning.capacity_law import capacity_law_of

    laws = {}
    for path, fit in zip(paths or (), _fits(paths), strict=True):
        if fit.target is None:
            raise InputError(
                "this fit does not say which language's loss it is of",
                value=str(path),
                where="--added-fit",
                remedy="fit with --target",
            )
        laws[fit.target] = capacity_law_of(fit)
    return laws


def _count(text: str | None, option: str) -> float | None:
    from atlas_scaling.units import parse_count

    return None if text is None else parse_count(text, name=option)


def _crossover(text: str) -> tuple[float, float]:
    """``1e9=130e9`` as model size and tokens."""
    from atlas_scaling.errors import InputError
    from atlas_scaling.units import parse_count

    size, equals, tokens = text.partition("=")
    if not equals:
        raise InputError(
            "a crossover is a model size and its tokens",
            value=text,
            where="--crossover",
            remedy="write it like 1B=130B",
        )
    return parse_count(size, name="--crossover"), parse_count(tokens, name="--crossover")


def _mixture(text: str | None, option: str) -> dict[str, float] | None:
    """``en=0.5,de=0.5`` as shares by code."""
    return None if text is None else _numbers(text.split(","), option)
