"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def shared_data() -> Path:
    """Real measurements that lie beside the project; tests on them are skipped elsewhere."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the folder shared/data with public measurements is not beside the project")
    return path


@pytest.fixture
def shared_published() -> Path:
    """The paper's tables as read from it, to check the packaged copies against."""
    path = Path(__file__).resolve().parents[2] / "shared" / "published"
    if not path.is_dir():
        pytest.skip("the folder shared/published is not beside the project")
    return path
