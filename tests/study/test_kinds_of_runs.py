"""Every kind of run of a real, tiny study, carried out: what its record and evaluations say."""

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("sentencepiece", reason="training needs the extra [train]")

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import RunState
from atlas_scaling.runs.store import read_run
from atlas_scaling.study.conduct import prepare_inputs
from atlas_scaling.study.execute import execute_run
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.spec import load_study
from tests.study.small_study import write_small_study

GROUPS = """
groups:
  - {kind: monolingual, vocabulary: own, languages: [swe], sizes: [s], tokens: 4k}
  - {kind: unimax, max_epochs: 0.05, sizes: [s], tokens: 6k}
  - kind: mixture
    name: late
    stages:
      - {fraction: 0.75, shares: {swe: 1}}
      - {fraction: 0.25, sampling: {rule: uniform}}
    sizes: [s]
    tokens: 8192
  - {kind: continued, languages: [spa], base: unimax, sizes: [s], tokens: 4k}
"""


class Silent:
    def say(self, message: str) -> None:
        pass


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    path = write_small_study(folder)
    text = (
        path.read_text()
        .split("groups:")[0]
        .replace("first_evaluation: 1280", "first_evaluation: 640")
    )
    (folder / "text" / "spa_Latn.txt").write_text(
        "".join((folder / "text" / "spa_Latn.txt").read_text().splitlines(keepends=True)[:300])
    )
    path.write_text(text + GROUPS)
    opened = StudyFolder.begin(folder / "out", load_study(path))
    opened.write_inputs(prepare_inputs(opened.spec, cache=folder / "cache", display=Silent()))
    for run in opened.design.runs:
        status = execute_run(
            opened, run.run_id, on_progress=lambda *_: None, should_stop=lambda: False
        )
        assert status.state is RunState.DONE, status.reason
    return opened


def run(study, run_id):
    return read_run(study.run_dir(run_id))


def test_a_run_with_its_own_vocabulary_is_evaluated_on_its_own_language(study):
    own = run(study, "mono-own-swe_Latn-s-seed0")
    assert own.record.tokenizer.name == "unigram-320-swe"
    assert {row.language for row in own.rows} == {"swe_Latn"}
    assert own.record.group == "monolingual-own-vocabulary"


def test_a_mixture_by_rule_is_written_out_once_the_text_is_counted(study):
    record = run(study, "unimax-s-seed0").record
    unique = record.unique_tokens
    assert unique["swe_Latn"] > 3 * unique["spa_Latn"]
    # a twentieth of an epoch caps the smaller language, or both where that is less than the run
    room = 0.05 * sum(unique.values()) >= 6000
    shares = unique["spa_Latn"] * 0.05 / 6000 if room else unique["spa_Latn"] / sum(unique.values())
    assert record.mixture["spa_Latn"] == pytest.approx(shares)
    assert record.mixture["spa_Latn"] < 0.5
    last = run(study, "unimax-s-seed0").rows[-1]
    shares = {code: n / last.tokens for code, n in last.tokens_by_language.items()}
    assert shares == pytest.approx(record.mixture, abs=32 / last.tokens + 1e-9)


def test_stages_stand_in_the_record_and_are_kept_to_the_sequence(study):
    late = run(study, "mix-late-s-seed0")
    assert [stage.fraction for stage in late.record.stages] == [0.75, 0.25]
    assert late.record.mixture == pytest.approx({"swe_Latn": 0.875, "spa_Latn": 0.125})
    for row in late.rows:
        spanish = row.tokens_by_language.get("spa_Latn", 0)
        if row.tokens <= 0.75 * 8192:
            assert spanish == 0
        elif row.tokens == 8192:
            assert spanish == 1024


def test_a_continued_run_starts_from_the_unimax_run(study):
    after = run(study, "continued-spa_Latn-from-unimax-s-seed0")
    assert after.record.base_run == "unimax-s-seed0"
    fresh = run(study, "mix-late-s-seed0")
    first = {one.record.run_id: one.rows[0].loss for one in (after, fresh)}
    assert first[after.record.run_id] < first[fresh.record.run_id]


def test_text_shorter_than_a_sequence_is_refused_before_any_run(tmp_path):
    path = write_small_study(tmp_path)
    (tmp_path / "text" / "spa_Latn.txt").write_text("ba ke lo mi\nnu ra so ti\n")
    spec = load_study(path)
    with pytest.raises(InputError, match="text of spa_Latn is shorter than one sequence") as caught:
        prepare_inputs(spec, cache=tmp_path / "cache", display=Silent())
    assert "shorten sequence_length" in caught.value.remedy
