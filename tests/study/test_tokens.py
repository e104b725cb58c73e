import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.study.corpus import FolderSpec, build_corpus
from atlas_scaling.study.tokenizer import TokenizerSpec, train_tokenizer
from atlas_scaling.study.tokens import TokenStore, pack
from tests.study.tiny_texts import write_texts


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    base = tmp_path_factory.mktemp("tokens")
    spec = FolderSpec(source="folder", path=write_texts(base / "text", n=300, n_eval=20))
    corpus = build_corpus(spec, ["swe_Latn", "rus_Cyrl"], cache=base / "cache")
    return corpus, train_tokenizer(corpus, TokenizerSpec(vocab_size=400), cache=base / "cache")


@pytest.fixture(scope="module")
def store(inputs, tmp_path_factory):
    return pack(*inputs, cache=tmp_path_factory.mktemp("cache"))


def lines_of(packed, eos_id):
    ends = np.flatnonzero(packed.tokens == eos_id)
    assert ends[-1] == packed.n_tokens - 1
    return [piece[piece != eos_id].tolist() for piece in np.split(packed.tokens, ends + 1)[:-1]]


@pytest.mark.parametrize("split", ["train", "evaluation"])
@pytest.mark.parametrize("language", ["swe_Latn", "rus_Cyrl"])
def test_the_lines_of_the_text_come_back_from_the_ids(inputs, store, split, language):
    corpus, tokenizer = inputs
    lines = list((corpus.train_lines if split == "train" else corpus.eval_lines)(language))
    packed = getattr(store, split)(language)
    assert [tokenizer.decode(ids) for ids in lines_of(packed, store.eos_id)] == lines
    assert packed.n_bytes == len(("\n".join(lines) + "\n").encode())
    assert packed.language == language


def test_ids_are_mapped_read_only_in_two_bytes_each(store):
    tokens = store.train("swe_Latn").tokens
    assert isinstance(tokens, np.memmap)
    assert tokens.dtype == np.uint16
    assert not tokens.flags.writeable


def test_unique_tokens_are_all_training_tokens(store):
    assert store.unique_tokens("swe_Latn") == store.train("swe_Latn").n_tokens


def test_a_store_says_what_it_was_packed_from(inputs, store):
    corpus, tokenizer = inputs
    assert store.corpus_sha256 == corpus.sha256
    assert store.tokenizer == tokenizer.info
    assert store.languages == ("rus_Cyrl", "swe_Latn")


def test_another_process_opens_an_equal_store(store):
    assert TokenStore.open(store.path) == store


def test_packed_tokens_are_not_packed_again(inputs, tmp_path):
    said = []
    first = pack(*inputs, cache=tmp_path, say=said.append)
    n_lines = len(said)
    assert pack(*inputs, cache=tmp_path, say=said.append) == first
    assert len(said) == n_lines


def test_a_torn_file_is_noticed_and_packed_again(inputs, tmp_path):
    first = pack(*inputs, cache=tmp_path)
    file = first.path / "train" / "swe_Latn.bin"
    original = file.read_bytes()
    file.write_bytes(original[:-2])
    with pytest.raises(InputError, match="damaged") as caught:
        TokenStore.open(first.path)
    assert caught.value.where == str(file)
    pack(*inputs, cache=tmp_path)
    assert file.read_bytes() == original


def test_opening_what_is_no_store_says_so(tmp_path):
    with pytest.raises(InputError, match="no packed tokens") as caught:
        TokenStore.open(tmp_path)
    assert caught.value.value == str(tmp_path)


def test_a_language_that_was_not_packed_is_named(store):
    with pytest.raises(InputError, match="no such language") as caught:
        store.evaluation("fin_Latn")
    assert caught.value.value == "fin_Latn"
    assert caught.value.where == str(store.path)


def test_a_vocabulary_above_two_bytes_is_packed_in_four(inputs, monkeypatch, tmp_path):
    corpus, tokenizer = inputs
    monkeypatch.setattr(type(tokenizer), "vocab_size", 70_000)
    store = pack(corpus, tokenizer, cache=tmp_path)
    assert store.train("swe_Latn").tokens.dtype == np.uint32
    assert store.train("swe_Latn").n_tokens == store.unique_tokens("swe_Latn")


def test_an_interruption_leaves_no_store(inputs, monkeypatch, tmp_path):
    def interrupted(_self, _lines):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(inputs[1]), "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack(*inputs, cache=tmp_path)
    assert list((tmp_path / "tokens").iterdir()) == []
