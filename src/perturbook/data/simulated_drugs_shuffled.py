"""`simulated-drugs-shuffled`: the simulated drug screen in which untreated cells no longer tell how a line will respond.

Everything is as in `simulated-drugs`, but each mechanism's responsiveness is dealt to other lines. Whoever predicts a line
never treated from its untreated cells loses what they gave; whoever still gains has seen something it should not.

Source: `simulators.md` section 1, acceptance checks.
"""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import simulated_drugs
from perturbook.data.dataset import dataset
from perturbook.data.schema import origin

NAME = "simulated-drugs-shuffled"


@dataset(
    NAME,
    title="Simulated drug screen with responsiveness shuffled across lines (32,520 cells, 600 genes)",
    synthetic=True,
)
def prepare(*, seed: int = 0, size: str = "default", expectation: bool = True) -> AnnData:
    """Simulate `simulated-drugs` with `shuffle_responsiveness`; the other arguments, the truth and the errors are its own."""
    adata = simulated_drugs.prepare(
        seed=seed, size=size, shuffle_responsiveness=True, expectation=expectation
    )
    adata.obs["dataset"] = pd.Categorical.from_codes(np.zeros(adata.n_obs, np.int8), [NAME])
    adata.uns["origin"] = origin(NAME, adata.uns["origin"]["recovered"])
    return adata
