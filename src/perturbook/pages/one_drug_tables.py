"""What the worked example says in words and tables; every number in them comes from `one_drug`."""

from IPython.display import HTML

from perturbook.evaluation import CEILING
from perturbook.pages import frame
from perturbook.pages.html_table import Markup, items, join, table
from perturbook.pages.one_drug import MEASURED, NO_CHANGE, OneDrug, curves, label
from perturbook.pages.present import number
from perturbook.pages.standings import TITLES, title


def banner(one: OneDrug) -> HTML:
    """Say first that the cells are simulated, and let every caption of the notebook say so."""
    return frame.notices(bool(one.truth.facts.get("synthetic")))


def answer(one: OneDrug) -> HTML:
    """The page in a sentence: the pair, its change at the highest dose, and the error that each predictor leaves."""
    context, drug = one.name
    last = one.rmse.iloc[-1]
    none, duplicate = title(NO_CHANGE), TITLES[CEILING]
    said = [
        f"“{name}” leaves an error of {number(last[name])}"
        for name in last.index
        if name not in (none, duplicate)
    ]
    why = ", the largest measured change among the scored pairs" if one.drawn else ""
    text = (
        f"On {one.cells}: {drug} at {one.doses[-1]:g} µM moves the mean profile of {context} by {number(last[none])} per gene "
        f"(root mean square over {len(one.truth.genes)} genes){why}; {', '.join([*said, ''])}and one half of the measured cells "
        f"predicts the other half with an error of {number(last[duplicate])}."
    )
    return HTML(join(Markup("<p><strong>"), text, Markup("</strong></p>")))


def left_out(one: OneDrug) -> HTML:
    """A sentence for each predictor that was asked for and is not shown; nothing where all are."""
    said = [f"“{name}” is not shown: {why}." for name, why in one.absent.items()]
    return HTML(items(said) if said else "")


def gene_table(one: OneDrug, n_genes: int) -> HTML:
    """Top genes at the highest dose: measured change with its interval, and what each predictor said."""
    rows = curves(one, n_genes)
    rows = rows[rows["dose_um"] == one.doses[-1]]
    filled = []
    for gene, mine in rows.groupby("gene", sort=False):
        by = mine.set_index("predictor")
        measured = by.loc[MEASURED]
        bounds = f" [{number(measured['low'], 2)}, {number(measured['high'], 2)}]"
        shown = join(number(measured["change"], 2), Markup("<small>"), bounds, Markup("</small>"))
        predicted = {label(m): number(by.loc[label(m), "change"], 2) for m in one.shown}
        filled.append({"Gene": gene, MEASURED: shown, **predicted})
    context, drug = one.name
    caption = f"Change against control, {drug} at {one.doses[-1]:g} µM in {context}, {one.cells} ({one.truth.facts['scale']})"
    return HTML(table(filled, caption))


def rmse_table(one: OneDrug) -> HTML:
    """RMSE of the mean profile of the pair, one row per dose, predictors beside no change and the duplicate."""
    filled = [
        {"Dose (µM)": f"{dose:g}", **{name: number(value) for name, value in row.items()}}
        for dose, (_, row) in zip(one.doses, one.rmse.iterrows(), strict=True)
    ]
    context, drug = one.name
    return HTML(
        table(filled, f"RMSE of the predicted mean profile over all genes, {drug} in {context}, {one.cells}")
    )
