"""The folder of a study, which explains itself to whoever opens it.

::

    STUDY/study.yaml     the spec as it was when the study began
    STUDY/inputs.json    corpus and tokens it trains on, with their hashes
    STUDY/runs/RUN_ID/   one run directory each (runs/record.py)
    STUDY/logs/          what workers printed
    STUDY/locks/         which processes worked on the study (study/lock.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from atlas_scaling.config import dump_config, load_config
from atlas_scaling.errors import InputError, RunError
from atlas_scaling.runs.record import Frozen, RunState, RunStatus
from atlas_scaling.runs.store import SPEC_NAME, read_status
from atlas_scaling.runs.writer import replace_whole
from atlas_scaling.study.design import design_study
from atlas_scaling.study.lock import Life, Lock, last_holder
from atlas_scaling.study.planned_runs import Design, PlannedRun
from atlas_scaling.study.spec import STUDY_VOCABULARY, StudySpec
from atlas_scaling.study.tokens import TokenStore

INPUTS_NAME: Final = "inputs.json"


class StudyInputs(Frozen):
    """What a study trains on. The paths lie in the cache; the hashes say what must be there.

    ``own_tokens_dirs`` are those of languages with a vocabulary of their own; ``evaluation_text``
    says what each language's is (``corpus_store.EvaluationText``).
    """

    corpus_dir: str
    corpus_sha256: str
    tokens_dir: str
    tokenizer_sha256: str
    own_tokens_dirs: dict[str, str] = Field(default_factory=dict)
    evaluation_text: dict[str, str] = Field(default_factory=dict)

    @property
    def are_there(self) -> bool:
        """Whether all tokens are where they were put, and whole: disks for caches are purged."""
        try:
            for one in (self.tokens_dir, *self.own_tokens_dirs.values()):
                TokenStore.open(Path(one))
        except InputError:
            return False
        return True

    def tokens_of(self, vocabulary: str) -> str:
        """Where the tokens of a vocabulary are: the study's, or a language's own."""
        own = vocabulary != STUDY_VOCABULARY
        return self.own_tokens_dirs[vocabulary] if own else self.tokens_dir


@dataclass(frozen=True)
class StudyFolder:
    """A study on disk: its spec, its design and where its runs lie."""

    path: Path
    spec: StudySpec
    design: Design

    @classmethod
    def open(cls, path: Path) -> StudyFolder:
        """The study that began in ``path``.

        Raises:
            InputError: no study began there, or its spec is not readable.
        """
        if not (path / SPEC_NAME).exists():
            raise InputError(
                "no study began in this folder",
                value=str(path),
                remedy="start one with: atlas study run SPEC --output FOLDER",
            )
        spec = load_config(path / SPEC_NAME, StudySpec)
        return cls(path, spec, design_study(spec))

    @classmethod
    def begin(cls, path: Path, spec: StudySpec) -> StudyFolder:
        """Begin ``spec`` in ``path``, or go on with it if the very same study began there.

        One that ended before its text was ready leaves nothing to go on with: what was wrong with
        its spec may be mended.

        Raises:
            InputError: another study, or a changed spec, lives there.
            RunError: the folder cannot be written.
        """
        written = path / SPEC_NAME
        if written.exists() and _has_come_to_something(path):
            _refuse_changed(load_config(written, StudySpec), spec, written)
        else:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(
                    f"the study's folder cannot be written: {error.strerror}", value=str(path)
                ) from None
            replace_whole(written, dump_config(spec).encode())
        return cls(path, spec, design_study(spec))

    @property
    def runs_dir(self) -> Path:
        """Where the run directories are."""
        return self.path / "runs"

    def run_dir(self, run_id: str) -> Path:
        """The directory of one run."""
        return self.runs_dir / run_id

    def planned(self, run_id: str) -> PlannedRun:
        """The plan of one run."""
        return next(run for run in self.design.runs if run.run_id == run_id)

    def status_of(self, run_id: str) -> RunStatus | None:
        """What the run last said of itself; None if it never began."""
        return read_status(self.run_dir(run_id))

    def is_done(self, run_id: str) -> bool:
        """Whether a run has reached its end."""
        status = self.status_of(run_id)
        return status is not None and status.state is RunState.DONE

    def write_inputs(self, inputs: StudyInputs) -> None:
        """Note what the study trains on.

        Raises:
            InputError: the study began on other text.
        """
        before = self.read_inputs()
        if before is not None:
            for name in ("corpus_sha256", "tokenizer_sha256"):
                if getattr(before, name) != getattr(inputs, name):
                    raise InputError(
                        "the text under this half-done study has changed; its runs would not "
                        "compare",
                        value=f"{name} {getattr(inputs, name)}, was {getattr(before, name)}",
                        where=str(self.path / INPUTS_NAME),
                        remedy="give the new study a folder of its own (--output)",
                    )
        text = inputs.model_dump_json(indent=2) + "\n"
        replace_whole(self.path / INPUTS_NAME, text.encode())

    def read_inputs(self) -> StudyInputs | None:
        """What the study trains on, if it has come so far.

        Raises:
            RunError: the file that says so is damaged.
        """
        path = self.path / INPUTS_NAME
        if not path.exists():
            return None
        try:
            return StudyInputs.model_validate_json(path.read_bytes())
        except ValidationError:
            raise RunError(
                "the note of what this study trains on cannot be read",
                where=str(path),
                remedy="remove this file: atlas study resume writes it anew, and runs that began "
                "on other text refuse to go on",
            ) from None

    def design_on_text(self) -> Design:
        """The design with what follows from the text: mixtures by rule, epochs.

        Raises:
            InputError: the study's text has not been cut into tokens, or the tokens are gone.
        """
        inputs = self.read_inputs()
        if inputs is None:
            raise InputError(
                "the text of this study has not been cut into tokens yet",
                value=str(self.path),
                remedy="begin it: atlas study run",
            )
        return self.design.on_text(
            lambda vocabulary: TokenStore.open(Path(inputs.tokens_of(vocabulary))).unique
        )

    def lock(self, say: Callable[[str], object] = lambda _: None) -> Lock:
        """Held while a process works on the study, so that no second one trains the same runs.

        ``say`` is told of a wait for one that may be gone.

        Raises:
            InputError: another process holds it; the message says which and since when.
        """
        return Lock(self.path, what="study", say=say)


def _has_come_to_something(path: Path) -> bool:
    """Whether a study's text is ready, or somebody is at it."""
    holder = last_holder(path)
    is_held = holder is not None and holder.life is not Life.GONE
    return is_held or (path / INPUTS_NAME).exists() or (path / "runs").is_dir()


def _refuse_changed(before: StudySpec, now: StudySpec, written: Path) -> None:
    if before == now:
        return
    place, old, new = next(
        _differences(before.model_dump(mode="json"), now.model_dump(mode="json"))
    )
    raise InputError(
        f"the spec differs from the one this half-done study began with, in {place}",
        value=new,
        where=f"{written}, which has {old!r}",
        remedy="give the new study a folder of its own (--output), or put the spec back"
        + (
            ""
            if (written.parent / "runs").is_dir()
            else "; no run began: removing the folder loses none"
        ),
    )


def _differences(old: Any, new: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two specs differ, as deep as they are alike, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys: Iterable[Any] = dict.fromkeys([*old, *new])
        pairs = [(key, old.get(key), new.get(key)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(i, *both) for i, both in enumerate(zip(old, new, strict=True))]
    else:
        if old != new:
            yield place, old, new
        return
    for key, one, other in pairs:
        yield from _differences(one, other, f"{place}.{key}" if place else str(key))
