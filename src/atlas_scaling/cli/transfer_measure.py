"""``atlas transfer`` on runs and matrix files: measure, compare with fits, merge, convert."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from atlas_scaling.cli.output import JsonFlag, emit, share_done
from atlas_scaling.cli.transfer_options import (
    At,
    Level,
    MatrixOutput,
    Measuring,
    Runs,
    Seed,
    chosen_matrix,
    measuring,
    rows_of,
)

BTS_EXAMPLE: Final = "Example: atlas transfer bts runs/mono-spa runs/pair-por-spa --target spa_Latn"
MATRIX_EXAMPLE: Final = "Example: atlas transfer matrix atlas-demo/runs -o matrix.parquet"
FAS_EXAMPLE: Final = "Example: atlas transfer fas atlas-demo/runs"
WEIGHTS_EXAMPLE: Final = "Example: atlas transfer weights atlas-demo/runs --target swe_Latn"
MERGE_EXAMPLE: Final = "Example: atlas transfer merge mine.csv theirs.parquet -o both.parquet"
CONVERT_EXAMPLE: Final = "Example: atlas transfer convert 0.6 --from ratio"


@measuring
def bts(
    mono: Annotated[
        Path,
        typer.Argument(
            help="Run, folder or table of runs on the target alone; of several seeds a pattern in "
            "quotes: 'runs/mono-spa-*'."
        ),
    ],
    bi: Annotated[Path, typer.Argument(help="Run, folder, table or pattern of runs on both.")],
    target: Annotated[str, typer.Option(metavar="LANG", help="The language that is scored.")],
    how: Measuring,
    as_json: JsonFlag = False,
) -> None:
    """The bilingual transfer score of two runs, over d."""
    from atlas_scaling.cli.transfer_text import bts_text
    from atlas_scaling.transfer.measure import compare_runs

    comparison = compare_runs(
        rows_of([mono]),
        rows_of([bi]),
        target,
        unit=how.counted_in,
        allow_lr_mismatch=how.allow_lr_mismatch,
        noise=how.noise,
        seed_sd=how.seed_sd,
        seed=how.seed,
    )
    answer = comparison.score(how.d, level=how.level, seed=how.seed)
    emit(answer, as_json=as_json, text=bts_text)


@measuring
def matrix(
    runs: Runs,
    how: Measuring,
    output: MatrixOutput = None,
    params: Annotated[
        str | None, typer.Option(help="Model size to write and show; the largest if not given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """The matrix of every pair in a folder of runs whose languages were also run alone."""
    from atlas_scaling.cli.transfer_text import matrix_text
    from atlas_scaling.transfer.matrix_files import check_matrix_file, save_matrix
    from atlas_scaling.transfer.pairs import matrices_from_runs
    from atlas_scaling.units import parse_count

    if output is not None:
        check_matrix_file(output)
    with share_done("scoring pairs") as tell:
        answer = matrices_from_runs(
            rows_of(runs),
            at=how.d,
            unit=how.counted_in,
            allow_lr_mismatch=how.allow_lr_mismatch,
            noise=how.noise,
            seed_sd=how.seed_sd,
            level=how.level,
            seed=how.seed,
            name=", ".join(map(str, runs)),
            tell=tell,
        )
    chosen = answer.of_size(None if params is None else parse_count(params, name="--params"))
    if output is not None:
        save_matrix(chosen.matrix(answer.source), output)
    emit(answer, as_json=as_json, text=lambda given: matrix_text(given, chosen, output))


def fas(
    runs: Runs,
    tokens: Annotated[
        str | None, typer.Option(help="How far to go; the shortest continued run if not given.")
    ] = None,
    level: Level = 0.9,
    as_json: JsonFlag = False,
) -> None:
    """What continuing a multilingual run on one language does to the others."""
    from atlas_scaling.cli.transfer_text import fas_text
    from atlas_scaling.transfer.fas import fas_from_runs
    from atlas_scaling.units import parse_count

    answer = fas_from_runs(
        rows_of(runs),
        d_max=None if tokens is None else parse_count(tokens, name="--tokens"),
        level=level,
        name=", ".join(map(str, runs)),
    )
    emit(answer, as_json=as_json, text=fas_text)


def weights(
    runs: Runs,
    target: Annotated[str, typer.Option(metavar="LANG", help="The language that is fitted.")],
    matrix: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Scores to hold the fit against; measured on the runs if not given.",
        ),
    ] = None,
    prior: Annotated[
        bool,
        typer.Option("--prior", help="Fit again with the scores' weights as start and prior."),
    ] = False,
    at: At = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Refits for intervals.")] = 200,
    level: Level = 0.9,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Save the (last) fit here: JSON, .npz beside."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Transfer weights of an ATLAS fit beside those that scores of the same runs imply."""
    from atlas_scaling.cli.transfer_text import weights_text
    from atlas_scaling.fitting.saved import check_fit_file
    from atlas_scaling.transfer.weights import weights_from_runs
    from atlas_scaling.units import parse_count

    if output is not None:
        check_fit_file(output)
    with share_done("scoring and fitting") as tell:
        answer = weights_from_runs(
            rows_of(runs),
            target,
            scores=None if matrix is None else chosen_matrix(matrix),
            prior=prior,
            at=None if at is None else parse_count(at, name="--at"),
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            name=", ".join(map(str, runs)),
            tell=tell,
        )
    if output is not None:
        answer.fit.save(output)
    emit(answer, as_json=as_json, text=lambda given: weights_text(given, output))


def merge(
    matrices: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Matrices; published and published-30 too."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Write the matrix as .parquet or .csv.")
    ],
    allow_different_d: Annotated[
        bool,
        typer.Option(
            "--allow-different-d", help="Merge though d or the model size differ, and say so."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """One matrix of several: of each pair the measured score before an estimate."""
    from atlas_scaling.cli.transfer_text import merge_text
    from atlas_scaling.transfer.matrix_files import save_matrix
    from atlas_scaling.transfer.merging import merge as merge_matrices
    from atlas_scaling.transfer.merging import merged_answer

    first, *others = map(chosen_matrix, matrices)
    merged = merge_matrices(first, *others, allow_different_d=allow_different_d)
    save_matrix(merged, output)
    emit(merged_answer(merged), as_json=as_json, text=lambda done: merge_text(done, output))


class ScoreForm(StrEnum):
    """What else is called a transfer score."""

    RATIO = "ratio"
    GAIN = "gain"
    TAU = "tau"


def convert(
    value: Annotated[float, typer.Argument(help="The number.")],
    form: Annotated[
        ScoreForm,
        typer.Option(
            "--from",
            help="ratio: d/sigma; gain: 1 - L_together/L_alone in bits per byte; tau: a weight.",
        ),
    ],
    share: Annotated[float, typer.Option(help="Of the target in the run on both.")] = 0.5,
    slope: Annotated[
        float | None,
        typer.Option(help="Of a gain: exponent of the monolingual loss curve, L = E + B d^-slope."),
    ] = None,
    irreducible: Annotated[
        float, typer.Option(help="Of a gain: E as a share of the monolingual loss.")
    ] = 0.0,
    equal_total: Annotated[
        bool,
        typer.Option(
            "--equal-total",
            help="Of a gain: compared at equal tokens in all, not equal tokens of the target.",
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """A ratio, a relative gain or a transfer weight as a BTS."""
    from atlas_scaling.cli.transfer_text import converted_text
    from atlas_scaling.errors import InputError
    from atlas_scaling.transfer import scores

    if not math.isfinite(value):
        raise InputError("this is no finite number", value=value, where=form.value)
    if form is not ScoreForm.GAIN and (slope is not None or irreducible or equal_total):
        raise InputError(
            "slope, irreducible share and equal totals are of a gain",
            value=form.value,
            where="--from",
            remedy="leave them out, or --from gain",
        )
    if form is ScoreForm.RATIO and value < 0:
        raise InputError("tokens over tokens are not below zero", value=value, where=form.value)
    if form is ScoreForm.RATIO:
        bts = scores.bts_from_ratio(value, share=share)
    elif form is ScoreForm.TAU:
        bts = scores.bts_from_tau(value)
    elif slope is None:
        raise InputError(
            "a gain is a difference of losses: the slope of the loss curve says what it is worth",
            value=value,
            where="--slope",
            remedy="fit a law to the monolingual run and give its beta",
        )
    else:
        bts = scores.bts_from_relative_gain(
            value,
            slope=slope,
            irreducible=irreducible,
            share=share,
            at="equal_total_tokens" if equal_total else "equal_target_tokens",
        )
    emit(scores.converted(bts, form.value, value), as_json=as_json, text=converted_text)
