"""A study of four languages and two sizes, to be designed and not run."""

from atlas_scaling.config import parse_config
from atlas_scaling.study.spec import StudySpec

SPEC = """
name: trial
languages: [sv, dan, nob_Latn, es]
corpus: {source: embedded}
tokenizer: {vocab_size: 4096}
sizes:
  s: {n_layers: 2, d_model: 64, n_heads: 4, lr: 0.005}
  m: {n_layers: 4, d_model: 128, n_heads: 4, lr: 0.003}
training: {batch_size: 4}
groups:
  - {kind: monolingual, sizes: [s], tokens: 200k}
"""


def spec(groups: str = "") -> StudySpec:
    """The study with further groups."""
    return parse_config(SPEC + groups, StudySpec, name="trial.yaml")
