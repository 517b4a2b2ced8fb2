"""The card of `simulated-latent`: what responds, what does not, and whether the environments suffice to tell."""

import numpy as np
import pandas as pd
from anndata import AnnData
from IPython.display import HTML

from perturbook import data
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.html_table import table
from perturbook.pages.table import ROOT

NAME = "simulated-latent"


def sufficiency(truth: dict) -> np.ndarray:
    """The matrix whose rank assumption (ii) of the identifiability theorem asks for, `(2 responsive, environments)`.

    Column k is eta(u_k) - eta(u_0) with eta(u) = (mu(u) / v(u), -1 / (2 v(u))), the natural parameters of the response
    noise. Source: `perturbedvae.md` section 7.
    """
    eta = np.concatenate([truth["mu"] / truth["v"], -0.5 / truth["v"]], axis=1)
    return (eta[1:] - eta[0]).T


def worlds(seeds: range) -> pd.DataFrame:
    """Rank and extreme singular values of `sufficiency` for several worlds."""
    rows = []
    for seed in seeds:
        matrix = sufficiency(data.load(NAME, seed=seed).uns["truth"])
        values = np.linalg.svd(matrix, compute_uv=False)
        rows.append((seed, int(np.linalg.matrix_rank(matrix)), len(matrix), values[-1], values[0]))
    return pd.DataFrame(rows, columns=["seed", "rank", "needed", "smallest", "largest"])


def world_table(found: pd.DataFrame) -> HTML:
    """`worlds` for readers."""
    rows = [
        {
            "World (seed)": row["seed"],
            "Rank": f"{row['rank']:.0f} of {row['needed']:.0f}",
            "Smallest singular value": f"{row['smallest']:.3f}",
            "Largest": f"{row['largest']:.2f}",
        }
        for row in found.to_dict("records")
    ]
    return HTML(table(rows, "Do the environments suffice? Simulated worlds"))


def shifts(cells: AnnData) -> pd.DataFrame:
    """Mean of every latent per environment, in standard deviations of the control cells; training cells alone."""
    train = (cells.obs["split"] == "train").to_numpy()
    env = cells.obs["perturbation"].astype(str).to_numpy()[train]
    rows = []
    for block, word in (("zn", "responsive"), ("zi", "invariant")):
        values = np.asarray(cells.obsm[block])[train]
        base = values[env == "control"]
        for j in range(values.shape[1]):
            for name in sorted(set(env)):
                shift = (values[env == name, j].mean() - base[:, j].mean()) / base[:, j].std(ddof=1)
                rows.append((f"{word} {j + 1}", word, name, shift))
    return pd.DataFrame(rows, columns=["latent", "block", "environment", "shift"])


def largest_shift(found: pd.DataFrame) -> pd.Series:
    """Largest absolute shift of each block over its latents and environments."""
    return found.groupby("block")["shift"].agg(lambda values: values.abs().max())


def provenance(page: str, seed: int) -> HTML:
    """What the page was made of."""
    return frame.footer(
        manifest(ROOT, page=page, tier="book", parameters={"seed": seed}, data={NAME: data.checksum(NAME)})
    )
