"""What ``atlas transfer`` takes from a study's text: content per token, words, subwords."""

import json
from pathlib import Path

import pytest

from atlas_scaling.cli.transfer import _text_features
from atlas_scaling.cli.transfer_options import text_unit
from atlas_scaling.config import load_config
from atlas_scaling.errors import InputError
from atlas_scaling.study.corpus import FolderSpec, build_corpus
from atlas_scaling.study.folder import StudyFolder, StudyInputs
from atlas_scaling.study.spec import StudySpec
from atlas_scaling.study.tokenizer import TokenizerSpec, train_tokenizer
from atlas_scaling.study.tokens import TokenStore, pack
from tests.study.tiny_texts import write_texts

N_EVAL = 20

SPEC = """
name: two
languages: [swe_Latn, rus_Cyrl]
corpus: {{source: folder, path: {text}, eval_lines: 20}}
tokenizer: {{vocab_size: 400}}
sequence_length: 32
sizes:
  s: {{n_layers: 1, d_model: 32, n_heads: 2, lr: 0.01}}
training: {{batch_size: 2, warmup_tokens: 640}}
groups:
  - {{kind: monolingual, sizes: [s], tokens: 10k}}
"""


def write_study(base: Path, *, n_eval: int) -> Path:
    text = write_texts(base / "text", n=300, n_eval=n_eval)
    spec_path = base / "two.yaml"
    spec_path.write_text(SPEC.format(text=text))
    spec = FolderSpec(source="folder", path=text, eval_lines=N_EVAL)
    corpus = build_corpus(spec, ["swe_Latn", "rus_Cyrl"], cache=base / "cache")
    tokenizer = train_tokenizer(corpus, TokenizerSpec(vocab_size=400), cache=base / "cache")
    store = pack(corpus, tokenizer, cache=base / "cache")
    folder = StudyFolder.begin(base / "study", load_config(spec_path, StudySpec))
    folder.write_inputs(
        StudyInputs(
            corpus_dir=str(corpus.path),
            corpus_sha256=corpus.sha256,
            tokens_dir=str(store.path),
            tokenizer_sha256=tokenizer.info.sha256,
        )
    )
    return base / "study"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), n_eval=N_EVAL)


def test_content_is_a_line_of_the_parallel_text(study: Path):
    unit = text_unit("content", None, study)
    store = TokenStore.open(Path(json.loads((study / "inputs.json").read_text())["tokens_dir"]))
    assert unit.name == "content"
    assert unit.per_token is not None
    for code in ("swe_Latn", "rus_Cyrl"):
        # As many tokens as the evaluation text has are N_EVAL lines of content.
        n_tokens = store.evaluation(code).n_tokens
        assert unit.per_token[code] * n_tokens == pytest.approx(N_EVAL)


def test_text_that_is_not_parallel_has_no_common_content(tmp_path: Path):
    with pytest.raises(InputError, match="does not say the same") as caught:
        text_unit("content", None, write_study(tmp_path, n_eval=0))
    assert "count text in bytes" in str(caught.value)


def test_a_study_tells_of_words_and_subwords(study: Path):
    words, subwords = _text_features(study, None)
    assert words.names == ("shared words",)
    assert subwords.names == ("shared subwords", "token length ratio")
    assert set(words.codes) == set(subwords.codes) == {"swe_Latn", "rus_Cyrl"}
    (corpus_words,) = _text_features(
        None, Path(json.loads((study / "inputs.json").read_text())["corpus_dir"])
    )
    assert corpus_words.values.tolist() == words.values.tolist()


def test_a_study_and_a_corpus_are_not_taken_together(study: Path):
    with pytest.raises(InputError, match="not both"):
        _text_features(study, study)


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no study began"):
        text_unit("content", None, tmp_path)
