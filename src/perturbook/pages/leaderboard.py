"""What the leaderboard says in words and tables; every number in them comes from `standings`."""

from pathlib import Path

import pandas as pd
from IPython.display import HTML

from perturbook.errors import ConfigError
from perturbook.evaluation import CEILING, METRICS
from perturbook.pages.html_table import items, join, link, table
from perturbook.pages.present import SHORT, SHOWN, interval, number
from perturbook.pages.standings import bundle_folders, standings
from perturbook.pages.table import ROOT
from perturbook.pages.table import page as page_of

RIVALS = ("opponent", "model")
MODES = {"AB": "A and B"}
FILTERS = ("Data", "Cells", "Setting", "Role")


def load(bundles: str, resamples: int) -> pd.DataFrame:
    """Standings of every page in `bundles`, in reading order, with the title of the page.

    Raises:
        InputError: there is no scored page.
    """
    boards = [
        standings(folder, resamples).assign(page=page_id, title=page_of(page_id).title)
        for page_id, folder in bundle_folders(bundles).items()
    ]
    return pd.concat(boards, ignore_index=True)


def deposited(bundles: str) -> bool:
    """True where the table shows the deposits of the project instead of a build."""
    return any(folder.is_relative_to(ROOT / "results") for folder in bundle_folders(bundles).values())


def write_csv(board: pd.DataFrame, folder: Path) -> Path:
    """Write the whole board as `leaderboard.csv`, ten digits, the word undefined where a number is."""
    folder.mkdir(parents=True, exist_ok=True)
    board.to_csv(folder / "leaderboard.csv", index=False, float_format="%.10g", na_rep="undefined")
    return folder / "leaderboard.csv"


def _of(board: pd.DataFrame, metric: str) -> pd.DataFrame:
    rows = board[board["metric"] == metric]
    if rows.empty:
        raise ConfigError(
            f"Metric {metric!r} is not scored. Scored: {', '.join(dict.fromkeys(board['metric']))}."
        )
    return rows


def gain(row: pd.Series, digits: int = 3) -> str:
    """Paired gain over the best floor with its interval and, where they are fewer, the conditions it rests on."""
    names = {"gain": "mean", "gain_low": "low", "gain_high": "high", "gain_n": "n_defined"}
    return interval(row[[*names, "n_total"]].rename(names), digits)


def outcome(rows: pd.DataFrame) -> str:
    """How the opponents of one page did against its best floor: wins, loses, even, few or none.

    Args:
        rows: rows of one page and one metric of the board.

    Returns:
        "wins" where the paired interval of one lies above 0, "loses" where those of all lie below, "even" otherwise;
        "few" where no interval is given, "none" where no opponent is defined beside a floor.
    """
    rivals = rows[rows["role"].isin(RIVALS) & (rows["gain_n"] > 0)]
    if rivals.empty:
        return "none"
    if rivals["gain_low"].isna().all():
        return "few"
    if (rivals["gain_low"] > 0).any():
        return "wins"
    return "loses" if (rivals["gain_high"] < 0).all() else "even"


def verdict(rows: pd.DataFrame) -> str:
    """The sentence on one page and one metric."""
    kind, rivals = outcome(rows), rows[rows["role"].isin(RIVALS) & (rows["gain_n"] > 0)]
    if kind == "none":
        return "no opponent has a defined score here."
    best = rivals.loc[rivals["gain"].idxmax()]
    pair = f"“{best['predictor']}” against the best floor, “{best['floor']}”: {gain(best)}."
    if kind == "few":
        return f"no interval, with {best['gain_n']} conditions; the best opponent, {pair}"
    if kind == "wins":
        winners = rivals[rivals["gain_low"] > 0].sort_values("gain", ascending=False)
        won = [
            f"“{w['predictor']}” beats the best floor, “{w['floor']}”: {gain(w)}"
            for _, w in winners.iterrows()
        ]
        return "; ".join(won) + "."
    if kind == "loses":
        return f"the floor wins; even the best opponent is worse, {pair}"
    return f"no opponent beats the best floor; the best of them, {pair}"


def answer(board: pd.DataFrame, metric: str) -> HTML:
    """On which pages an opponent beats the best floor, and on which none does; one sentence, then one per page."""
    rows = _of(board, metric)
    pages = {name: part for name, part in rows.groupby("page", sort=False)}
    kinds = pd.Series({name: outcome(part) for name, part in pages.items()})
    compared = rows[rows["role"].isin(RIVALS) & rows["gain_low"].notna()]
    said = {
        "wins": "on {} an opponent beats the best floor with a paired 95 % interval that excludes 0",
        "even": "on {} no opponent beats the best floor",
        "loses": "on {} the best floor beats every opponent",
        "few": "on {} there are too few conditions or drugs for an interval",
        "none": "on {} no opponent is defined",
    }
    parts = [text.format((kinds == kind).sum()) for kind, text in said.items() if (kinds == kind).any()]
    plural = "pages" if len(pages) > 1 else "page"
    main = f"By “{METRICS[metric].title}”, of {len(pages)} {plural}: {'; '.join(parts)}."
    lines = [
        join(
            link(f"{name}.html", part["title"].iloc[0]), f" ({part['cells'].iloc[0]} cells): {verdict(part)}"
        )
        for name, part in pages.items()
    ]
    luck = (
        f"Differences with an interval: {len(compared)}; about one in twenty would exclude 0 by chance alone."
    )
    return HTML(f"<p><strong>{join(main)}</strong></p>{items(lines)}<p>{luck}</p>")


def _labels(row: pd.Series) -> dict:
    return {
        "Page": link(f"{row['page']}.html", row["title"]),
        "Cells": row["cells"],
        "Predictor": row["predictor"],
    }


def _beside(row: pd.Series) -> dict:
    known = row["n_defined"] > 0
    return {
        "Best floor": f"{number(row['floor_mean'])} ({row['floor']})" if row["floor"] else "undefined",
        "Split-half duplicate": number(row["ceiling_mean"]),
        "Gain over best floor": gain(row) if known else "undefined",
        "Scaled": number(row["scaled"], 2),
    }


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Pages in reading order; within a page the predictors by gain, undefined last."""
    at = rows["page"].map({name: i for i, name in enumerate(dict.fromkeys(rows["page"]))})
    return rows.assign(at=at).sort_values(["at", "gain"], ascending=[True, False], kind="stable")


def main_table(board: pd.DataFrame, metric: str) -> HTML:
    """One row per page, predictor and mode: the chosen metric beside floor and duplicate, then the other main metrics."""
    key = ["page", "method", "mode"]
    others = {
        (*row[key], row["metric"]): interval(row, 2)
        for _, row in board[board["metric"].isin(SHOWN)].iterrows()
    }
    rows = []
    for _, row in _ordered(_of(board, metric)).iterrows():
        more = {SHORT[m]: others.get((*row[key], m), "undefined") for m in SHOWN if m != metric}
        score = {
            SHORT.get(metric, METRICS[metric].title): interval(row),
            "Defined": f"{row['n_defined']} of {row['n_total']}",
        }
        about = {
            "Role": row["role"],
            "Data": row["data"],
            "Setting": row["setting"],
            "Mode": MODES.get(row["mode"], row["mode"]),
        }
        rows.append({**_labels(row), **score, **_beside(row), **about, **more})
    return HTML(table(rows, f"Every predictor of every page, by “{METRICS[metric].title}”", FILTERS))


def metrics_table(board: pd.DataFrame) -> HTML:
    """One row per page, predictor, mode and metric that has a defined value, with all that stands beside it."""
    rows = []
    for metric in dict.fromkeys(board["metric"]):
        for _, row in _ordered(board[(board["metric"] == metric) & (board["n_defined"] > 0)]).iterrows():
            score = {"Metric": METRICS[metric].title, "Score": interval(row)}
            rows.append({**_labels(row), **score, **_beside(row), "Role": row["role"]})
    return HTML(table(rows, "Every metric of every predictor", ("Metric", "Page", "Role")))


def room_table(board: pd.DataFrame, metric: str) -> HTML:
    """Per page: best floor and duplicate, and how far duplicate and oracle lie above the best floor, paired."""
    rows = []
    for name, part in _of(board, metric).groupby("page", sort=False):
        duplicate, oracle = part[part["method"] == CEILING], part[part["role"] == "oracle"]
        row = duplicate.iloc[0]
        rows.append(
            {
                "Page": link(f"{name}.html", row["title"]),
                "Cells": row["cells"],
                "Best floor": _beside(row)["Best floor"],
                "Split-half duplicate": interval(row),
                "Duplicate minus floor": gain(row),
                "Oracle minus floor": "undefined" if oracle.empty else gain(oracle.iloc[0]),
            }
        )
    return HTML(table(rows, f"Room above the best floor, by “{METRICS[metric].title}”"))
