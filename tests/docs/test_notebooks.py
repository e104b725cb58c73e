"""Notebooks are run by the build of the site (``make docs``); here: what a commit must not hold."""

import json

import pytest
from tools.doc_examples import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "examples").glob("*.ipynb"))


def test_there_are_notebooks_and_the_examples_folder_leads_to_them():
    assert len(NOTEBOOKS) >= 2
    assert sorted(path.name for path in (ROOT / "examples").glob("*.ipynb")) == [
        path.name for path in NOTEBOOKS
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_stores_no_output(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_in_the_contents_of_the_site(path):
    assert f"examples/{path.stem}\n" in (ROOT / "docs" / "index.md").read_text()
