import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.study.corpus import FolderSpec, build_corpus, corpus_spec
from tests.study.tiny_sources import sentence

LANGUAGES = ["swe_Latn", "rus_Cyrl"]


def write_texts(folder, *, n=100, n_eval=0):
    for locale, code in (("sv", "swe_Latn"), ("ru", "rus_Cyrl")):
        (folder / "eval").mkdir(parents=True, exist_ok=True)
        lines = [sentence(locale, i) for i in range(n)]
        (folder / f"{code}.txt").write_text("\n".join(lines) + "\n", "utf-8")
        if n_eval:
            test = [sentence(locale, i) for i in range(1000, 1000 + n_eval)]
            (folder / "eval" / f"{code}.txt").write_text("\n".join(test) + "\n", "utf-8")
    return folder


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
    with pytest.raises(InputError, match="either from a folder or from parts"):
        corpus_spec(folder=tmp_path, parts=["chromium"])
    assert corpus_spec(folder=tmp_path) == FolderSpec(source="folder", path=tmp_path)
