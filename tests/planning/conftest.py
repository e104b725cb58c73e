import pytest

from atlas_scaling.fitting import fit
from atlas_scaling.laws import ATLAS
from tests.planning.planted import planted


@pytest.fixture(scope="session")
def atlas_fit():
    """Planted values, and the ATLAS fit to runs that have them."""
    law = ATLAS(sources=("dan_Latn",), others=False)
    values, runs = planted(law)
    return values, fit(runs, law, target="swe_Latn", bootstrap=40)
