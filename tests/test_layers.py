"""Imports run one way (CONTRIBUTING, "How the code is laid out")."""

import ast
from pathlib import Path

import pytest

import atlas_scaling

PACKAGE = Path(atlas_scaling.__file__).parent
GROUND = {"errors", "units", "answers", "languages", "compute", "accelerators", "mixtures"}
GROUND |= {"config", "_version", "data"}
MAY_IMPORT = {
    "laws": GROUND,
    "runs": GROUND,
    "published": GROUND | {"laws", "runs"},
    "fitting": GROUND | {"laws", "runs"},
    "transfer": GROUND | {"laws", "runs", "published", "fitting"},
    "planning": GROUND | {"laws", "runs", "published", "fitting", "transfer"},
    "report": GROUND | {"laws", "runs", "published", "fitting", "transfer", "planning"},
    "web": GROUND
    | {"laws", "runs", "published", "fitting", "transfer", "planning", "report", "study"},
    "study": GROUND | {"laws", "runs", "published"},
}


def imported(path: Path) -> set[str]:
    """Top-level names of the package that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
            if node.module == "atlas_scaling":
                modules = [f"atlas_scaling.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        found |= {m.split(".")[1] for m in modules if m.startswith("atlas_scaling.")}
    return found


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_what_lies_below_it(layer):
    files = [path for path in PACKAGE.rglob("*.py") if layer_of(path) == layer]
    assert files
    for path in files:
        above = imported(path) - MAY_IMPORT[layer] - {layer}
        assert not above, f"{path.relative_to(PACKAGE)} imports {sorted(above)}"


def test_the_ground_floor_stands_on_nothing():
    for name in GROUND - {"data"}:
        assert imported(PACKAGE / f"{name}.py") <= GROUND
