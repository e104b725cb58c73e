"""When training from scratch overtakes continuing from a multilingual checkpoint (Figs. 6 and 7).

``C = coefficient N^exponent`` FLOPs; as tokens of the target language ``D = C / (6 N)``. The paper
prints three variants. The text of Section 6 and the legend of Fig. 7 both agree with Fig. 6 at 2B
parameters; the caption of Fig. 7 pairs the legend's coefficient with the text's exponent, is ten
times off and is left out. No intervals are printed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from atlas_scaling.compute import tokens_for
from atlas_scaling.published.tables import PAPER


@dataclass(frozen=True, slots=True)
class CrossoverLaw:
    """``C = coefficient N^exponent``, in FLOPs."""

    coefficient: float
    exponent: float
    source: str

    def flops(self, n_params: float) -> float:
        """Compute of the crossover for a model of ``n_params`` parameters."""
        return self.coefficient * math.pow(n_params, self.exponent)

    def tokens(self, n_params: float) -> float:
        """The same as tokens of the target language.

        >>> round(TEXT.tokens(2e9) / 1e9), round(LEGEND.tokens(2e9) / 1e9)
        (206, 181)
        """
        return tokens_for(self.flops(n_params), n_params)


TEXT: Final = CrossoverLaw(1_113_708, 1.65, f"{PAPER}, Section 6")
LEGEND: Final = CrossoverLaw(10_283_128, 1.54, f"{PAPER}, Fig. 7 legend")
LAWS: Final = {"text": TEXT, "legend": LEGEND}

CROSSOVER_TOKENS: Final = {
    "eng_Latn": 144e9,
    "jpn_Jpan": 145e9,
    "por_Latn": 148e9,
    "deu_Latn": 160e9,
    "rus_Cyrl": 189e9,
    "vie_Latn": 234e9,
    "spa_Latn": 239e9,
    "zho_Hani": 283e9,
}
"""Fig. 6: tokens at the crossover, 2B parameters. The figure does not name its panels' languages
beside the numbers; they are assigned by the panels' reading order, plausible but not certain."""

CROSSOVER_N_PARAMS: Final = 2_034_422_912
"""Scale 34 of Table B.3, the "2B" of Fig. 6; embeddings counted."""

N_PARAMS_RANGE: Final = (9_044_352, 4e9)
"""Model sizes of Fig. 7: its axis ends at 4B."""

LANGUAGES: Final = (
    *("eng_Latn", "rus_Cyrl", "spa_Latn", "fra_Latn", "deu_Latn"),
    *("por_Latn", "vie_Latn", "zho_Hani", "jpn_Jpan", "hin_Deva"),
)
"""Languages of Fig. 7. French and Hindi are in it, but not in Fig. 6."""

BASE_CHECKPOINT: Final = (
    "one multilingual Unimax checkpoint: 420 languages, 1T tokens, 5 % English, 1.42 % for each of "
    "the 50 next (App. B.4, Table B.4; Section 6 prints 1B tokens, an error)"
)
