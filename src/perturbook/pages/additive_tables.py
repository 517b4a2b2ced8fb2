"""Tables of the additive page: every number in them comes from a bundle and from cells."""

import pandas as pd
from IPython.display import HTML

from perturbook.pages import frame
from perturbook.pages.additive import ADDITIVE, REAL, Doubles
from perturbook.pages.additive_scores import PLANTED, gains, groups, summary
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.present import cell, number


def banner(pages: list[Doubles]) -> HTML:
    """Say first where cells could not be had; nothing otherwise."""
    bare = [one.title for one in pages if one.cells is None]
    said = f"“{bare[0]}” is read from its deposit, without the noise of its sums." if bare else ""
    return frame.notices(False, said)


def where_table(rows: pd.DataFrame) -> HTML:
    """Deviation beside its noise, and the genes that carry it, class by class; shares are of sums over the doubles of a class."""
    filled, genes = [], []
    for name, mine in groups(rows).items():
        part = rows[mine]
        size2, noise2 = (part[one] ** 2 for one in ("size", "expected"))
        carried = (
            part["on_planted"].sum() / part["total"].sum() if name not in (ADDITIVE, REAL) else float("nan")
        )
        filled.append(
            {
                "Class": name,
                "Doubles": len(part),
                "Stand out": int(part["stands_out"].sum()),
                "Deviation": number(size2.mean() ** 0.5),
                "Its noise": number(noise2.mean() ** 0.5),
                "Share beyond noise": number(1 - noise2.sum() / size2.sum(), 2),
            }
        )
        genes.append(
            {
                "Class": name,
                "Genes beyond 1.96 errors": number(part["genes"].mean(), 3),
                "Genes with a planted interaction": _known(part["planted"].mean()),
                "What these genes carry": _known(carried, 2),
            }
        )
    sizes = table(filled, "Deviation from the sum, log1p units; all classes but “real cells” are simulated")
    return HTML(sizes + table(genes, "Which share of the genes carries it; means over doubles"))


def _known(value: float, digits: int = 3) -> str:
    return "–" if pd.isna(value) else number(value, digits)


def real_table(rows: pd.DataFrame) -> HTML:
    """Every measured double: its deviation, what resampling gives an additive pair, and what a perfect prediction leaves.

    Nothing where the cells could not be had.
    """
    filled = [
        {
            "Double": row["double"],
            "Deviation, the error of the sum": number(row["size"], 4),
            "Expected of an additive pair": number(row["expected"], 4),
            "Middle 95 % of resamples": f"{number(row['low'], 4)} to {number(row['high'], 4)}",
            "Share beyond noise": number(row["beyond"], 2),
            "Error of a perfect prediction": number(row["own"], 4),
        }
        for row in rows[rows["class"] == REAL].to_dict("records")
    ]
    said = "Measured doubles: the error of the sum and the noise in it, log1p units"
    return HTML(table(filled, said) if filled else "")


def _mean(found: pd.DataFrame, name: str, method: str, digits: int = 2) -> Markup | str:
    row = found[(found["class"] == name) & (found["method"] == method)]
    return cell(row.iloc[0], digits) if len(row) and row["n_defined"].iloc[0] else "–"


def who_table(rows: pd.DataFrame, resamples: int) -> HTML:
    """What every predictor adds to the sum against what is there: correlation, slope, and the rise of Pearson."""
    keys = {"correlation": "Correlation", "slope": "Slope", "derivative": "Rise of Pearson"}
    found = {key: summary(rows, key, resamples) for key in keys}
    shown = [name for name in (PLANTED, ADDITIVE, REAL) if name in groups(rows)]
    adds = rows.groupby("method", sort=False)["slope"].count()
    filled = []
    for method in adds.index[adds > 0]:
        row = {"Predictor": rows.loc[rows["method"] == method, "predictor"].iloc[0]}
        row |= {
            f"{word}, {name}": _mean(found[key], name, method, 3 if key == "derivative" else 2)
            for key, word in keys.items()
            for name in shown
        }
        filled.append(row)
    equal = rows.loc[rows["method"].isin(adds.index[adds == 0]), "predictor"].unique()
    note = f"<p>Equal to the sum on every double: {', '.join(equal)}.</p>" if len(equal) else ""
    return HTML(
        table(filled, "What is added to the sum against what was measured beyond it, simulated doubles")
        + note
    )


def gain_table(rows: pd.DataFrame, resamples: int) -> HTML:
    """Error of the best sum of each class minus that of every predictor; positive is better than all sums."""
    found = gains(rows, resamples)
    titles = rows.drop_duplicates("method").set_index("method")["predictor"]
    filled = []
    for method, part in found.groupby("method", sort=False):
        row = {"Predictor": titles[method]}
        filled.append(row | {one["class"]: cell(pd.Series(one), 3) for one in part.to_dict("records")})
    floors = found.drop_duplicates("class").set_index("class")["floor"].map(titles)
    note = "; ".join(f"{name}: {floor}" for name, floor in floors.items())
    return HTML(
        table(
            filled,
            "Error of the best sum minus error of the predictor, simulated doubles, log1p units; above 0 is better",
        )
        + f"<p>Best sum of each class: {note}. Intervals resample the genes that doubles share.</p>"
    )


def every_table(rows: pd.DataFrame) -> HTML:
    """Slope, with the correlation beside it, of every predictor on every measured double."""
    filled: dict[str, dict] = {}
    for row in rows[rows["slope"].notna()].to_dict("records"):
        both = join(
            number(row["slope"], 2),
            Markup("<small>"),
            f" (r {number(row['correlation'], 2)})",
            Markup("</small>"),
        )
        filled.setdefault(row["predictor"], {"Predictor": row["predictor"]})[row["double"]] = both
    doubles = list(dict.fromkeys(rows["double"]))
    full = [{key: row.get(key, "–") for key in ("Predictor", *doubles)} for row in filled.values()]
    return HTML(table(full, "Slope and correlation of what is added to the sum, every measured double"))


def within_table(found: pd.DataFrame) -> HTML:
    """Error of the sum minus error of every predictor on every measured double, with the interval of its cells."""
    filled = []
    for (_, name), part in found.groupby(["method", "predictor"], sort=False):
        row = {"Predictor": name, "Lost beyond its cells": f"{part['lost'].sum()} of {len(part)}"}
        for one in part.to_dict("records"):
            shown = {
                "mean": one["gain"],
                "low": one["low"],
                "high": one["high"],
                "n_defined": 1,
                "n_total": 1,
            }
            row[one["double"]] = cell(pd.Series(shown), 4)
        filled.append(row)
    kind = found["kind"].mode().iloc[0]
    caption = (
        f"Error of the sum minus error of the predictor, log1p units ({kind}); above 0 is nearer than the sum"
    )
    return HTML(table(filled, caption))


def weighted_table(found: pd.DataFrame) -> HTML:
    """Rise of the correlation at weight 0, by formula and by finite difference; correlation and error at weights 0 and 1."""
    filled = []
    for name, part in found.groupby("correction", sort=False):
        at = part.set_index("weight")
        filled.append(
            {
                "Correction": name,
                "Rise at 0, formula": number(at["derivative"].iloc[0], 5),
                "Rise at 0, finite difference": number(at["difference"].iloc[0], 5),
                "Correlation, weight 0 and 1": f"{number(at.loc[0.0, 'correlation'])}, {number(at.loc[1.0, 'correlation'])}",
                "Error, weight 0 and 1": f"{number(at.loc[0.0, 'error'])}, {number(at.loc[1.0, 'error'])}",
            }
        )
    return HTML(table(filled, "The sum plus a weight times a correction, one simulated double"))
