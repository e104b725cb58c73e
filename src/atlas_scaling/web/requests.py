"""What the API is asked: typed, bounded, unknown keys refused.

Counts may be written as on the command line: ``2e9``, ``"2B"``, ``"400M"``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from atlas_scaling.errors import InputError
from atlas_scaling.planning.export import ExportFormat
from atlas_scaling.runs.importers.column_map import ColumnMap
from atlas_scaling.units import LossUnit, parse_count

MOST_LANGUAGES: Final = 200
MOST_LAWS: Final = 30
MOST_REFITS: Final = 2000
MOST_SIZES: Final = 100


def _count(value: Any) -> float:
    try:
        return parse_count(value)
    except (InputError, TypeError, OverflowError) as error:
        raise ValueError(getattr(error, "problem", str(error))) from None


Count = Annotated[
    float,
    BeforeValidator(_count),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
            "examples": [2e9, "2B"],
        }
    ),
]
"""A positive number, or one as people write it."""

Code = Annotated[str, Field(min_length=1, max_length=40, examples=["swe_Latn"])]
Name = Annotated[str, Field(min_length=1, max_length=120)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0.5, le=0.999)]
Codes = Annotated[list[Code], Field(max_length=MOST_LANGUAGES)]


class Question(BaseModel):
    """Base of all requests."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AllocateQuestion(Question):
    """``atlas plan allocate``: a budget into model size, tokens and mixture.

    ``flops`` alone, or ``flops`` with ``n_params``, ``sizes`` or ``tokens``, or both ``n_params``
    and ``tokens``. ``fits`` and ``matrix`` are ids of this session. ``draws: false`` leaves the
    intervals out, which is faster.
    """

    targets: Annotated[list[Code], Field(min_length=1, max_length=MOST_LANGUAGES)]
    flops: Count | None = None
    n_params: Count | None = None
    sizes: Annotated[list[Count], Field(max_length=MOST_SIZES)] | None = None
    tokens: Count | None = None
    served_tokens: Count | None = None
    sources: Codes | None = None
    unique: dict[Code, Count] = Field(default_factory=dict)
    objective: Literal["mean", "worst", "regret"] = "mean"
    weights: dict[Code, Weight] = Field(default_factory=dict)
    floors: dict[Code, Share] = Field(default_factory=dict)
    caps: dict[Code, Share] = Field(default_factory=dict)
    max_epochs: Count | None = None
    fits: Annotated[list[Name], Field(max_length=MOST_LANGUAGES)] = Field(default_factory=list)
    matrix: Name | None = None
    like: dict[Code, Code] = Field(default_factory=dict)
    interference: bool = False
    draws: bool = True


class ExpandQuestion(Question):
    """``atlas plan expand``: from K to K' languages at the same loss."""

    from_languages: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    to_languages: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    from_mixture: dict[Code, Share] | None = None
    to_mixture: dict[Code, Share] | None = None
    n_params: Count | None = None
    tokens: Count | None = None
    capacity_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    fit: Name | None = None


class StartQuestion(Question):
    """``atlas plan start``: from scratch, or from a multilingual checkpoint?

    ``scratch`` and ``continued`` are run ids of this session; of several the runs differ by seed.
    """

    language: Code
    tokens: Count
    n_params: Count | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    unique_tokens: Count | None = None
    scratch: Name | None = None
    continued: Name | None = None
    crossovers: Annotated[dict[str, Count], Field(max_length=50)] = Field(
        default_factory=dict, description="Model size to tokens of one's own crossovers."
    )


class ScheduleQuestion(Question):
    """``atlas plan schedule``: a multilingual stage and then one with more of the target.

    ``fit`` is of the law ``atlas_two_stage``; without one the answer is which runs are missing.
    """

    flops: Count
    fit: Name | None = None
    target: Code | None = None
    sources: Codes = Field(default_factory=list)
    n_params: Count | None = None
    unique: dict[Code, Count] = Field(default_factory=dict)


class CostQuestion(Question):
    """``atlas plan cost``: accelerator-hours, wall-clock, energy and money."""

    n_params: Count | None = None
    tokens: Count | None = None
    flops: Count | None = None
    accelerators: Annotated[list[Name], Field(min_length=1, max_length=20)] | None = None
    devices: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    mfu: Annotated[float, Field(gt=0, le=1)] | None = None
    tokens_per_second: Count | None = None
    overhead: Annotated[float, Field(ge=0, le=100)] = 0.0
    pue: Annotated[float, Field(ge=1, le=10)] | None = None
    price_per_hour: Count | None = None
    currency: Annotated[str, Field(min_length=1, max_length=8)] = "USD"


class NextQuestion(Question):
    """``atlas plan next``: which runs would narrow a decision most for an allowance.

    ``decide`` is ``loss`` (of ``n_params`` and ``tokens``), ``size`` (for ``budget``), or the name
    of a parameter.
    """

    fit: Name
    allowance: Count
    decide: Name = "loss"
    n_params: Count | None = None
    tokens: Count | None = None
    budget: Count | None = None
    mixture: dict[Code, Share] | None = None
    sizes: Annotated[list[Count], Field(min_length=1, max_length=MOST_SIZES)] | None = None
    unique: dict[Code, Count] = Field(default_factory=dict)
    all_parameters: bool = False
    most_runs: Annotated[int, Field(ge=1, le=100)] = 8


class ExportQuestion(Question):
    """``atlas plan export``: a mixture in the form that a trainer reads."""

    mixture: Annotated[dict[Code, Share], Field(min_length=1, max_length=MOST_LANGUAGES)]
    to: ExportFormat
    tokens: Count | None = None
    n_params: Count | None = None
    epochs: dict[Code, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    paths: Annotated[str, Field(max_length=400)] | None = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")] = "plan"


class LawChoice(Question):
    """A law as ``atlas fit`` names it."""

    law: Name
    variant: Name | None = None
    sources: Codes | None = None
    ties: Annotated[
        list[Annotated[list[Name], Field(min_length=2, max_length=4)]], Field(max_length=4)
    ] = Field(default_factory=list)
    fixed: dict[Name, Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=dict)


class FitTask(Question):
    """``atlas fit`` for several laws and languages, one after the other."""

    kind: Literal["fit"]
    data: Name
    laws: Annotated[list[LawChoice], Field(min_length=1, max_length=MOST_LAWS)]
    targets: Codes = Field(default_factory=list, description="None: the only one there is.")
    shared: Annotated[list[Name], Field(max_length=12)] = Field(
        default_factory=list, description="Parameters that are one number for all targets."
    )
    estimator: Literal["huber", "lad", "lsq"] = "huber"
    delta: Count | None = None
    bootstrap: Annotated[int, Field(ge=0, le=MOST_REFITS)] = 200
    resample: Literal["run", "pairs", "wild"] = "run"
    level: Level = 0.9
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    unit: LossUnit = LossUnit.NATS_PER_TOKEN
    lr_state: Name | None = None
    continued: bool = False


class CompareTask(Question):
    """``atlas compare``: laws side by side on held-out data."""

    kind: Literal["compare"]
    data: Name
    laws: Annotated[list[LawChoice], Field(max_length=MOST_LAWS)] = Field(
        default_factory=list, description="None: all laws and every variant of ATLAS."
    )
    targets: Codes = Field(default_factory=list, description="None: all that the data has.")
    estimator: Literal["huber", "lad", "lsq"] = "huber"
    delta: Count | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    unit: LossUnit = LossUnit.NATS_PER_TOKEN
    lr_state: Name | None = None
    continued: bool = False


class ImportTask(Question):
    """``atlas runs import`` on an upload; the map is the one that lies in ``.map.yaml`` files."""

    kind: Literal["import"]
    upload: Name
    map: ColumnMap = Field(default_factory=ColumnMap)


class PreviewTask(Question):
    """The columns and first rows of an upload."""

    kind: Literal["preview"]
    upload: Name


class MatrixTask(Question):
    """``atlas transfer matrix`` on the runs of this session."""

    kind: Literal["matrix"]
    at: Count | None = None
    allow_lr_mismatch: bool = False
    level: Level = 0.9
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class CompleteTask(Question):
    """``atlas transfer complete``: estimates of the pairs that nobody measured."""

    kind: Literal["complete"]
    matrix: Name
    languages: Codes = Field(default_factory=list)
    level: Level = 0.9
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class AnalyzeTask(Question):
    """``atlas transfer analyze``: what a matrix says of script, family and symmetry."""

    kind: Literal["analyze"]
    matrix: Name
    measured_only: bool = False
    level: Level = 0.9
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


Task = Annotated[
    FitTask | CompareTask | ImportTask | PreviewTask | MatrixTask | CompleteTask | AnalyzeTask,
    Field(discriminator="kind"),
]


class SaveQuestion(Question):
    """Under which name a fit or a matrix is kept; no folders, no ending."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
