"""Builds that are ended by kill -9, at places where that hurts, and begun again."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.study.tiny_sources import sentence

ROOT = Path(__file__).parents[2]
CODES = ["dan_Latn", "rus_Cyrl", "swe_Latn"]
LOCALES = {"dan_Latn": "da", "rus_Cyrl": "ru", "swe_Latn": "sv"}

CHILD = """
import json, os, pkgutil, signal, sys
import pytest
from pathlib import Path
from tests.study.tiny_sources import install_tiny_corpus
from atlas_scaling.study import embedded_build, streamed_corpus
from atlas_scaling.study.corpus import EmbeddedSpec, FolderSpec, build_corpus

kind, cache, deadly, folder = sys.argv[1:]
log = []

def watched(place, said):
    # Note each call of a function; at its third, end this process as kill -9 does.
    module, _, name = place.rpartition(".")
    owner = pkgutil.resolve_name("atlas_scaling.study." + module)
    function = getattr(owner, name)
    def call(*given, **named):
        log.append(said)
        if place == deadly and log.count(said) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    setattr(owner, name, call)

if kind == "folder":
    spec = FolderSpec(source="folder", path=Path(folder), eval_lines=5)
    watched("folder_corpus.read_documents", "read")
    watched("streamed_corpus.write_lines", "written")
    watched("streamed_corpus.discard", "discarded")
else:
    install_tiny_corpus(pytest.MonkeyPatch(), Path(cache))
    spec = EmbeddedSpec(source="embedded", eval_lines=20)
    watched("clean_sources.cleaned_language", "read")
    watched("embedded_build.write_language", "written")
corpus = build_corpus(spec, json.loads(os.environ["CODES"]), cache=Path(cache))
print(json.dumps([corpus.sha256, log.count("read"), log.count("written")]))
"""


def build(kind, cache, folder, deadly=""):
    """What a build in a process of its own says, or the signal that ended it."""
    command = [sys.executable, "-c", CHILD, kind, str(cache), deadly, str(folder)]
    environment = {"CODES": json.dumps(CODES), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode < 0:
        return -ended.returncode
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for code, locale in LOCALES.items():
        lines = [sentence(locale, i) for i in range(60)] + [sentence("sv", i) for i in range(9)]
        (folder / f"{code}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("kind", "deadly", "n_read", "n_written"),
    [
        ("folder", "folder_corpus.read_documents", 1, 6),  # two of three languages were read
        ("folder", "streamed_corpus.write_lines", 0, 4),  # one of three was written, two files each
        ("folder", "streamed_corpus.discard", 1, 6),  # at the beginning of the third language
        ("embedded", "clean_sources.cleaned_language", 6, 3),  # two of four, of one of two sources
        ("embedded", "embedded_build.write_language", 0, 1),
    ],
)
def test_a_build_that_was_killed_goes_on_with_what_it_had_and_gives_the_same_bytes(
    tmp_path, folder, kind, deadly, n_read, n_written
):
    cache = tmp_path / "cache"
    assert build(kind, cache, folder, deadly) == signal.SIGKILL
    assert not list((cache / "corpora").glob("[!.]*"))
    again = build(kind, cache, folder)
    assert again[1:] == [n_read, n_written]
    assert [path.name[0] != "." for path in (cache / "corpora").iterdir()] == [True]
    unbroken = build(kind, tmp_path / "other", folder)
    assert again[0] == unbroken[0]
    assert unbroken[1] > n_read or unbroken[2] > n_written
