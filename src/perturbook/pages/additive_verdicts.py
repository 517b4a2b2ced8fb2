"""Sentences of the additive page, computed from its numbers: they change where the numbers do."""

import pandas as pd
from IPython.display import Markdown

from perturbook.pages.additive import ADDITIVE, FLOORS, REAL, SUM, VARIANTS
from perturbook.pages.additive_scores import PLANTED, best, gains, groups
from perturbook.pages.present import number

CHANCE = 0.025
"""Share of additive doubles that stand out by chance."""


def where_answer(rows: pd.DataFrame) -> Markdown:
    """How many doubles stand out of their noise, planted, additive and measured."""
    of = groups(rows)
    said = []
    if PLANTED in of:
        planted, plain = rows[of[PLANTED]], rows[of[ADDITIVE]]
        said.append(
            f"Of {len(planted)} simulated doubles with a planted interaction, {planted['stands_out'].sum()} deviate from the "
            f"sum of their singles by more than sampling gives an additive pair; of {len(plain)} additive ones, "
            f"{plain['stands_out'].sum()}, where {number(CHANCE * len(plain), 1)} are to be expected by chance."
        )
    if REAL in of:
        real = rows[of[REAL]]
        out = real.loc[real["stands_out"], "double"].tolist()
        said.append(
            f"Of {len(real)} measured doubles {', '.join(out)} "
            + ("stands out." if len(out) == 1 else "stand out.")
            if out
            else f"Of {len(real)} measured doubles none stands out: an interaction cannot be seen there, and so none can be "
            "predicted."
        )
    return Markdown(f"**{' '.join(said)}**")


def room_answer(rows: pd.DataFrame) -> Markdown:
    """Why a predictor of interactions can win nothing on measured doubles, or on which it can."""
    real = rows[rows["class"] == REAL]
    if real.empty:
        return Markdown(
            "**The cells of the measured doubles could not be had: their noise is not known here.**"
        )
    if (out := real[real["stands_out"]]).empty:
        return Markdown(
            f"**On every one of the {len(real)} measured doubles the error of the sum ({number(real['size'].min())} to "
            f"{number(real['size'].max())}) is what an exactly additive truth would give ({number(real['expected'].min())} to "
            f"{number(real['expected'].max())} expected). No interaction is left to be predicted. A perfect prediction would "
            f"still be off by {number(real['own'].mean())}, the noise of the double itself; between the two lies the noise of "
            "the sum, and who wins here has removed some of it.**"
        )
    return Markdown(f"**An interaction can be seen, and predicted, on {', '.join(out['double'])}.**")


def who_answer(rows: pd.DataFrame, resamples: int) -> Markdown:
    """Who predicts planted interactions better than the best sum, and whether additive doubles are lost by it."""
    asks = rows[rows["role"].isin(["model", "opponent"]) & ~rows["method"].isin(FLOORS)]
    if (top := best(asks[groups(asks)[PLANTED]], list(asks["method"].unique())) if len(asks) else "") == "":
        return Markdown("**No predictor of this page but floors has a defined score.**")
    found = gains(rows, resamples).set_index(["class", "method"])
    on, off = found.loc[(PLANTED, top)], found.loc[(ADDITIVE, top)]
    titles = rows.drop_duplicates("method").set_index("method")["predictor"]

    def bounds(row: pd.Series) -> str:
        return f"{number(row['mean'], 4)}, interval {number(row['low'], 4)} to {number(row['high'], 4)}"

    won = (
        "lower than that of the best sum"
        if on["low"] > 0
        else "not shown to be lower than that of the best sum"
    )
    kept = "no loss is shown" if not off["high"] < 0 else "it loses"
    classes = found[found.index.get_level_values("method") == top].drop([PLANTED, ADDITIVE], level="class")
    least = classes["mean"].idxmin()[0]
    return Markdown(
        f"**On simulated doubles with a planted interaction the error of “{titles[top]}”, the best that is no sum, is {won}, "
        f"“{titles[on['floor']]}” (gain {bounds(on)}, {on['n_defined']} doubles). On additive doubles {kept} (gain "
        f"{bounds(off)}). It gains least on {least}.**"
    )


def noise_answer(rows: pd.DataFrame) -> Markdown:
    """How well a deviation is predicted where nothing is planted, by taking noise out of the sum, and where something is."""
    asks = rows[rows["correlation"].notna()]
    plain = asks[asks["class"] == ADDITIVE].groupby("predictor", sort=False)["correlation"].mean().dropna()
    planted = asks[groups(asks)[PLANTED]].groupby("predictor", sort=False)["correlation"].mean().dropna()
    if plain.empty or planted.empty:
        return Markdown("**No predictor of this page differs from the sum.**")
    return Markdown(
        f"**On additive doubles, where nothing is planted, what “{plain.idxmax()}” adds to the sum still correlates at "
        f"{number(plain.max(), 2)} with what was measured beyond it: noise of the sum stands in both. Only what exceeds this "
        f"where something is planted speaks of interactions; the highest correlation there is {number(planted.max(), 2)}, of "
        f"“{planted.idxmax()}”.**"
    )


def lost_answer(found: pd.DataFrame) -> Markdown:
    """Which variants of PerturbedVAE lose no double to the sum beyond what its cells leave open."""
    mine = found[found["method"].str.startswith(VARIANTS)]
    if mine.empty:
        return Markdown("**No variant of PerturbedVAE is stored with this page.**")
    lost = mine.groupby("predictor", sort=False)["lost"].sum()
    kept = lost.index[lost == 0].tolist()
    doubles = mine["double"].nunique()
    if not kept:
        return Markdown(
            f"**Each of {len(lost)} variants of PerturbedVAE loses at least one of {doubles} measured doubles to the sum by more "
            "than its cells leave open.**"
        )
    names = ", ".join(f"“{name}”" for name in kept)
    return Markdown(
        f"**Of {len(lost)} variants of PerturbedVAE, {len(kept)} lose{'s' if len(kept) == 1 else ''} none of {doubles} measured "
        f"doubles to the sum by more than its cells leave open: {names}.**"
    )


def chosen(rows: pd.DataFrame) -> tuple[str, str]:
    """For the demonstration: the best predictor that is no sum, and the planted double whose sum correlates worst."""
    asks = rows[rows["role"].isin(["model", "opponent"]) & ~rows["method"].isin(FLOORS)]
    method = best(asks[groups(asks)[PLANTED]], list(asks["method"].unique())) if len(asks) else SUM
    first = rows[(rows["method"] == rows["method"].iloc[0]) & groups(rows)[PLANTED]]
    return method or SUM, str(first.loc[first["agreement"].idxmin(), "double"])
