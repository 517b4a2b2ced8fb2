"""`unseen_combination`: the drug is known elsewhere, the context is known with other drugs, the pair is new."""

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError
from perturbook.splits.partition import Split
from perturbook.splits.setting import Drawn, Screen, setting

TEST_SHARE, VALID_SHARE = 0.2, 0.1  # 20 % as in scdca.md section 5; the validation share is our choice


def pair_labels(screen: Screen) -> np.ndarray:
    """Label each cell by its pair of context and parent structure, whatever name and dose; shape `(cells,)`."""
    return (screen.obs["context"] + " | " + screen.obs["structure"]).to_numpy(str)


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """Treated cells of a held-out pair at any dose, under any name of its parent molecule."""
    labels, asked = pair_labels(screen), screen.obs["key"].isin(split.conditions.index).to_numpy()
    return screen.treated & np.isin(labels, labels[asked])


def _drawable(pairs: pd.DataFrame, rng: np.random.Generator, n: int) -> list[str]:
    """Draw up to `n` pairs such that every context and every structure keeps a pair that was not drawn."""
    left = {side: pairs[side].value_counts().to_dict() for side in ("context", "structure")}
    drawn: list[str] = []
    for pair, context, drug in pairs.iloc[rng.permutation(len(pairs))].itertuples(name=None):
        if len(drawn) < n and left["context"][context] > 1 and left["structure"][drug] > 1:
            left["context"][context] -= 1
            left["structure"][drug] -= 1
            drawn.append(pair)
    return drawn


def _named(screen: Screen, pairs: pd.DataFrame, held_out: list) -> list[str]:
    """Labels of the pairs that a reader named; raises ConfigError where one is missing or cannot be spared."""
    if wrong := [pair for pair in held_out if isinstance(pair, str) or len(pair) != 2]:
        raise ConfigError(f"held_out must list pairs (context, perturbation); {wrong[0]!r} is none.")
    treated = screen.obs[screen.treated]
    names = pd.Index(treated["context"] + " | " + treated["perturbation"])
    asked = [" | ".join(pair) for pair in held_out]
    if missing := sorted(set(asked) - set(names)):
        raise ConfigError(f"held_out names the pairs {missing}, which no treated cell has.")
    test = np.unique(pair_labels(screen)[screen.treated][names.isin(asked)])
    for side, word in (("context", "context"), ("structure", "perturbation")):
        lost = treated[side].isin(set(pairs.loc[test, side]) - set(pairs.drop(test)[side]))
        if lost.any():
            raise ConfigError(
                f"held_out leaves {sorted(treated.loc[lost, word].unique())} no pair to train on; "
                "an unseen combination is one of a known context and a known perturbation."
            )
    return list(test)


@setting(
    "unseen_combination",
    title="Unseen combination of drug and context",
    question="Both the drug and the cell line have been seen, never together: what does the drug do there?",
    takes=("held_out",),
    forbidden=forbidden,
)
def draw(screen: Screen, rng: np.random.Generator, held_out: list | None = None) -> Drawn:
    """Hold out pairs at all their doses; each held-out drug keeps another context, each context another drug.

    A drug is a parent structure: other names of it in the same context go with it.

    Args:
        screen: labels of the data set.
        rng: source of the draw.
        held_out: pairs `(context, perturbation)`; drawn when None.

    Raises:
        ConfigError: a named pair does not exist or is the last of its context or drug, or no pair can be spared.

    Source: scdca.md section 5.
    """
    labels = pair_labels(screen)
    columns = screen.obs.loc[screen.treated, ["context", "structure"]]
    pairs = columns.set_axis(labels[screen.treated]).drop_duplicates().sort_index()
    if held_out is None:
        test = _drawable(pairs, rng, max(1, round(TEST_SHARE * len(pairs))))
        if not test:
            raise ConfigError(
                "unseen_combination needs two contexts that share two perturbations; no pair of this design can be spared. "
                "Use zero_shot_context or few_shot_context."
            )
    else:
        test = _named(screen, pairs, held_out)
    valid = _drawable(pairs.drop(test), rng, round(VALID_SHARE * len(pairs)))
    in_test, in_valid = (screen.treated & np.isin(labels, chosen) for chosen in (test, valid))
    tested = screen.obs[in_test]
    names = tuple(sorted(set(tested["context"] + " | " + tested["perturbation"])))
    return Drawn(in_test, in_valid, np.zeros_like(in_test), names, {})
