import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from atlas_scaling.errors import InputError
from atlas_scaling.study.cleaning import tidied
from atlas_scaling.study.corpus import FolderSpec, build_corpus
from atlas_scaling.study.tokenizer import (
    MAX_REPEATS,
    TokenizerSpec,
    affordable_coverage,
    byte_budgets,
    first_bytes,
    open_tokenizer,
    train_tokenizer,
)
from atlas_scaling.study.tokenizer_report import fertility_report
from atlas_scaling.study.tokens import pack
from tests.study.tiny_sources import sentence
from tests.study.tiny_texts import write_texts

SPEC = TokenizerSpec(vocab_size=400)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    base = tmp_path_factory.mktemp("tokenizer")
    spec = FolderSpec(source="folder", path=write_texts(base / "text", n=300, n_eval=20))
    return build_corpus(spec, ["swe_Latn", "rus_Cyrl"], cache=base / "cache")


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    return train_tokenizer(corpus, SPEC, cache=tmp_path_factory.mktemp("cache"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(exclude_characters="\u2581", exclude_categories=["Cs"])))
def test_decoding_gives_back_every_tidy_line_even_of_unknown_characters(tokenizer, text):
    line = tidied(text).replace("\0", "")
    (ids,) = tokenizer.encode([line])
    assert tokenizer.decode(ids) == line
    assert all(1 < i < 400 for i in ids)


def test_the_same_text_gives_the_same_vocabulary_in_any_cache(corpus, tokenizer, tmp_path):
    again = train_tokenizer(corpus, SPEC, cache=tmp_path)
    assert again.info == tokenizer.info
    assert again.info.vocab_size == 400
    assert again.info.name == "unigram-400-rus-swe"


def test_a_trained_vocabulary_is_not_trained_again(corpus, tmp_path):
    said = []
    first = train_tokenizer(corpus, SPEC, cache=tmp_path, say=said.append)
    second = train_tokenizer(corpus, SPEC, cache=tmp_path, say=said.append)
    assert second.path == first.path
    assert said == ["training a vocabulary of 400 pieces on 2 languages"]


@pytest.mark.parametrize("damage", [b"", b"other bytes"])
def test_a_damaged_vocabulary_is_noticed_and_trained_again(corpus, tmp_path, damage):
    first = train_tokenizer(corpus, SPEC, cache=tmp_path)
    (first.path / "tokenizer.model").write_bytes(damage)
    with pytest.raises(InputError, match="damaged") as caught:
        open_tokenizer(first.path)
    assert caught.value.where == str(first.path / "tokenizer.model")
    assert train_tokenizer(corpus, SPEC, cache=tmp_path).info == first.info


def test_opening_what_is_no_tokenizer_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no tokenizer") as caught:
        open_tokenizer(tmp_path)
    assert caught.value.value == str(tmp_path)


def test_more_pieces_than_the_text_can_give_are_refused_with_a_remedy(corpus, tmp_path):
    with pytest.raises(InputError, match="cannot be trained on this text") as caught:
        train_tokenizer(corpus, TokenizerSpec(vocab_size=100_000), cache=tmp_path)
    assert caught.value.value == 100_000
    assert caught.value.where == "tokenizer.vocab_size"
    assert "fewer pieces" in caught.value.remedy


def test_budgets_at_temperature_one_are_by_size_and_at_a_high_one_even():
    sizes = {"a": 1000, "b": 3000}
    assert byte_budgets(sizes, temperature=1.0, total=400) == {"a": 100, "b": 300}
    assert byte_budgets(sizes, temperature=1e9, total=400) == {"a": 200, "b": 200}
    # 1000^(1/2) : 3000^(1/2) = 1 : 1.732
    assert byte_budgets(sizes, temperature=2.0, total=2732) == {"a": 1000, "b": 1732}


def test_a_small_language_is_repeated_but_not_without_end():
    budgets = byte_budgets({"a": 10, "b": 100_000}, temperature=1e9, total=100_000)
    assert budgets == {"a": 10 * MAX_REPEATS, "b": 50_000}


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(1, 10**6), min_size=1),
    st.floats(1, 1e6),
    st.integers(1, 10**7),
)
def test_budgets_never_exceed_the_total_by_more_than_their_rounding(sizes, temperature, total):
    budgets = byte_budgets(sizes, temperature=temperature, total=total)
    assert sum(budgets.values()) <= min(total, sum(sizes.values())) + len(sizes)


def test_first_bytes_begins_again_where_the_text_is_short():
    # "ab" is 3 bytes with its newline, "ä" is 3 too.
    assert list(first_bytes(["ab", "ä"], 10)) == ["ab", "ä", "ab"]
    assert list(first_bytes(["ab", "ä"], 2)) == []
    assert list(first_bytes([], 10)) == []


def test_coverage_is_lowered_where_characters_would_take_over_the_vocabulary():
    # A quarter of 300 - 258 pieces is 10 characters; the ten commonest of these are 1000 of 1005.
    spec = TokenizerSpec(vocab_size=300)
    lines = ["abcdefghij" * 100, "klmno"]
    assert affordable_coverage([lines], spec) == pytest.approx(999.5 / 1005)
    assert affordable_coverage([["abc"]], spec) == 0.999995
    # Ten of fifteen equally common characters would be 0.65: SentencePiece takes 0.98 and more.
    assert affordable_coverage([["abcdefghijklmno"]], spec) == 0.98


def test_fertility_is_counted_on_the_evaluation_text(corpus, tokenizer):
    report = fertility_report(corpus, tokenizer, reference="swe_Latn")
    rows = {row.language: row for row in report.languages}
    lines = list(corpus.eval_lines("rus_Cyrl"))
    n_bytes = sum(len(line.encode()) for line in lines)
    n_tokens = sum(len(ids) for ids in tokenizer.encode(lines))
    russian = rows["rus_Cyrl"]
    assert russian.tokens_per_byte == n_tokens / n_bytes
    assert russian.tokens_per_word == n_tokens / (20 * 5)  # tiny sentences have five words
    assert rows["swe_Latn"].byte_premium == rows["swe_Latn"].token_premium == 1.0
    assert russian.byte_premium == n_bytes / rows["swe_Latn"].n_bytes


def test_tokens_per_word_are_missing_where_no_spaces_part_words(tmp_path):
    text = write_texts(tmp_path / "text")
    signs = "的一是不了人我在有他这为之大来以个中上们"
    lines = ["".join(signs[i // 20**k % 20] for k in range(6)) for i in range(1, 10**7, 99_991)]
    (text / "zho_Hani.txt").write_text("\n".join(lines), "utf-8")
    spec = FolderSpec(source="folder", path=text)
    corpus = build_corpus(spec, ["zho_Hani", "swe_Latn"], cache=tmp_path)
    made = train_tokenizer(corpus, TokenizerSpec(vocab_size=320), cache=tmp_path)
    rows = {row.language: row for row in fertility_report(corpus, made).languages}
    assert rows["zho_Hani"].tokens_per_word is None
    assert rows["swe_Latn"].tokens_per_word > 1


def test_premiums_are_missing_where_the_text_is_not_aligned(tmp_path, tokenizer):
    spec = FolderSpec(source="folder", path=write_texts(tmp_path / "text"))
    corpus = build_corpus(spec, ["swe_Latn", "rus_Cyrl"], cache=tmp_path / "cache")
    report = fertility_report(corpus, tokenizer)
    assert {row.byte_premium for row in report.languages} == {None}
    with pytest.raises(InputError):
        fertility_report(corpus, tokenizer, reference="fin_Latn")


def test_premiums_are_there_for_the_languages_that_are_aligned(tmp_path, tokenizer):
    folder = write_texts(tmp_path / "text")
    for code, text in {"swe_Latn": "Jag läser.\n", "rus_Cyrl": "Я читаю.\n"}.items():
        (folder / "eval" / f"{code}.txt").write_text(text, "utf-8")
    swedish = (folder / "swe_Latn.txt").read_text("utf-8")
    (folder / "dan_Latn.txt").write_text(swedish.translate(str.maketrans("aei", "øæy")), "utf-8")
    spec = FolderSpec(source="folder", path=folder)
    corpus = build_corpus(spec, ["dan_Latn", "rus_Cyrl", "swe_Latn"], cache=tmp_path / "cache")
    report = fertility_report(corpus, tokenizer, reference="swe_Latn")
    rows = {row.language: row for row in report.languages}
    assert rows["rus_Cyrl"].byte_premium == len("Я читаю.".encode()) / len("Jag läser.".encode())
    assert rows["dan_Latn"].byte_premium is rows["dan_Latn"].token_premium is None
    assert rows["dan_Latn"].tokens_per_byte > 0
    assert report.not_aligned == ("dan_Latn",)
    assert not report.aligned
    assert fertility_report(corpus, tokenizer).reference == "rus_Cyrl"  # not Danish
    with pytest.raises(InputError, match="its evaluation text is its own") as caught:
        fertility_report(corpus, tokenizer, reference="dan_Latn")
    assert "rus_Cyrl, swe_Latn" in caught.value.remedy


def test_a_vocabulary_may_be_of_one_language_alone(corpus, tokenizer, tmp_path):
    own = train_tokenizer(corpus, SPEC, languages=["swe_Latn"], cache=tmp_path)
    assert own.info.name == "unigram-400-swe"
    lines = list(corpus.eval_lines("swe_Latn"))
    both, alone = (sum(map(len, one.encode(lines))) for one in (tokenizer, own))
    assert alone < both  # all its pieces serve the one language


def test_a_sentencepiece_file_of_the_user_cuts_as_it_did_where_it_came_from(
    corpus, tokenizer, tmp_path
):
    spec = TokenizerSpec(file=tokenizer.path / "tokenizer.model", reserved=12)
    taken = train_tokenizer(corpus, spec, cache=tmp_path)
    lines = list(corpus.eval_lines("rus_Cyrl"))
    assert taken.encode(lines) == tokenizer.encode(lines)
    assert (taken.vocab_size, taken.eos_id, spec.rows) == (400, tokenizer.eos_id, 412)
    assert taken.info.sha256 == tokenizer.info.sha256
    assert train_tokenizer(corpus, spec, cache=tmp_path).path == taken.path


def hugging_face_file(folder, ends=("<eos>",)):
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizer.json needs tokenizers")
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(ends),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([sentence("sv", i) for i in range(100)], trainer)
    folder.mkdir(exist_ok=True)
    bpe.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_a_hugging_face_file_of_the_user_gives_its_text_back(corpus, tmp_path):
    file = hugging_face_file(tmp_path / "own")
    taken = train_tokenizer(corpus, TokenizerSpec(file=file), cache=tmp_path)
    lines = list(corpus.eval_lines("rus_Cyrl"))
    assert [taken.decode(ids) for ids in taken.encode(lines)] == lines
    assert taken.eos_id == 0
    assert taken.info.name == "own/tokenizer.json"
    store = pack(corpus, taken, cache=tmp_path)
    assert store.tokenizer.vocab_size == taken.vocab_size
    assert (store.evaluation("swe_Latn").tokens == 0).sum() == 20


def test_a_tokenizer_that_does_not_say_how_a_text_ends_is_asked_about(corpus, tmp_path):
    file = hugging_face_file(tmp_path / "own", ends=("[END]",))
    with pytest.raises(InputError, match="which piece of this tokenizer ends a text") as caught:
        train_tokenizer(corpus, TokenizerSpec(file=file), cache=tmp_path)
    assert "end_of_text" in caught.value.remedy
    said = TokenizerSpec(file=file, end_of_text="[END]")
    assert train_tokenizer(corpus, said, cache=tmp_path).eos_id == 0
    with pytest.raises(InputError, match="no such piece"):
        train_tokenizer(corpus, TokenizerSpec(file=file, end_of_text="[X]"), cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.model", b"junk", "cannot be read"),
        ("t.json", b"{}", "cannot be read"),
        ("t.txt", b"a", "SentencePiece .model or a tokenizer.json"),
        ("gone.model", None, "no such tokenizer file"),
    ],
)
def test_a_tokenizer_file_that_is_none_is_refused(corpus, tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        train_tokenizer(corpus, TokenizerSpec(file=tmp_path / name), cache=tmp_path)


def test_a_file_and_settings_of_training_exclude_each_other():
    with pytest.raises(ValidationError, match="taken as it is; leave out vocab_size"):
        TokenizerSpec(file="x.model", vocab_size=8000)
    with pytest.raises(ValidationError, match="end_of_text belongs to a tokenizer file"):
        TokenizerSpec(end_of_text="</s>")
