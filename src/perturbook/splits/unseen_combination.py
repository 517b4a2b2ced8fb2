"""`unseen_combination`: the drug is known elsewhere, the context is known with other drugs, the pair is new."""

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError
from perturbook.splits.partition import Split
from perturbook.splits.setting import N_FOLDS, Drawn, Screen, setting

TEST_SHARE, VALID_SHARE = 0.2, 0.1  # 20 % as in scdca.md section 5; the validation share is our choice


def pair_labels(screen: Screen) -> np.ndarray:
    """Label each cell by its pair of context and parent structure, whatever name and dose; shape `(cells,)`."""
    return (screen.obs["context"] + " | " + screen.obs["structure"]).to_numpy(str)


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """Treated cells of a held-out pair at any dose, under any name of its parent molecule."""
    labels, asked = pair_labels(screen), screen.obs["key"].isin(split.conditions.index).to_numpy()
    return screen.treated & np.isin(labels, labels[asked])


class _Sparing:
    """Takes pairs away while every context and every structure keeps a pair."""

    def __init__(self, pairs: pd.DataFrame):
        self.left = [pairs[side].value_counts().to_dict() for side in ("context", "structure")]
        self.taken: list[str] = []

    def take(self, pair: str, *sides: str) -> bool:
        """Take the pair of these context and structure if it can be spared, and say whether it could."""
        spared = all(left[side] > 1 for left, side in zip(self.left, sides, strict=True))
        if spared:
            for left, side in zip(self.left, sides, strict=True):
                left[side] -= 1
            self.taken.append(pair)
        return spared


def _drawable(pairs: pd.DataFrame, rng: np.random.Generator, n: int) -> list[str]:
    """Draw up to `n` pairs such that every context and every structure keeps a pair that was not drawn."""
    sparing = _Sparing(pairs)
    for row in pairs.iloc[rng.permutation(len(pairs))].itertuples(name=None):
        if len(sparing.taken) < n:
            sparing.take(*row)
    return sparing.taken


def _folds(pairs: pd.DataFrame, rng: np.random.Generator) -> list[list[str]]:
    """Divide all pairs that can be spared into folds, each of which leaves every context and structure a pair.

    Fold 0 is a draw of a fifth. Each other pair goes to the smallest other fold that can take it. There is one: of the
    four, at most one has all other pairs of its context, and at most one all other pairs of its structure.
    """
    folds, n = [_Sparing(pairs) for _ in range(N_FOLDS)], max(1, round(TEST_SHARE * len(pairs)))
    for row in pairs.iloc[rng.permutation(len(pairs))].itertuples(name=None):
        if len(folds[0].taken) < n and folds[0].take(*row):
            continue
        any(fold.take(*row) for fold in sorted(folds[1:], key=lambda fold: len(fold.taken)))
    return [fold.taken for fold in folds]


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
    takes=("fold", "held_out"),
    forbidden=forbidden,
)
def draw(screen: Screen, rng: np.random.Generator, fold: int = 0, held_out: list | None = None) -> Drawn:
    """Hold out pairs at all their doses; each held-out drug keeps another context, each context another drug.

    A drug is a parent structure: other names of it in the same context go with it. The five folds of one seed test
    every pair that can be spared exactly once; the pairs of a context or structure that has a single pair cannot, and
    are listed in the option `never_tested`.

    Args:
        screen: labels of the data set.
        rng: source of the draw, the same folds for every `fold` of one seed.
        fold: which fold is tested, 0 to 4.
        held_out: pairs `(context, perturbation)` instead of a fold.

    Raises:
        ConfigError: a named pair does not exist or is the last of its context or drug, or no pair can be spared.

    Source: scdca.md section 5; folds instead of independent draws are our choice.
    """
    labels = pair_labels(screen)
    columns = screen.obs.loc[screen.treated, ["context", "structure"]]
    pairs = columns.set_axis(labels[screen.treated]).drop_duplicates().sort_index()
    options = {}
    if held_out is None:
        folds = _folds(pairs, rng)
        test = folds[fold]
        options = {"fold": fold, "never_tested": sorted(set(pairs.index).difference(*folds))}
        if not test:
            raise ConfigError(
                f"unseen_combination needs two contexts that share two perturbations; no pair of this design can be spared for fold {fold}. "
                "Use zero_shot_context or few_shot_context."
            )
    else:
        test = _named(screen, pairs, held_out)
    valid = _drawable(pairs.drop(test), rng, round(VALID_SHARE * len(pairs)))
    in_test, in_valid = (screen.treated & np.isin(labels, chosen) for chosen in (test, valid))
    tested = screen.obs[in_test]
    names = tuple(sorted(set(tested["context"] + " | " + tested["perturbation"])))
    return Drawn(in_test, in_valid, np.zeros_like(in_test), names, options)
