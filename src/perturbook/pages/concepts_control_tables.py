"""Tables and sentences of the positive control page: every one follows the deposit."""

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages import planted_programs as planted
from perturbook.pages.concepts_control import DATA, PAGE, PANEL, STIMULATION, TYPE, Mark, hits
from perturbook.pages.concepts_control_arms import BACKBONES
from perturbook.pages.concepts_control_read import CONCEPTS, PARTS, TITLES, Came, all_of
from perturbook.pages.html_table import table
from perturbook.pages.planted_programs_deposit import aim, compared, stimulation
from perturbook.pages.present import number
from perturbook.pages.table import ROOT


def facts(rows: pd.DataFrame) -> dict[str, object]:
    """Numbers for the text."""
    came = next(iter(all_of(rows).values()))
    counts = {part.replace(" ", "_"): int(came.value("cells", part)) for part in PARTS}
    return counts | {
        "n_panel": len(came.sets.panel),
        "n_all": len(PANEL),
        "n_hallmark": len(came.sets.hallmark),
        "absent": ", ".join(gene for gene in PANEL if gene not in came.sets.panel),
        "major": ", ".join(came.major),
        "n_major": len(came.major),
    }


def marks_table(rows: pd.DataFrame) -> HTML:
    """Every pass mark of every backbone, met or missed."""
    filled = [
        {
            "Backbone": BACKBONES[name],
            "Mark": one.name,
            "Asked": one.asked,
            "Found": one.found,
            "": "met" if one.met else "missed",
        }
        for name, came in all_of(rows).items()
        for one in came.marks()
    ]
    return HTML(table(filled, "Real cells: pass marks, as they were written before the run", ["Backbone"]))


def arms_table(rows: pd.DataFrame) -> HTML:
    """Interferon genes in the ranking of every arm and backbone."""
    filled = []
    for name, came in all_of(rows).items():
        for arm, title in TITLES.items():
            ranked = came.ranked(arm)
            counts = {top: hits(ranked, came.sets, top) for top in (10, 30)}
            filled.append(
                {
                    "Backbone": BACKBONES[name],
                    "Ranked by": title,
                    **{
                        f"Top {top}: panel, Hallmark": f"{of['panel']}, {of['hallmark']}"
                        for top, of in counts.items()
                    },
                    "Panel AUROC": number(came.value(arm, "set auroc", "panel"), 3),
                    "Hallmark AUROC": number(came.value(arm, "set auroc", "hallmark"), 3),
                    "Panel genes tested": int(came.value(arm, "set tested", "panel")),
                    "Genes tested": f"{int(came.value(arm, 'tested')):,}",
                    "Marks met": _met(came.genes(arm)),
                }
            )
    return HTML(table(filled, "Real cells: interferon genes in every ranking", ["Backbone"]))


def _met(marks: list[Mark]) -> str:
    return f"{sum(one.met for one in marks)} of {len(marks)}"


def concept_table(rows: pd.DataFrame) -> HTML:
    """The chosen concept of every arm: what it separates, and what stands behind its pairs."""
    filled = []
    for name, came in all_of(rows).items():
        for arm in (*CONCEPTS, "unrelated"):
            auroc = came.values(arm, "auroc")
            label = "stimulation" if arm != "unrelated" else came.values(arm, "label").index[0]
            filled.append(
                {
                    "Backbone": BACKBONES[name],
                    "Concept of": TITLES[arm].split(",")[0],
                    "Separates": label,
                    "Number": int(came.value(arm, "concept")),
                    "AUROC, validation": number(auroc["validation"], 3),
                    "AUROC, test": number(auroc["test"], 3),
                    "Pairs": int(came.value(arm, "pairs")),
                    "Pairs of one stimulation": f"{came.value(arm, 'pairs with equal label', STIMULATION):.0%}",
                    "Pairs of one type": f"{came.value(arm, 'pairs with equal label', TYPE):.0%}",
                    "Overtaken swaps": f"{came.value(arm, 'overtaken'):.0%}",
                    "Ranked by": _by(came, arm),
                }
            )
    return HTML(table(filled, "Real cells: the concept of every arm, and its pairs", ["Backbone"]))


def _by(came: Came, arm: str) -> str:
    by = came.values(arm, "ranked by").index[0]
    return {"relative": "relative change", "pre": "pre-activation"}[by]


def best_three(rows: pd.DataFrame) -> HTML:
    """The three concepts with the highest validation AUROC, shown because one signal may lie in several."""
    filled = [
        {
            "Backbone": BACKBONES[name],
            "Concept": int(concept),
            "AUROC, validation": number(value, 3),
            "AUROC, test": number(came.value("sae", "best three, test", concept), 3),
        }
        for name, came in all_of(rows).items()
        for concept, value in came.values("sae", "best three, validation").items()
    ]
    return HTML(table(filled, "Real cells: the best three concepts of each autoencoder"))


def sentence(came: Came, name: str) -> str:
    """What came out of one backbone, in words."""
    marks = came.marks()
    met = [one for one in marks if one.met]
    title = BACKBONES[name]
    if len(met) == len(marks):
        return f"**{title}: passed.** All {len(marks)} marks are met."
    missed = "; ".join(f"{one.name} ({one.found}; asked {one.asked})" for one in marks if not one.met)
    return f"**{title}: not passed.** {len(met)} of {len(marks)} marks are met. Missed: {missed}."


def against_de(came: Came, name: str) -> str:
    """Attribution beside DE over the same genes, in words."""
    tops = {arm: hits(came.ranked(arm), came.sets, 30) for arm in ("sae", "de", "de_tested", "de_concept_tested")}
    aurocs = {arm: came.value(arm, "set auroc", "panel") for arm in tops}
    best = max(tops["sae"].values())
    label = max(tops["de_tested"].values())
    word = "more than" if best > label else "as many as" if best == label else "fewer than"
    return (
        f"{BACKBONES[name]}: among the top 30 attribution has {best} interferon genes, {word} the {label} of DE between stimulated and "
        f"control cells over the same genes (over all genes {max(tops['de'].values())}), which is told the labels; DE between cells in which the concept is active and "
        f"the others has {max(tops['de_concept_tested'].values())}. Panel AUROC: {number(aurocs['sae'], 3)}, against "
        f"{number(aurocs['de_tested'], 3)} and {number(aurocs['de_concept_tested'], 3)}."
    )


def verdicts(rows: pd.DataFrame, worlds: pd.DataFrame) -> Markdown:
    """The page in a list."""
    came = all_of(rows)
    said = [sentence(one, name) for name, one in came.items()]
    said += [against_de(one, name) for name, one in came.items()]
    said += [pairs_verdict(one, name) for name, one in came.items()]
    return Markdown("\n".join(f"- {one}" for one in [*said, *planted_verdicts(worlds)]))


def pairs_verdict(came: Came, name: str) -> str:
    """Whether the nearest cell without the concept is a cell of the other condition."""
    same = came.value("sae", "pairs with equal label", STIMULATION)
    if same == 0:
        return f"{BACKBONES[name]}: every counterfactual is a control cell where its prototype is stimulated."
    return (
        f"{BACKBONES[name]}: in {same:.0%} of the pairs both cells have the same stimulation, so that what is swapped there is not the "
        f"response but whatever else tells the two cells apart."
    )


def answer(rows: pd.DataFrame, worlds: pd.DataFrame) -> Markdown:
    """The page in two sentences."""
    passed = [BACKBONES[name] for name, one in all_of(rows).items() if all(mark.met for mark in one.marks())]
    first = f"passed with {' and '.join(passed)}" if passed else "not passed with either backbone"
    second = "is above" if aim(worlds) else "is not above"
    return Markdown(
        f"**On real cells the positive control is {first}. On simulated cells with planted programs the AUPRC of attribution "
        f"{second} that of differential expression by its interval.**"
    )


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
            "With shuffled pairs": number(own["shuffled top 10"].mean(), 1),
            "AUPRC, mean": number(own["attribution auprc"].mean(), 3),
            "AUPRC with shuffled pairs": number(own["shuffled auprc"].mean(), 3),
        }
        for share, own in made.groupby("together")
    ]
    return HTML(table(filled, "Simulated stimulation of 30 genes"))


def planted_verdicts(worlds: pd.DataFrame) -> list[str]:
    """Whether the aim is met, against which opponent, and why."""
    made = {arm: compared(worlds, arm) for arm in ("de", "de_within", "de_truth", "shuffled")}
    gap = made["de"].difference
    said = (
        f"Planted programs, simulated: the aim, attribution's AUPRC above DE's by an interval, is **{'met' if aim(worlds) else 'missed'}**: "
        f"{number(made['de'].own.mean, 3)} against {number(made['de'].other.mean, 3)}, difference {gap.mean:+.3f} "
        f"[{gap.low:+.3f}, {gap.high:+.3f}] over {gap.n_defined} programs of {worlds['seed'].nunique()} seeds."
    )
    parts = []
    for share, own in worlds.groupby("together"):
        one = compared(own, "de").difference
        parts.append(f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}] where {share:.0%} of switches are shared")
    told = made["de_truth"]
    concept = worlds[(worlds["arm"] == "concept")]["value"]
    why = (
        f"Simulated, by degree: {'; '.join(parts)}. DE that is told which cells have the program reaches {number(told.other.mean, 3)}: "
        f"what limits both others is the concept, whose test AUROC is {concept.median():.2f} in the median and {concept.min():.2f} at "
        f"least, because a concept that mixes programs is attributed to all of them and correctly so."
    )
    shuffled = made["shuffled"].difference
    less = "lower" if shuffled.low > 0 else "not reliably lower"
    control = (
        f"Simulated, with shuffled pairs the AUPRC is {less}: {number(made['shuffled'].other.mean, 3)}, difference "
        f"{shuffled.mean:+.3f} [{shuffled.low:+.3f}, {shuffled.high:+.3f}]."
    )
    return [said, why, control]


def provenance(page: str) -> HTML:
    """What the page was made of."""
    return frame.footer(
        manifest(ROOT, page=page or PAGE, tier="book", parameters={}, data={DATA: data.checksum(DATA)})
    )


def live_table(seed: int, together: float, worlds: pd.DataFrame) -> HTML:
    """One simulated stimulation made here, and how far it is from the deposit."""
    read = planted.Read.of(planted.World.of(seed, together), seed)
    now = {(arm, quantity): value for arm, quantity, value in read.scored(0)}
    filled = [
        {
            "Ranked by": title,
            "AUPRC": number(now[arm, "auprc"], 3),
            "Planted among top 10": int(now[arm, "top 10"]),
        }
        for arm, title in planted.ARMS.items()
    ]
    own = worlds[(worlds["seed"] == seed) & (worlds["together"] == together) & (worlds["program"] == 0)]
    then = own.set_index(["arm", "quantity"])["value"]
    apart = max((abs(now[key] - value) for key, value in then.items()), default=np.nan)
    same = "not in the deposit" if np.isnan(apart) else f"equal to the deposit within {apart:.4f}"
    said = f"test AUROC of the concept {now['concept', 'auroc']:.3f}; {same}"
    return HTML(table(filled, f"Simulated stimulation, seed {seed}, made here; {said}"))
