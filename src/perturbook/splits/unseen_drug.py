"""`unseen_drug`: no cell of the drug, in any context, at any dose, under any name of its parent molecule."""

import numpy as np

from perturbook.errors import ConfigError
from perturbook.splits.partition import Split
from perturbook.splits.setting import N_FOLDS, Drawn, Screen, setting


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """Treated cells of any drug whose parent structure is that of a drug to predict."""
    drugs = split.conditions["perturbation"].unique()
    structures = screen.obs.loc[screen.obs["perturbation"].isin(drugs), "structure"].unique()
    return screen.treated & screen.obs["structure"].isin(structures).to_numpy()


@setting(
    "unseen_drug",
    title="Unseen drug",
    question="A new molecule arrives: what will it do to cell lines that are already known?",
    takes=("fold", "held_out"),
    forbidden=forbidden,
)
def draw(
    screen: Screen, rng: np.random.Generator, fold: int = 0, held_out: str | list[str] | None = None
) -> Drawn:
    """Hold out one of five folds of drugs; names of one parent structure stay together, the next fold validates.

    Args:
        screen: labels of the data set.
        rng: source of the assignment to folds, the same for every `fold` of one seed.
        fold: which fifth is tested, 0 to 4.
        held_out: drug names instead of a fold; other names of their structures go with them.

    Raises:
        ConfigError: a named drug does not exist, or there are fewer structures than folds.

    Source: scdca.md section 5; validation by the next fold is our choice.
    """
    structures = screen.levels("structure")
    if len(structures) < N_FOLDS:
        raise ConfigError(
            f"unseen_drug needs at least {N_FOLDS} drugs of different structure; this data set has {len(structures)}."
        )
    folds = np.array_split(rng.permutation(structures), N_FOLDS)
    test, valid = folds[fold], folds[(fold + 1) % N_FOLDS]
    if held_out is not None:
        named = screen.obs["perturbation"].isin(screen.known("perturbation", held_out))
        test = screen.obs.loc[named, "structure"].unique()
        valid = np.setdiff1d(folds[(fold + 1) % N_FOLDS], test)
    column = screen.obs["structure"].to_numpy(str)
    in_test, in_valid = (screen.treated & np.isin(column, chosen) for chosen in (test, valid))
    drugs = tuple(sorted(screen.obs.loc[in_test, "perturbation"].unique()))
    return Drawn(in_test, in_valid, np.zeros_like(in_test), drugs, {"fold": fold})
