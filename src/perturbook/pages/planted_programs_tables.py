"""Tables and sentences of the planted programs; all cells are simulated."""

import pandas as pd
from IPython.display import HTML

from perturbook.pages import planted_programs as planted
from perturbook.pages.html_table import table
from perturbook.pages.planted_programs_deposit import aim, compared, stimulation
from perturbook.pages.present import number


def planted_table(worlds: pd.DataFrame) -> HTML:
    """AUPRC of every arm by how often programs go together, and the paired difference of attribution."""
    filled = []
    for share in (*sorted(worlds["together"].unique()), None):
        own = worlds if share is None else worlds[worlds["together"] == share]
        for arm, title in planted.ARMS.items():
            made = compared(own, arm)
            row = {
                "Programs switched together": "all worlds" if share is None else f"{share:.0%}",
                "Ranked by": title,
                "AUPRC, mean": number(made.other.mean, 3),
            }
            gap = made.difference
            row["Attribution minus this, 95 % interval"] = (
                "" if arm == "attribution" else f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
            )
            filled.append(row)
    return HTML(table(filled, "Simulated cells: planted genes found", ["Programs switched together"]))


def stimulation_table(worlds: pd.DataFrame) -> HTML:
    """The stimulation of every world: its concept, and planted genes among the top 10."""
    made = stimulation(worlds)
    filled = [
        {
            "Programs switched together": f"{share:.0%}",
            "Worlds": len(own),
            "Concept AUROC on test, median (least)": f"{own['concept auroc'].median():.3f} ({own['concept auroc'].min():.3f})",
            "Planted among top 10, mean": number(own["attribution top 10"].mean(), 1),
            "with random pairs": number(own["shuffled top 10"].mean(), 1),
            "with pairs that share the concept": number(own["active top 10"].mean(), 1),
            "Pairs alike in the stimulation": f"{own['attribution alike'].mean():.0%}",
        }
        for share, own in made.groupby("together")
    ]
    return HTML(table(filled, "Simulated stimulation of 30 genes"))


def planted_verdicts(worlds: pd.DataFrame) -> list[str]:
    """Whether the aim is met, against which opponent, and why."""
    made = {arm: compared(worlds, arm) for arm in ("de", "de_within", "de_truth", "shuffled", "active")}
    gap = made["de"].difference
    said = (
        f"Planted programs, simulated: the aim, attribution's AUPRC above DE's by an interval, is **{'met' if aim(worlds) else 'missed'}**: "
        f"{number(made['de'].own.mean, 3)} against {number(made['de'].other.mean, 3)}, difference {gap.mean:+.3f} "
        f"[{gap.low:+.3f}, {gap.high:+.3f}] over {gap.n_defined} programs of {worlds['seed'].nunique()} seeds."
    )
    parts = []
    for share, own in worlds.groupby("together"):
        one = compared(own, "de").difference
        parts.append(
            f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}] where {share:.0%} of switches are shared"
        )
    told = made["de_truth"]
    concept = worlds[(worlds["arm"] == "concept")]["value"]
    why = (
        f"Simulated, by degree: {'; '.join(parts)}. DE that is told which cells have the program reaches {number(told.other.mean, 3)}; the "
        f"test AUROC of the concepts is {concept.median():.2f} in the median and {concept.min():.2f} at least. DE compares all training cells; "
        f"attribution compares thirty pairs of single cells, and names as well the genes by which other concepts push this one out."
    )
    controls = []
    for arm, words in (("shuffled", "random pairs"), ("active", "pairs that share the concept")):
        one = made[arm].difference
        less = "lower" if one.low > 0 else "higher" if one.high < 0 else "not different by its interval"
        controls.append(
            f"with {words} the AUPRC is {less} ({number(made[arm].other.mean, 3)}, difference {one.mean:+.3f} "
            f"[{one.low:+.3f}, {one.high:+.3f}])"
        )
    alike = worlds[(worlds["arm"] == "attribution") & (worlds["quantity"] == "alike")]["value"].mean()
    control = (
        f"Simulated, negative controls: {'; '.join(controls)}. In {alike:.0%} of the pairs of attribution both cells have the program or "
        f"both lack it: the nearest cell without the concept lies just beyond its edge, and need not be a cell without the program."
    )
    return [said, why, control]


def live_table(seeds: int) -> HTML:
    """Worlds with the stimulation alone, made here: one concept, thirty genes."""
    world, concepts = planted.ALONE
    filled = []
    for seed in range(seeds):
        read = planted.Read.of(planted.World.of(seed, **world), seed, **concepts)
        now = {(arm, quantity): value for arm, quantity, value in read.scored(0)}
        row = {"Seed": seed, "Concept AUROC on test": number(now["concept", "auroc"], 3)}
        row["Pairs alike in the stimulation"] = f"{now['attribution', 'alike']:.0%}"
        for arm, title in planted.ARMS.items():
            row[title] = f"{now[arm, 'top 10']:.0f}; {now[arm, 'auprc']:.2f}"
        filled.append(row)
    return HTML(
        table(filled, "Simulated cells, the stimulation alone, made here: planted among the top 10; AUPRC")
    )
