"""Folders of made-up text, laid out as users and datasets of the hub lay theirs out."""

import gzip
import json

import polars as pl

from tests.study.tiny_sources import sentence


def write_texts(folder, *, n=100, n_eval=0):
    """``swe_Latn.txt`` and ``rus_Cyrl.txt``, with ``eval/`` where that is asked for; the folder."""
    for locale, code in (("sv", "swe_Latn"), ("ru", "rus_Cyrl")):
        (folder / "eval").mkdir(parents=True, exist_ok=True)
        lines = [sentence(locale, i) for i in range(n)]
        (folder / f"{code}.txt").write_text("\n".join(lines) + "\n", "utf-8")
        if n_eval:
            test = [sentence(locale, i) for i in range(1000, 1000 + n_eval)]
            (folder / "eval" / f"{code}.txt").write_text("\n".join(test) + "\n", "utf-8")
    return folder


def document(locale: str, number: int) -> str:
    return "\n".join(sentence(locale, 100 * number + k) for k in range(3))


def write_madlad(root, code: str, locale: str, n: int = 60) -> None:
    """``data/sv/sv_clean_0000.jsonl.gz`` and on, a line break written as backslash and n."""
    folder = root / "data" / code
    folder.mkdir(parents=True)
    for part in (0, 1):
        texts = [document(locale, i).replace("\n", "\\n") for i in range(part, n, 2)]
        data = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
        (folder / f"{code}_clean_{part:04}.jsonl.gz").write_bytes(gzip.compress(data))
        (folder / f"{code}_noisy_{part:04}.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n'))


def write_fineweb2(root, code: str, locale: str, n: int = 60) -> None:
    folder = root / "data" / code / "train"
    folder.mkdir(parents=True)
    pl.DataFrame(
        {
            "text": [document(locale, i) for i in range(n)],
            "id": [f"<urn:uuid:{i}>" for i in range(n)],
            "dump": "CC-MAIN-2024-10",
            "url": "https://example.org/",
            "date": "2024-02-21T09:58:32Z",
            "file_path": "s3://commoncrawl/x",
            "language": code[:3],
            "language_score": 0.99,
            "language_script": code[4:],
            "minhash_cluster_size": 1,
            "top_langs": "{}",
        }
    ).write_parquet(folder / "000_00000.parquet")


def write_flores(root, code: str, locale: str, n: int = 20) -> None:
    """``devtest/swe_Latn.jsonl``; the ids are the same in every language."""
    (root / "devtest").mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": i,
            "iso_639_3": code[:3],
            "iso_15924": code[4:],
            "text": sentence(locale, 50_000 + i),
            "url": "https://example.org/",
            "domain": "wikinews",
        }
        for i in range(n)
    ]
    (root / "devtest" / f"{code}.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8"
    )
