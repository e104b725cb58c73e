"""What an engine is told: the ``engine`` section of a YAML file, or ``--engine`` and ``--option``.

The section may stand in a study's own file. It is kept apart from the study: where runs are carried
out is no part of what they are, and may change from one call to the next. A study's folder notes
the last in ``engine.yaml``, so that ``status``, ``resume`` and ``cancel`` know whom to ask.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from atlas_scaling.config import check_config, dump_config, load_config, parse_scalar
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.record import Frozen
from atlas_scaling.runs.writer import replace_whole
from atlas_scaling.study.settings import Hardware
from atlas_scaling.study.spec import StudySpec

ENGINE_NAME: Final = "engine.yaml"

_UNITS: Final = {"m": 1, "h": 60, "d": 24 * 60}
_SHORT: Final = re.compile(r"(\d+)\s*([mhd])", re.I)
_SLURM: Final = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def minutes(value: Any) -> Any:
    """Whole minutes from ``90``, ``90m``, ``4h``, ``2d``, or SLURM's ``4:00:00``, ``2-12:00``.

    >>> [minutes(text) for text in ("90", "4h", "04:30:00", "2-12", "1-00:30", "10:30")]
    [90, 240, 270, 3600, 1470, 11]
    """
    text = str(value).strip()
    if match := _SHORT.fullmatch(text):
        return int(match[1]) * _UNITS[match[2].lower()]
    match = _SLURM.fullmatch(text)
    if match is None:
        raise ValueError("write a time like 90m, 4h, 2d, 04:00:00 or 2-12:00:00")
    days, *parts = match.groups()
    given = [int(part) for part in parts if part is not None]
    if days is not None:  # days-hours:minutes:seconds
        hours, mins, seconds = (*given, 0, 0)[:3]
    elif len(given) == 3:
        hours, mins, seconds = given
    else:  # minutes:seconds
        hours, mins, seconds = 0, *(*given, 0)[:2]
    return int(days or 0) * 24 * 60 + hours * 60 + mins + (seconds > 0)


Minutes = Annotated[int, BeforeValidator(minutes), Field(gt=0)]


class Nodes(NamedTuple):
    """Over what the processes of a run are spread: machines of a SLURM job, each with as many.

    Attributes:
        n: how many; the process that is given the run is on the first of them.
        python: command that starts Python on the others.
    """

    n: int = 1
    python: str = sys.executable


class OnHardware(Frozen):
    """What all engines are told: what each run is carried out on, and how (docs/training.md)."""

    hardware: Hardware = Hardware()

    def hardware_of(self, size: str) -> Hardware:
        """What runs of a model size are carried out on."""
        return self.hardware

    def nodes_of(self, size: str) -> Nodes:
        """Over what the processes of a run of a model size are spread."""
        return Nodes()


class LocalOptions(OnHardware):
    """This machine.

    Attributes:
        workers: runs at a time; by default one an accelerator, or one a usable core.
    """

    kind: Literal["local"] = "local"
    workers: int | None = Field(default=None, gt=0)


class SlurmResources(OnHardware):
    """What one job asks SLURM for; ``sbatch`` explains the names.

    Attributes:
        partition, account, qos, constraint: passed on as they are.
        time: limit of one job. A run that needs longer is requeued and goes on.
        nodes: of one job. With several, it has one run at a time, whose ``processes`` are spread
            evenly over them.
        cpus: of each node, ``--cpus-per-task``.
        gpus: of each node, ``--gpus-per-node``.
        mem: of each node, such as ``16G``.
        workers: runs at a time in one job; by default one a GPU, or one a CPU without GPUs.
        runs_per_job: small runs are packed into one job, which works through them.
        extra: any other option of ``sbatch`` by its long name, such as ``reservation: atlas``.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: Minutes = 24 * 60
    nodes: int = Field(default=1, gt=0)
    cpus: int = Field(default=1, gt=0)
    gpus: int = Field(default=0, ge=0)
    mem: str | None = None
    workers: int | None = Field(default=None, gt=0)
    runs_per_job: int = Field(default=1, gt=0)
    extra: dict[str, str | int | bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _nodes_share_a_run(self) -> SlurmResources:
        processes, each = self.hardware.processes, self.gpus or self.cpus
        if processes % self.nodes:
            raise ValueError(
                f"processes: {processes} cannot be spread evenly over {self.nodes} nodes; "
                f"one a {'gpu' if self.gpus else 'cpu'} of theirs is "
                f"hardware={{processes: {self.nodes * each}}}"
            )
        if self.nodes > 1 and 0 < self.gpus < processes // self.nodes:
            raise ValueError(
                f"{processes} processes over {self.nodes} nodes are {processes // self.nodes} on "
                f"each, which has {self.gpus} gpus"
            )
        if self.nodes > 1 and (self.workers or 1) > 1:
            raise ValueError(
                f"a job of {self.nodes} nodes has one run at a time, not workers={self.workers}"
            )
        return self

    @property
    def processes_a_node(self) -> int:
        """Of one run."""
        return self.hardware.processes // self.nodes


class SlurmOptions(SlurmResources):
    """A SLURM cluster, through submitit.

    Attributes:
        sizes: other resources for runs of some model sizes.
        max_jobs: jobs of one array that may run at once.
        signal_seconds: before the time limit, when runs write a checkpoint and are requeued.
        max_requeues: of one job; a run that cannot end in so many time limits is given up.
        setup: shell lines before the program, such as ``module load cuda``.
        python: command that starts Python on a node, such as ``apptainer exec atlas.sif python``.
    """

    kind: Literal["slurm"] = "slurm"
    sizes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    max_jobs: int = Field(default=256, gt=0)
    signal_seconds: int = Field(default=120, gt=0)
    max_requeues: int = Field(default=100, ge=0)
    setup: tuple[str, ...] = ()
    python: str | None = None

    @model_validator(mode="after")
    def _sizes_are_resources(self) -> SlurmOptions:
        for size, given in self.sizes.items():
            try:
                self.resources_of(size)
            except InputError as error:
                raise InputError(
                    f"sizes.{size}: {error.problem}", value=given, remedy=error.remedy
                ) from None
        shortest = min([self.time, *(self.resources_of(size).time for size in self.sizes)])
        if self.signal_seconds >= shortest * 60:
            raise ValueError(
                f"jobs of {shortest} min would be told to end at once: signal_seconds, "
                f"{self.signal_seconds}, must be less than the time limit"
            )
        return self

    def resources_of(self, size: str) -> SlurmResources:
        """What a job with runs of ``size`` asks for."""
        shared = {name: getattr(self, name) for name in SlurmResources.model_fields}
        given = self.sizes.get(size, {})
        return check_config({**shared, **given}, SlurmResources, name="sizes")

    def hardware_of(self, size: str) -> Hardware:
        """What runs of a model size are carried out on."""
        return self.resources_of(size).hardware

    def nodes_of(self, size: str) -> Nodes:
        """Over what the processes of a run of a model size are spread."""
        return Nodes(self.resources_of(size).nodes, self.python or sys.executable)


def refuse_unknown_sizes(options: OnHardware, spec: StudySpec) -> None:
    """Options for a model size that the study lacks would be passed over in silence.

    Raises:
        InputError: there are some.
    """
    for size in options.sizes if isinstance(options, SlurmOptions) else ():
        if size not in spec.sizes:
            raise InputError(
                f"the study {spec.name} has no size {size!r}",
                value=size,
                where="engine.sizes",
                remedy=f"its sizes are {', '.join(spec.sizes)}",
            )


class RayOptions(OnHardware):
    """A Ray cluster.

    Attributes:
        address: of a cluster that is there (``auto``, ``HOST:6379``, ``ray://HOST:10001``); without
            one, Ray is started on this machine and stopped at the end.
        workers: runs at a time where Ray is started here; by default one an accelerator or core.
        cpus, gpus: of one run.
        resources: custom resources of one run, by Ray's names for them.
        retries: how often a run is begun again whose process was killed.
    """

    kind: Literal["ray"] = "ray"
    address: str | None = None
    workers: int | None = Field(default=None, gt=0)
    cpus: float = Field(default=1.0, gt=0)
    gpus: float = Field(default=0.0, ge=0)
    resources: dict[str, float] = Field(default_factory=dict)
    retries: int = Field(default=2, ge=0)


AnyOptions: TypeAlias = Annotated[
    LocalOptions | SlurmOptions | RayOptions, Field(discriminator="kind")
]
KINDS: Final[dict[str, type[LocalOptions | SlurmOptions | RayOptions]]] = {
    "local": LocalOptions,
    "slurm": SlurmOptions,
    "ray": RayOptions,
}


class EngineFile(Frozen):
    """A YAML file with nothing but an ``engine`` section."""

    engine: AnyOptions


class StudyFile(StudySpec):
    """A study's YAML file, which may say where to carry it out."""

    engine: AnyOptions | None = None


def load_study_file(path: Path) -> tuple[StudySpec, AnyOptions | None]:
    """A study, and the ``engine`` section beside it.

    Raises:
        InputError: with file, line, value and remedy.
    """
    file = load_config(path, StudyFile)
    fields = {name: getattr(file, name) for name in StudySpec.model_fields}
    return StudySpec.model_construct(**fields), file.engine


def choose_options(
    chosen: str | None, given: Sequence[str], section: AnyOptions | None
) -> AnyOptions:
    """Options from a command line over those of a file.

    Args:
        chosen: ``local``, ``slurm``, ``ray``, a YAML file with an ``engine`` section, or None.
        given: each ``KEY=VALUE``, the value in YAML's notation.
        section: of the study's file; it counts where ``chosen`` is None or of the same kind.

    Raises:
        InputError: there is no such engine or option, or its value will not do.
    """
    if chosen is not None and Path(chosen).suffix in {".yaml", ".yml"}:
        section, chosen = load_config(Path(chosen), EngineFile).engine, None
    kind = chosen or (section.kind if section is not None else "local")
    if kind not in KINDS:
        raise unknown(
            "there is no such engine",
            kind,
            KINDS,
            where="--engine",
            otherwise=f"one of {', '.join(KINDS)}, or a YAML file with an engine: section",
        )
    same = section is not None and section.kind == kind
    start = section.model_dump(mode="json") if section is not None and same else {}
    values = dict(_key_and_value(one) for one in given)
    return check_config({**start, **values}, KINDS[kind], name=f"--engine {kind} --option")


def _key_and_value(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(
            "an option of an engine is written KEY=VALUE",
            value=text,
            where="--option",
            remedy="for example --option partition=gpu --option time=4h",
        )
    return key.strip(), parse_scalar(value.strip(), name=f"--option {key.strip()}")


def note_options(study_dir: Path, options: AnyOptions) -> None:
    """Note in a study's folder what carries it out."""
    text = dump_config(EngineFile(engine=options))
    replace_whole(study_dir / ENGINE_NAME, text.encode())


def noted_options(study_dir: Path) -> AnyOptions:
    """What last carried out the study in a folder."""
    path = study_dir / ENGINE_NAME
    return load_config(path, EngineFile).engine if path.exists() else LocalOptions()
