"""Pages on concepts: parts share no cell, text follows the numbers, a plainer arm that wins is named, deposits are whole."""

import json

import numpy as np
import pandas as pd
import pytest
import vl_convert

from perturbook.concepts.parts import SHARES
from perturbook.concepts.planted_dictionary import planted
from perturbook.concepts.sae_settings import SAESettings
from perturbook.errors import ConfigError, InputError
from perturbook.pages import (
    arm_by_arm,
    concepts_cells,
    concepts_live,
    concepts_quality,
    concepts_shown,
    concepts_stability,
)
from perturbook.pages import concepts_quality_shown as quality_shown
from perturbook.pages import concepts_stability_shown as stability_shown
from perturbook.pages.charts import concepts as live_charts
from perturbook.pages.charts import concepts_quality as quality_charts
from perturbook.pages.charts import concepts_stability as stability_charts
from perturbook.pages.concepts_arms import ARMS, SAE
from perturbook.pages.concepts_cells import DATA, SAME_TYPES, Embedded

KANG, PBMC = DATA
RNG = np.random.default_rng(0)


def embedded(n=300, name=KANG):
    """Simulated cells of three types around their own directions."""
    types = RNG.choice(["B", "NK", "CD4T"], n)
    points = RNG.standard_normal((n, 12)) * 0.2 + np.eye(12)[np.unique(types, return_inverse=True)[1]] + 1
    labels = {"cell type": types, "condition": RNG.choice(["control", "IFN-beta"], n)}
    return Embedded(name, points.astype(np.float32), labels | {"phase": np.full(n, "G1")})


# cells


def test_every_cell_is_in_one_part_and_every_type_and_condition_in_each():
    cells = embedded()
    assert cells.told == ["cell type", "condition"]  # a label of one value tells nothing
    assert np.sum([cells.of(part) for part in SHARES], axis=0).tolist() == [1] * 300
    groups = pd.DataFrame({**cells.labels, "part": cells.part}).groupby(["cell type", "condition"])["part"]
    assert groups.value_counts(normalize=True).unstack().sub(SHARES).abs().max().max() < 0.03
    assert (Embedded(cells.name, cells.points, cells.labels, 1).part != cells.part).any()


def test_stored_embeddings_have_length_one_and_name_the_encoder():
    for name in DATA:
        cells = concepts_cells.stored(name)
        assert np.linalg.norm(cells.points, axis=1) == pytest.approx(1, abs=1e-3)
        about = json.loads((concepts_cells.FOLDER / f"concepts-{name}.json").read_text())
        assert about["parameters"]["backbone"] == "small" and len(about["parameters"]["identity"]) == 64
    types = set(concepts_cells.stored(PBMC).labels["cell type"])
    kang = set(concepts_cells.stored(KANG).labels["cell type"])
    assert set(SAME_TYPES) <= types and set(SAME_TYPES.values()) <= kang
    assert {SAME_TYPES.get(one, one) for one in types} - kang == {"Platelet"}


def test_embeddings_that_are_missing_or_of_other_data_are_refused(tmp_path):
    with pytest.raises(InputError, match="is missing; make it with `perturbook train concepts`"):
        concepts_cells.stored(KANG, tmp_path)
    (tmp_path / f"concepts-{KANG}.parquet").write_bytes(b"no table")
    record = tmp_path / f"concepts-{KANG}.json"
    record.write_text(json.dumps({"data": {KANG: "0"}}))
    with pytest.raises(InputError, match="made from other data"):
        concepts_cells.stored(KANG, tmp_path)
    record.write_text((concepts_cells.FOLDER / f"concepts-{KANG}.json").read_text())
    with pytest.raises(InputError, match="cannot be read"):
        concepts_cells.stored(KANG, tmp_path)
    with pytest.raises(ConfigError, match="Unknown data set 'mars'"):
        list(concepts_cells.make(["mars"], tmp_path))


# page 1


def test_planted_cells_are_sums_of_their_atoms_far_from_zero():
    world = planted(0, 2000)
    assert (world.codes > 0).sum(1).tolist() == [3] * 2000
    assert np.linalg.norm(world.atoms, axis=1) == pytest.approx(1)
    made = world.codes @ world.atoms
    left = (world.points - world.points.mean(0)) - (made - made.mean(0))
    assert left.std() == pytest.approx(0.02, rel=0.05)
    spread = np.sqrt(world.points.var(axis=0).sum())
    assert np.linalg.norm(world.points.mean(0)) / spread == pytest.approx(3, rel=1e-4)
    with pytest.raises(ConfigError, match="active 50"):
        planted(0, 10, active=50)


def test_the_table_of_the_reconstruction_names_every_status_and_the_word():
    shown = concepts_shown.reconstruction_table().data
    assert "reconstruction" in shown
    assert all(word in shown for word in ("stated", "inferred", "not known", "not found"))


def live_rows(way, **values):
    return {"way": way, "auxk_steps": 0.5, "gamma": 3.0, "n_cells": 100, "matched": np.nan} | values


def test_what_centring_and_the_window_did_is_said_as_it_came_out():
    ways = [way.title for way in concepts_live.WAYS.values()]

    def said(evs, dead, fires):
        rows = [
            live_rows(way, ev=ev, dead_eval=d, dead_train=0.0, rare_eval=0.0)
            for way, ev, d in zip(ways, evs, dead, strict=True)
        ]
        rows[3]["auxk_steps"] = fires
        return concepts_shown.said_of_planted(concepts_live.Live(pd.DataFrame(rows), pd.DataFrame())).data

    text = said((0.9, 0.5, 0.8, 0.7), (0.1, 0.3, 0.2, 0.5), 0.0)
    assert "Centring pays: 0.90 of the variance is explained, against 0.50" in text
    assert "never fires" in text and "dead latents are fewer: 20 %" in text
    text = said((0.5, 0.9, 0.8, 0.7), (0.1, 0.3, 0.6, 0.5), 0.1)
    assert "does not pay here" in text and "AuxK fires" in text and "not fewer: 60 %" in text


def test_the_page_trains_every_way_live_and_shows_it():
    live = concepts_live.on_planted(0, 1200, 2)
    assert list(live.rows["way"]) == [way.title for way in concepts_live.WAYS.values()]
    assert live.rows["n_cells"].eq(300).all() and live.rows["matched"].notna().all()
    assert live.rows.set_index("way")["auxk_steps"].iloc[[1, 3]].eq(0).all()
    chart = live_charts.passes_chart(live, "simulated cells").to_dict()
    assert vl_convert.vegalite_to_svg({**chart, "width": 500})
    assert "Cosine to the planted atoms" in concepts_shown.live_table(live, "Simulated").data


# deposits


def test_rows_of_an_arm_are_replaced_and_others_kept(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"arm": ["sae", "pca"], "value": [1.0, 2.0]}).to_csv(path, index=False)
    kept = arm_by_arm.begin(path, ["arm", "value"], "pca", [("pca", 3.0)])
    assert kept.set_index("arm")["value"].to_dict() == {"sae": 1.0, "pca": 3.0}
    assert arm_by_arm.chosen(["pca", "sae"]) == ["sae", "pca"]
    assert arm_by_arm.chosen([]) == [SAE, *ARMS]
    with pytest.raises(ConfigError, match="Unknown dictionary 'svd'"):
        arm_by_arm.chosen(["svd"])


def test_halves_share_neither_cells_nor_seeds_and_data_sets_share_no_seed(monkeypatch):
    seen = {}

    def fitted(name, cells, parts, settings):
        seen.setdefault(cells.name, []).append(parts)
        return [None] * len(parts)

    monkeypatch.setattr(concepts_stability, "stored", lambda name: embedded(name=name))
    monkeypatch.setattr(concepts_stability, "_fitted", fitted)
    for name in ("_within", "_across"):
        monkeypatch.setattr(concepts_stability, name, lambda *given: [])
    monkeypatch.setattr(concepts_stability.trained_table, "write", lambda *given: None)
    list(concepts_stability.make(["pca"]))
    seeds = {name: [seed for _, seed in whole] for name, (whole, _) in seen.items()}
    assert len({*seeds[KANG], *seeds[PBMC]}) == 2 * concepts_stability.SEEDS
    for _, halves in seen.values():
        for (first, a), (second, b) in zip(halves[::2], halves[1::2], strict=True):
            assert a != b and not set(first) & set(second)


def test_measured_rows_hold_fidelity_labels_and_power_of_a_small_world(monkeypatch):
    cells = embedded()
    known = {"cell type": concepts_quality._power(cells, cells.points, "cell type")}
    (made,) = concepts_quality.autoencoders(
        cells.points, cells.of("train"), None, [(24, 3, 0)], SAESettings(passes=3, batch=64)
    )
    rows = pd.DataFrame(concepts_quality.measured(cells, SAE, made.sae, known)).set_index(["quantity", "of"])
    assert rows.loc[("l0", ""), "value"] <= 3 and rows.loc[("n_cells", ""), "value"] == cells.of("test").sum()
    assert rows.loc[("macro_f1", "cell type"), "low"] <= rows.loc[("macro_f1", "cell type"), "value"]
    less = rows.loc[("macro_f1_less", "cell type"), "value"]
    assert less == pytest.approx(
        rows.loc[("macro_f1", "cell type"), "value"] - known["cell type"].macro_f1, abs=1e-3
    )


# sentences


def quality_rows(sae, pca):
    """A deposit of explained variance, dead share and probe of two dictionaries."""
    rows = []
    for name in DATA:
        for arm, n, values in ((SAE, 512, sae), ("pca", 256, pca)):
            for (quantity, of), value in zip(
                [("ev", ""), ("dead_eval", ""), ("macro_f1", "cell type")], values, strict=True
            ):
                rows.append((name, arm, n, 16, quantity, of, value, value - 0.1, value + 0.1))
        rows.append((name, SAE, 512, 16, "macro_f1_less", "cell type", -0.2, -0.3, -0.1))
    return pd.DataFrame(rows, columns=concepts_quality.COLUMNS)


def test_a_plainer_arm_that_beats_the_autoencoder_is_named_and_one_that_does_not_is_not():
    rows = quality_rows((0.9, 0.3, 0.5), (0.95, 0.3, 0.502))
    assert quality_shown.beaten(rows, KANG) == {
        "Explained variance (0.90)": ["PCA 0.95"],
        "Dead on test cells (0.30)": [],
        "Probe, cell type (0.50)": [],  # no difference that the table shows
    }
    said = quality_shown.said_of_arms(rows).data
    assert (
        "better than the autoencoder by 1 of 3 measures" in said
        and "- Explained variance (0.90): PCA 0.95" in said
    )
    assert "minus what the embedding itself tells, -0.20 in macro-F1 [-0.30, -0.10]: less" in (
        quality_shown.answer(rows).data
    )
    best = quality_rows((0.9, 0.3, 0.5), (0.8, 0.4, 0.4))
    assert "by 0 of 3 measures" in quality_shown.said_of_arms(best).data


def stability_rows(sae, pca, start=0.9):
    rows = []
    for arm, value in ((SAE, sae), ("pca", pca)):
        for kind in (*(f"{one}: {name}" for one in ("seeds", "halves") for name in DATA), "data sets"):
            rows += [(arm, kind, "all", "mean", pair, value) for pair in range(3)]
            rows += [(arm, kind, "all", one, "", 0.25) for one in ("alike", "same", "chance", "sd")]
    for name in DATA:
        for atoms in ("all", "usual"):
            rows.append((SAE, f"dictionary: {name}", atoms, "start", 0, start))
    return pd.DataFrame(rows, columns=concepts_stability.COLUMNS)


def test_stability_is_said_beside_chance_and_who_goes_further_is_named():
    rows = stability_rows(0.4, 1.0)
    assert stability_shown.better(rows, "halves", KANG) == (
        "the autoencoder goes 0.20 of the way from chance to identity; further go PCA (1.00)"
    )
    assert stability_shown.fixed(rows) == ["PCA"]
    assert f"0.40, where chance gives 0.25, on {KANG}" in stability_shown.answer(rows).data
    assert "no arm goes further" in stability_shown.better(stability_rows(0.9, 0.5), "halves", KANG)
    assert "hardly left their draw" in stability_shown.moved(rows).data
    assert "have left their draw" in stability_shown.moved(stability_rows(0.4, 1.0, 0.2)).data


@pytest.fixture(scope="module")
def deposits():
    return concepts_quality.read(), concepts_stability.read()


def test_the_deposits_of_the_project_hold_the_autoencoder_and_every_arm_on_both_data_sets(deposits):
    quality, stability = deposits
    assert set(quality["data"]) == set(DATA) and {SAE, "embedding", *ARMS} == set(quality["arm"])
    assert {SAE, *ARMS} == set(stability["arm"])
    seeds = stability[(stability["kind"] == f"seeds: {KANG}") & (stability["atoms"] == "all")]
    assert (seeds[seeds["quantity"] == "mean"].groupby("arm").size() == 10).all()
    # dictionaries that nobody trained agree as chance does, over seeds, halves and data sets
    found = stability_shown.agreement(stability).set_index(["arm", "kind", "data"])["beyond"]
    for kind, name in (("seeds", KANG), ("halves", KANG), ("halves", PBMC), ("data sets", "")):
        for arm in ("random", "untrained_sae"):
            assert abs(found[arm, kind, name]) < 0.03, (arm, kind, name)


@pytest.mark.parametrize(
    "make",
    [quality_charts.fidelity_chart, quality_charts.sweep_chart, quality_charts.power_chart],
)
def test_charts_of_quality_draw_and_describe_themselves(make, deposits):
    spec = make(deposits[0]).to_dict()
    assert len(spec["description"]) > 80 and spec["width"] == "container"
    assert vl_convert.vegalite_to_svg({**spec, "width": 500})


@pytest.mark.parametrize("make", [stability_charts.agreement_chart, stability_charts.transfer_chart])
def test_charts_of_stability_draw_and_describe_themselves(make, deposits):
    spec = make(deposits[1]).to_dict()
    assert len(spec["description"]) > 80 and spec["width"] == "container"
    assert vl_convert.vegalite_to_svg({**spec, "width": 500})


def test_tables_of_both_pages_can_be_shown(deposits):
    quality, stability = deposits
    assert "Embedding itself" in quality_shown.arms_table(quality, KANG).data
    assert "Beyond chance" in stability_shown.agreement_table(stability, ["seeds", "halves"], "usual").data
    assert "EV, carried" in stability_shown.transfer_table(stability).data
    assert stability_shown.transfer_said(stability).data.startswith("The autoencoder's explained variance")
