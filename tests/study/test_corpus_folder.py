import gzip
import json
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.study import folder_corpus
from atlas_scaling.study.corpus import FolderSpec, build_corpus, corpus_spec
from atlas_scaling.study.spec import load_study
from atlas_scaling.study.streamed_corpus import Intake
from tests.study.tiny_sources import sentence
from tests.study.tiny_texts import write_texts

LANGUAGES = ["swe_Latn", "rus_Cyrl"]


def build(folder, cache, languages=LANGUAGES, **fields):
    spec = FolderSpec(source="folder", path=folder, **fields)
    return build_corpus(spec, languages, cache=cache)


def test_evaluation_text_of_the_user_is_taken_line_by_line(tmp_path):
    corpus = build(write_texts(tmp_path / "t", n_eval=12), tmp_path / "cache")
    assert corpus.manifest.aligned
    assert list(corpus.eval_lines("swe_Latn")) == [sentence("sv", i) for i in range(1000, 1012)]
    assert set(corpus.train_lines("rus_Cyrl")) == {sentence("ru", i) for i in range(100)}


def test_without_evaluation_text_a_tenth_is_split_off_and_said(tmp_path):
    corpus = build(write_texts(tmp_path / "t"), tmp_path / "cache")
    assert not corpus.manifest.aligned
    assert corpus.record("swe_Latn").evaluation.lines == 10
    train, evaluation = (
        set(corpus.train_lines("swe_Latn")),
        set(corpus.eval_lines("swe_Latn")),
    )
    assert train | evaluation == {sentence("sv", i) for i in range(100)}
    assert not train & evaluation
    assert "split off by hash of the line: rus_Cyrl, swe_Latn" in corpus.manifest.notes[0]


def test_a_line_goes_to_the_same_side_when_the_text_grows(tmp_path):
    small = build(write_texts(tmp_path / "a", n=100), tmp_path / "cache", eval_lines=5)
    large = build(write_texts(tmp_path / "b", n=105), tmp_path / "cache", eval_lines=5)
    kept = set(small.eval_lines("swe_Latn")) & set(large.eval_lines("swe_Latn"))
    assert len(kept) >= 4  # five lines more can push out at most a line or two by chance


def test_evaluation_lines_are_not_in_the_training_text(tmp_path):
    folder = write_texts(tmp_path / "t", n_eval=12)
    leak = sentence("sv", 1003).upper()
    with (folder / "swe_Latn.txt").open("a", encoding="utf-8") as file:
        file.write(f"{leak}\n")
    corpus = build(folder, tmp_path / "cache")
    assert leak not in set(corpus.train_lines("swe_Latn"))
    assert corpus.record("swe_Latn").dropped["in_the_evaluation_text"] == 1


def test_text_is_normalised_but_not_filtered(tmp_path):
    folder = write_texts(tmp_path / "t", n_eval=3)
    (folder / "swe_Latn.txt").write_bytes(
        b"\xef\xbb\xbf" + "Cafe\u0301  au\u00a0lait {x} <b>\r\n\nkort\n".encode()
    )
    corpus = build(folder, tmp_path / "cache")
    assert set(corpus.train_lines("swe_Latn")) == {"Caf\u00e9 au lait {x} <b>", "kort"}


def test_the_corpus_is_named_by_the_text_and_not_by_the_folder(tmp_path):
    one = build(write_texts(tmp_path / "a"), tmp_path / "cache")
    other = build(write_texts(tmp_path / "b"), tmp_path / "cache")
    changed = build(write_texts(tmp_path / "c", n=101), tmp_path / "cache")
    assert one.path == other.path != changed.path


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder") as caught:
        build(tmp_path / "nowhere", tmp_path / "cache")
    assert caught.value.value == str(tmp_path / "nowhere")
    assert caught.value.where == "corpus.path"


def test_a_language_without_file_is_named_with_the_nearest_that_is_there(tmp_path):
    folder = write_texts(tmp_path / "t")
    with pytest.raises(InputError, match="there is no text for swg_Latn") as caught:
        build(folder, tmp_path / "cache", ["swg_Latn"])
    assert caught.value.where == str(folder)
    assert "'swe_Latn'" in caught.value.remedy


def test_a_file_that_is_no_utf8_is_named_with_its_line(tmp_path):
    folder = write_texts(tmp_path / "t")
    (folder / "swe_Latn.txt").write_bytes("rätt\n".encode() + "räv\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8") as caught:
        build(folder, tmp_path / "cache")
    assert caught.value.where == f"{folder / 'swe_Latn.txt'}:2"
    assert "iconv" in caught.value.remedy


def test_an_empty_line_of_evaluation_text_is_named_with_its_number(tmp_path):
    folder = write_texts(tmp_path / "t", n_eval=3)
    (folder / "eval" / "swe_Latn.txt").write_text("ett\n\ntre\n", "utf-8")
    with pytest.raises(InputError, match="is empty") as caught:
        build(folder, tmp_path / "cache")
    assert caught.value.where.endswith("swe_Latn.txt:2")


@pytest.mark.parametrize("content", ["", "\n\n", "en enda rad\n"])
def test_a_file_with_too_little_text_is_refused(tmp_path, content):
    folder = write_texts(tmp_path / "t")
    (folder / "swe_Latn.txt").write_text(content, "utf-8")
    with pytest.raises(InputError, match="too little text for swe_Latn") as caught:
        build(folder, tmp_path / "cache")
    assert caught.value.where == str(folder / "swe_Latn.txt")


def test_a_folder_and_parts_together_are_refused(tmp_path):
    with pytest.raises(InputError, match="comes from one source"):
        corpus_spec(folder=tmp_path, parts=["chromium"])
    assert corpus_spec(folder=tmp_path) == FolderSpec(source="folder", path=tmp_path)


def records(folder, code, texts):
    (folder / "eval").mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text, "url": f"u{i}"}) for i, text in enumerate(texts)]
    (folder / f"{code}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def documents(locale, n, start=0):
    return [
        "\n".join(sentence(locale, 10 * i + k) for k in range(3)) for i in range(start, start + n)
    ]


def test_records_of_every_kind_of_file_are_the_same_documents(tmp_path):
    texts = documents("sv", 60)
    built = {}
    for kind in ("jsonl", "jsonl.gz", "parquet", "folder"):
        folder = tmp_path / kind
        records(folder, "swe_Latn", texts)
        plain = folder / "swe_Latn.jsonl"
        if kind == "jsonl.gz":
            (folder / "swe_Latn.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()
        elif kind == "parquet":
            pl.read_ndjson(plain).write_parquet(folder / "swe_Latn.parquet")
            plain.unlink()
        elif kind == "folder":
            (folder / "swe_Latn").mkdir()
            lines = plain.read_text("utf-8").splitlines(keepends=True)
            for part in (0, 1):
                (folder / "swe_Latn" / f"{part}.jsonl").write_text("".join(lines[part::2]), "utf-8")
            plain.unlink()
        built[kind] = build(folder, tmp_path / "cache", ["swe_Latn"])
    assert len({corpus.sha256 for corpus in built.values()}) == 1
    corpus = built["parquet"]
    assert {*corpus.train_lines("swe_Latn"), *corpus.eval_lines("swe_Latn")} == set(texts)


def test_a_document_is_one_line_of_the_file_and_keeps_its_line_breaks(tmp_path):
    records(tmp_path / "t", "swe_Latn", documents("sv", 40))
    corpus = build(tmp_path / "t", tmp_path / "cache", ["swe_Latn"])
    raw = (corpus.path / "train" / "swe_Latn.txt").read_text("utf-8").split("\n")
    assert len(raw) - 1 == corpus.record("swe_Latn").train.lines == 36
    assert all(text.count("\n") == 2 for text in corpus.train_lines("swe_Latn"))


def test_a_document_in_two_languages_stays_in_one(tmp_path):
    shared = [f"Samma rad nummer {word} i tva filer." for word in "abcdefghij"]
    for code, locale in (("swe_Latn", "sv"), ("dan_Latn", "da")):
        folder = tmp_path / "t"
        folder.mkdir(exist_ok=True)
        lines = [sentence(locale, i) for i in range(60)] + shared
        (folder / f"{code}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    corpus = build(folder, tmp_path / "cache", ["swe_Latn", "dan_Latn"], eval_lines=1)
    texts = {code: set(corpus.train_lines(code)) for code in ("swe_Latn", "dan_Latn")}
    assert not texts["swe_Latn"] & texts["dan_Latn"]
    held = [len(texts[code] & set(shared)) for code in texts]
    assert sum(held) >= 8  # two may have become evaluation text
    assert 0 < held[0] < 10  # the seed picks, not the order of the languages


def test_what_little_memory_builds_is_what_much_memory_builds(tmp_path, monkeypatch):
    folder = write_texts(tmp_path / "t", n=3000)
    plenty = build(folder, tmp_path / "one")
    monkeypatch.setattr(folder_corpus, "Intake", partial(Intake, memory=20_000))
    assert build(folder, tmp_path / "other").sha256 == plenty.sha256


def test_a_training_document_with_a_passage_of_the_evaluation_text_is_reported_or_dropped(tmp_path):
    passage = "en lang mening som star bade i det ena och i det andra och annars ingenstans alls"
    folder = write_texts(tmp_path / "t", n_eval=5)
    with (folder / "eval" / "swe_Latn.txt").open("a", encoding="utf-8") as file:
        file.write(f"{passage}\n")
    with (folder / "swe_Latn.txt").open("a", encoding="utf-8") as file:
        file.write(f"Fore den, {passage}, och efter den.\n")
    reported = build(folder, tmp_path / "cache").record("swe_Latn")
    assert (reported.contamination.eval_lines_found, reported.contamination.train_lines) == (1, 1)
    dropped = build(folder, tmp_path / "cache", contamination="drop").record("swe_Latn")
    assert dropped.train.lines == reported.train.lines - 1
    assert dropped.dropped["has_a_passage_of_the_evaluation_text"] == 1


def test_a_path_is_relative_to_the_study_s_file(tmp_path, monkeypatch):
    write_texts(tmp_path / "study" / "texts")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study" / "s.yaml").write_text(
        """
name: x
languages: [sv]
corpus: {source: folder, path: texts}
tokenizer: {vocab_size: 300}
sizes: {s: {scale: -6, lr: 0.01}}
training: {batch_size: 1}
groups: [{kind: monolingual, sizes: [s], tokens: 1M}]
"""
    )
    spec = load_study(Path("study/s.yaml"))
    assert spec.corpus.path == tmp_path / "study" / "texts"
    assert build_corpus(spec.corpus, ["swe_Latn"], cache=tmp_path / "c").languages == ("swe_Latn",)


@pytest.mark.parametrize(
    ("content", "said", "where"),
    [
        ('{"text": "a"}\n{"txt": "b"}\n', "no field 'text'", "swe_Latn.jsonl:2"),
        ('{"text": "a"}\nnot json\n', "no JSON", "swe_Latn.jsonl:2"),
        ('{"text": 7}\n', "is no text", "swe_Latn.jsonl:1"),
        ("[1]\n", "no JSON object", "swe_Latn.jsonl:1"),
    ],
)
def test_a_record_that_is_no_document_is_named_with_its_line(tmp_path, content, said, where):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "swe_Latn.jsonl").write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        build(tmp_path / "t", tmp_path / "cache", ["swe_Latn"])
    assert caught.value.where.endswith(where)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "swe_Latn.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="Parquet file cannot be read"):
        build(tmp_path / "t", tmp_path / "cache", ["swe_Latn"])
    (tmp_path / "t" / "swe_Latn.parquet").unlink()
    (tmp_path / "t" / "swe_Latn.txt.gz").write_bytes(gzip.compress(b"rad\n" * 9999)[:40])
    with pytest.raises(InputError, match="cannot be read"):
        build(tmp_path / "t", tmp_path / "cache", ["swe_Latn"])
    (tmp_path / "t" / "swe_Latn.txt").write_text("en rad till\n")
    with pytest.raises(InputError, match="two files have the text of swe_Latn"):
        build(tmp_path / "t", tmp_path / "cache", ["swe_Latn"])
