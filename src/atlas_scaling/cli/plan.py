"""``atlas plan``: decisions from a fit of one's own runs, or from the published constants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_scaling.cli import plan_mixture, plan_next
from atlas_scaling.cli.output import JsonFlag, emit
from atlas_scaling.cli.plan_options import (
    FitOption,
    PlotOption,
    count,
    load_fits,
    mixture_of,
    show,
)

if TYPE_CHECKING:
    from atlas_scaling.planning.capacity_law import CapacityLaw

app = typer.Typer(
    help="What to train: more languages, a budget's best mixture, start anew or continue, cost.",
    no_args_is_help=True,
)


@app.command(
    "expand", epilog="Example: atlas plan expand --from-languages 8 --to-languages 16 --params 2B"
)
def expand_command(
    from_languages: Annotated[
        float | None, typer.Option(help="Languages now, sampled evenly.")
    ] = None,
    to_languages: Annotated[
        list[float] | None, typer.Option(help="Languages wanted; again for more than one answer.")
    ] = None,
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
    from atlas_scaling.cli.plan_text import expansion_text, expansions_text
    from atlas_scaling.planning.expand import expand, expand_to

    question: dict[str, Any] = {
        "from_languages": from_languages,
        "from_mixture": mixture_of(from_mixture, "--from-mixture"),
        "to_mixture": mixture_of(to_mixture, "--to-mixture"),
        "n_params": count(params, "--params"),
        "tokens": count(tokens, "--tokens"),
        "capacity_share": capacity_share,
        "law": _capacity_law(fit),
        "added": _added_laws(added_fit),
    }
    if to_languages and len(to_languages) > 1:
        _check_no_drawing(output)
        emit(expand_to(to_languages, **question), as_json=as_json, text=expansions_text)
    else:
        to = to_languages[0] if to_languages else None
        show(expand(to_languages=to, **question), as_json, expansion_text, output)


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
        n_params=count(params, "--params"),
        tokens=parse_count(tokens, name="--tokens"),
        share=share,
        unique_tokens=count(unique, "--unique"),
        base_language_tokens=count(base_tokens, "--base-tokens"),
        scratch=scratch,
        continued=continued,
        crossovers=_crossovers(crossover),
    )
    show(answer, as_json, start_text, output)


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
        n_params=count(params, "--params"),
        tokens=count(tokens, "--tokens"),
        flops=count(flops, "--flops"),
        accelerators=chosen_accelerators(
            accelerator,
            peak_flops=count(peak, "--peak"),
            power_w=power,
            memory_bytes=count(memory, "--memory"),
        ),
        devices=devices,
        mfu=mfu,
        tokens_per_second=count(tokens_per_second, "--tokens-per-second"),
        overhead=overhead,
        pue=PUE if pue is None else pue,
        price_per_hour=price,
        currency=currency,
    )
    show(answer, as_json, cost_text, output)


app.command(epilog=plan_mixture.ALLOCATE_EXAMPLE)(plan_mixture.allocate)
app.command("next", epilog=plan_next.NEXT_EXAMPLE)(plan_next.next_command)
app.command(epilog=plan_mixture.SCHEDULE_EXAMPLE)(plan_mixture.schedule)
app.command(epilog=plan_mixture.EXPORT_EXAMPLE)(plan_mixture.export)


def _check_no_drawing(output: Path | None) -> None:
    from atlas_scaling.errors import InputError

    if output is not None:
        raise InputError(
            "a drawing is of one number of languages",
            value=str(output),
            where="--output",
            remedy="give --to-languages once, or leave --output out",
        )


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
    for path, fit in zip(paths or (), load_fits(paths), strict=True):
        if fit.target is None:
            raise InputError(
                "this fit does not say which language's loss it is of",
                value=str(path),
                where="--added-fit",
                remedy="fit with --target",
            )
        laws[fit.target] = capacity_law_of(fit)
    return laws


def _crossovers(texts: list[str] | None) -> dict[float, float]:
    """``1e9=130e9`` as model size and tokens."""
    from atlas_scaling.errors import InputError
    from atlas_scaling.units import parse_count

    found: dict[float, float] = {}
    for text in texts or ():
        size, equals, tokens = text.partition("=")
        if not equals:
            raise InputError(
                "a crossover is a model size and its tokens",
                value=text,
                where="--crossover",
                remedy="write it like 1B=130B",
            )
        n_params = parse_count(size, name="--crossover")
        if n_params in found:
            raise InputError(
                "a size is given twice",
                value=text,
                where="--crossover",
                remedy="give one crossover a size: the geometric mean of several seeds",
            )
        found[n_params] = parse_count(tokens, name="--crossover")
    return found
