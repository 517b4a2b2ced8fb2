"""What the fresh worlds of gene pairs say, in a table and a sentence."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation.intervals import Interval, bootstrap_difference
from perturbook.models import MODELS
from perturbook.pages.fresh_pairs import FLOORS, OTHERS, differences
from perturbook.pages.html_table import table
from perturbook.pages.present import number

KINDS = {True: "planted", False: "additive"}


def gain_table(rows: pd.DataFrame, resamples: int) -> HTML:
    """RMSE of each predictor minus that of each additive floor, paired over doubles, with 95 % intervals."""
    filled = []
    for name in OTHERS:
        for planted, kind in KINDS.items():
            found = differences(rows, name, planted, resamples)
            first = next(iter(found.values()))
            row = {"Predictor": MODELS[name].title, "Doubles": f"{kind} ({first.n_defined})"}
            filled.append(row | {MODELS[floor].title: _words(one) for floor, one in found.items()})
    worlds = rows["world"].nunique()
    return HTML(
        table(
            filled, f"RMSE minus that of four sums, doubles of {worlds} fresh simulated worlds", ("Doubles",)
        )
    )


def answer(rows: pd.DataFrame, resamples: int) -> Markdown:
    """Whether the anchored residual holds on fresh worlds, and whether its simple opponent is better."""
    trees, residual = OTHERS
    holds = all(one.high < 0 for one in differences(rows, residual, True, resamples).values())
    lost = any(one.low > 0 for one in differences(rows, residual, False, resamples).values())
    between = bootstrap_difference(rows[residual].to_numpy(), rows[trees].to_numpy(), n=resamples)
    better = residual if between.high < 0 else trees if between.low > 0 else ""
    verdict = (
        f"“{MODELS[better].title}” is the better of the two" if better else "Neither of the two is better"
    )
    return Markdown(
        f"**On fresh worlds “{MODELS[residual].title}” {'is nearer than' if holds else 'is not nearer than'} every one of the "
        f"{len(FLOORS)} sums on planted doubles, and {'loses' if lost else 'does not lose'} on additive ones. {verdict}: minus the "
        f"trees its error is {_words(between)} over all doubles.**"
    )


def _words(one: Interval) -> str:
    return f"{number(one.mean, 4)} [{number(one.low, 4)}, {number(one.high, 4)}]"
