"""The latents study: what is held out and permuted, a deposit that equals what was read, sentences that follow the numbers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_made import cells as hand_made

from perturbook.data.cell_cycle import G2_M, S_PHASE
from perturbook.errors import ConfigError, DataUnavailable, InputError
from perturbook.evaluation.programs import program_map
from perturbook.models.perturbed_vae import reading
from perturbook.pages import latents, latents_agreement, latents_deposit, latents_simulated, train
from perturbook.pages import latents_findings as findings
from perturbook.pages import latents_tables as shown
from perturbook.pages.charts import latents as charts
from perturbook.pages.charts import latents_graph as graph
from perturbook.pages.identifiability import World
from perturbook.pages.latents_compared import Agreement, agreement, largest_permuted, names, responding
from perturbook.pages.latents_screen import DEPTH, Screen

TARGETS = ["A", "B", "C"]
SMALL = {"d_nu": 3, "d_iota": 4, "hidden": 8}


def cells():
    """Sixteen cells of control and of three genes, twelve genes measured, three of them of G2 and M."""
    rows = [("K", name, np.nan) for name in ("control", *TARGETS) for _ in range(16)]
    made = hand_made(rows, np.random.default_rng(0).uniform(0, 2, size=(len(rows), 12)))
    made.var_names = [*sorted(G2_M)[:3], *sorted(S_PHASE)[:2], *(f"G{i}" for i in range(7))]
    made.obs["n_counts"] = np.random.default_rng(1).uniform(1000, 2000, len(rows))
    return made


@pytest.fixture(scope="module")
def screen():
    return Screen.of(cells())


@pytest.fixture(scope="module")
def small(screen):
    """A deposit of a tiny screen: three epochs, two seeds, two permutations; and the folder it lies in."""
    with pytest.MonkeyPatch.context() as patch:
        arms = {
            name: replace(arm, switches={**arm.switches, **SMALL}, seeds=2, draws=min(arm.draws, 2))
            for name, arm in latents.ARMS.items()
        }
        for module in (latents, latents_deposit, shown, findings):
            patch.setattr(module, "ARMS", arms)
        patch.setattr("perturbook.pages.latents_compared.ARMS", arms)
        patch.setattr(Screen, "load", classmethod(lambda cls: screen))
        yield arms


@pytest.fixture(scope="module")
def path(small, tmp_path_factory):
    to = tmp_path_factory.mktemp("results") / "latents.csv"
    lines = list(latents_deposit.make(list(small), to, epochs=3))
    assert lines[0] == "paired, permutation 0: 2 seeds" and lines[-1] == "permuted, permutation 2: 2 seeds"
    return to


@pytest.fixture(scope="module")
def rows(path):
    return latents_deposit.stored(path)


def test_a_quarter_of_every_condition_is_held_out_whatever_the_order_of_the_cells(screen):
    held = pd.Series(screen.held).groupby(screen.labels).sum()
    assert held.to_dict() == dict.fromkeys(["control", *TARGETS], 4)
    other = Screen.of(cells()[::-1])
    assert (other.cells.obs_names == screen.cells.obs_names).all() and (other.held == screen.held).all()


def test_permuted_labels_keep_their_numbers_on_both_sides_and_fit_the_controls(screen):
    dealt = screen.permuted(1)
    for part in (screen.held, ~screen.held):
        assert sorted(dealt.labels[part]) == sorted(screen.labels[part])
    assert (dealt.labels != screen.labels).mean() > 0.5 and (dealt.x == screen.x).all()
    assert (dealt.cells.obs["is_control"].to_numpy() == (dealt.labels == "control")).all()
    assert (dealt.labels == screen.permuted(1).labels).all() and (
        dealt.labels != screen.permuted(2).labels
    ).any()
    assert screen.permuted(0) is screen


def test_biology_is_measured_from_three_genes_on_and_relative_to_the_condition(screen):
    found = screen.biology()
    assert np.isnan(found["S phase"]).all() and np.isnan(found["Haemoglobin"]).all()
    for name in (DEPTH, "G2 and M"):
        for target in TARGETS:
            fitted_on = (screen.labels == target) & ~screen.held
            assert found[name][fitted_on].mean() == pytest.approx(0, abs=1e-6)
    own = screen.x[:, :3].mean(axis=1)
    for name in ("control", "A"):
        mine = screen.labels == name
        assert np.corrcoef(found["G2 and M"][mine], own[mine])[0, 1] == pytest.approx(1)


def test_the_deposit_holds_what_was_read_from_every_training(small, screen, rows):
    for seed in (0, 1):
        one = latents.read(latents.fit(screen, small["paired"], seed, 3), screen)
        found = latents_deposit.ensemble(rows, "paired")
        assert found.effects[seed] == pytest.approx(one.effects["cells"], abs=6e-5)
        assert found.edges[seed] == pytest.approx(one.edges["control"], abs=6e-5)
        averaged = latents_deposit.ensemble(rows, "paired", "averaged").edges[seed]
        assert averaged == pytest.approx(one.edges["averaged"], abs=6e-5)
        assert one.zn.shape == one.blind.shape == (64, 3) and one.zi.shape == (64, 4)
    table = found.correlation
    assert (table[0, 1] == table[1, 0].T).all() and np.abs(table).max() <= 1
    permuted = latents_deposit.ensemble(rows, "permuted", draw=2)
    assert (permuted.effects != found.effects).any() and permuted.effects.shape == (2, 3, 3)


def test_only_control_and_what_the_code_says_is_read_in_another_seed(rows):
    mine = rows[(rows["arm"] == "paired") & (rows["quantity"] == "measured")].set_index("of")["value"]
    assert mine.to_dict() == {"S phase": 2, "G2 and M": 3, "Haemoglobin": 0, "genes": 12}
    facts = shown.facts(rows)
    assert (facts["n_targets"], facts["n_conditions"], facts["needed"], facts["n_permuted"]) == (3, 4, 6, 4)
    assert facts["least_p"] == pytest.approx(1 / 3)


def test_tables_show_the_deposit(rows):
    found = agreement(rows)
    said = latents_agreement.agreement_table(rows).data
    for one in found.values():
        assert one.pairs.shape == (1,) and one.null.shape == (2,)
    assert f"<td>{found['latents'].pairs.mean():.2f}<small>" in said
    nats = rows[(rows["arm"] == "summed") & (rows["quantity"] == "nats") & (rows["of"] == "responsive")]
    total = nats.groupby("seed")["value"].sum()
    assert (
        f"{total.mean():.2f}<small>{total.min():.2f} to {total.max():.2f}</small>"
        in shown.information_table(rows).data
    )
    probed = rows[
        (rows["quantity"] == "probe") & (rows["arm"] == "unaligned") & (rows["to"] == "Perturbation")
    ]
    invariant = probed[probed["of"].str.startswith("Invariant")]["value"].to_numpy()
    assert f"{invariant.min():.2f} to {invariant.max():.2f}</small>" in shown.arms_table(rows).data
    assert "<td>undefined</td>" in shown.arms_table(rows).data  # S phase
    assert "averaged over u" in latents_agreement.edge_table(rows).data


def test_a_seed_trained_on_the_page_is_the_deposited_one(rows):
    live = latents.live(1, 3)
    targets, effects = shown.shown_effects(live, rows)
    assert targets == TARGETS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "EPOCHS", 3)
        assert "seed 1 gives the deposited effects to within 0.00" in findings.same_as_stored(live, rows).data
    assert "not among the deposited" in findings.same_as_stored(replace(live, seed=7), rows).data
    assert "Read from" in shown.probe_table(live).data and "[" in shown.probe_table(live).data
    program = program_map(effects)[0]
    said = shown.program_table(live, rows).data
    assert f"<td>A</td><td>{names(targets, effects)[program[0]]}</td>" in said and "of 2 seeds" in said
    assert "per SD of the latent" in shown.latent_table(live).data
    options = charts.probe_chart(live).to_dict()["params"][0]["bind"]["options"]
    assert options == ["Perturbation", DEPTH, "G2 and M"]
    assert len(charts.program_chart(live, rows).to_dict()["layer"]) == 2


def test_where_the_cells_cannot_be_had_the_page_shows_the_deposit(rows, monkeypatch):
    def absent(cls):
        raise DataUnavailable("no network")

    monkeypatch.setattr(Screen, "load", classmethod(absent))
    live = latents.live(0, 3)
    assert live is None
    assert (
        "could not be fetched" in shown.probe_table(live).data
        and "could not" in charts.probe_chart(live).data
    )
    assert "seed 0" in shown.program_table(live, rows).data and findings.same_as_stored(live, rows).data == ""
    assert shown.shown_effects(live, rows)[1] == pytest.approx(
        latents_deposit.ensemble(rows, "paired").effects[0]
    )


def test_the_graph_draws_seed_0_and_counts_its_edges_in_every_seed(rows):
    edges = graph.edges_of(rows)
    control = edges[edges["kind"] == "at control"]
    found = latents_deposit.ensemble(rows, "paired")
    assert control["weight"].to_numpy() == pytest.approx(found.edges[0][np.tril_indices(3, -1)])
    assert control["s0"].to_numpy() == pytest.approx(np.abs(control["weight"]), abs=1e-3)
    spec = graph.graph_chart(rows).to_dict()
    assert {one["name"]: one["value"] for one in spec["params"]} == {"threshold": 0.25, "kind": "at control"}
    assert (
        "0 edges above 0.25" in spec["description"] or "edges above 0.25, the largest" in spec["description"]
    )
    assert charts.agreement_chart(rows).to_dict()["width"] == "container"
    lines = charts.singular_chart(rows).to_dict()
    assert lines["encoding"]["y"]["scale"]["type"] == "log"


def edited(path, to, change):
    """A copy of a deposit whose rows are changed."""
    change(pd.read_csv(path)).to_csv(to, index=False)
    to.with_suffix(".json").write_bytes(path.with_suffix(".json").read_bytes())
    return to


def test_a_deposit_that_is_missing_incomplete_or_of_other_cells_is_refused(path, tmp_path):
    with pytest.raises(InputError, match="is missing; make it with `perturbook train latents`"):
        latents_deposit.stored(tmp_path / "none.csv")
    lacking = edited(path, tmp_path / "a.csv", lambda r: r[(r["arm"] != "permuted") | (r["draw"] == 1)])
    with pytest.raises(InputError, match="lacks arm permuted, permutation 2, seed 0; make it"):
        latents_deposit.stored(lacking)
    more = edited(path, tmp_path / "b.csv", lambda r: r.assign(arm=r["arm"].replace("summed", "a magnet")))
    with pytest.raises(InputError, match="holds, without need, arm a magnet"):
        latents_deposit.stored(more)
    with pytest.raises(InputError, match="has columns"):
        latents_deposit.stored(edited(path, tmp_path / "c.csv", lambda r: r.drop(columns="draw")))
    other = edited(path, tmp_path / "d.csv", lambda r: r)
    other.with_suffix(".json").write_text('{"data": {"norman2019-mini": "0"}}')
    with pytest.raises(InputError, match="made from other data"):
        latents_deposit.stored(other)


def test_an_arm_can_be_made_again_alone(path, tmp_path, small):
    to = edited(path, tmp_path / "latents.csv", lambda r: r[r["arm"] != "summed"])
    list(latents_deposit.make(["summed"], to, epochs=3))
    again, before = (latents_deposit.stored(one) for one in (to, path))
    keys = ["arm", "draw", "seed", "quantity", "of", "to"]
    assert again.sort_values(keys, ignore_index=True).equals(before.sort_values(keys, ignore_index=True))
    with pytest.raises(
        ConfigError, match="Unknown arm 'magnet'. Known: paired, unaligned, summed, permuted, simulated"
    ):
        list(latents_deposit.make(["magnet"], to))


def test_stability_no_better_than_the_null_is_said():
    better = Agreement(np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3]))
    assert better.p == 0.25 and better.better
    assert findings.compared(better, "Programs").endswith(
        "more than under all 3 permutations of the labels (at most 0.30)."
    )
    same = Agreement(np.array([0.1, 0.3]), np.array([0.1, 0.2, 0.3]))
    assert same.p == 0.75
    assert "**no better than the null**: 2 of 3 permutations" in findings.compared(same, "Programs")
    assert "undefined" in findings.compared(Agreement(np.array([np.nan]), np.array([0.1])), "Programs")


def with_probe(rows, **values):
    """Rows in which the invariant latents of the first arm give these scores; the null ends at 0.1."""
    rows = rows.copy()
    own = (rows["arm"] == "paired") & rows["of"].astype(str).str.startswith("Invariant")
    for target, value in values.items():
        mine = own & (rows["to"] == target.replace("_", " "))
        rows.loc[mine & (rows["quantity"] == "probe"), "value"] = value
        rows.loc[mine & (rows["quantity"] == "probe, null"), "value"] = 0.1
    return rows


def test_both_sides_of_the_probe_are_judged_by_their_numbers(rows):
    fails = findings.probe_verdict(with_probe(rows, Perturbation=0.4, G2_and_M=0.05))
    assert "not invariant: in 2 of 2 trainings" in fails and "Not in every training do they hold: " in fails
    assert "G2 and M (0.05, against" in fails and "Undefined on these cells: S phase; Haemoglobin" in fails
    passes = findings.probe_verdict(with_probe(rows, Perturbation=0.05, G2_and_M=0.7))
    assert passes.startswith("The perturbation cannot be read") and "They hold, as correlations: " in passes


def test_a_target_responds_only_beyond_every_permuted_effect(rows):
    limit = largest_permuted(rows)
    mine = (rows["arm"] == "paired") & (rows["quantity"] == "effect, cells")
    made = rows.copy()
    made.loc[mine, "value"] = 0.0
    assert responding(made) == {"A": 0, "B": 0, "C": 0} and "0 of 3 targets" in findings.program_verdict(made)
    made.loc[mine & (made["of"] == "B") & (made["to"].astype(str) == "1"), "value"] = 2 * limit
    assert responding(made)["B"] == 2 and "1 of 3 targets" in findings.program_verdict(made)


def test_sentences_are_made_for_every_question(rows):
    simulated = pd.DataFrame(
        [
            (arm, m, 0, 0.9 if arm == "twins" else 0.4)
            for arm in latents_simulated.SHOWN
            for m in latents_simulated.MEASURES
        ]
        + [("truth", "largest", 0, 0.55)],
        columns=latents_simulated.COLUMNS,
    )
    said = findings.verdicts(rows, simulated).data
    assert len(said.splitlines()) == 10 and "nan" not in said
    assert "agree in their latents at 0.90" in said and "need not be true" not in said
    simulated.loc[(simulated["arm"] == "random") & (simulated["measure"] == "latents, seeds"), "value"] = 0.8
    assert "What is stable need not be true" in latents_simulated.verdict(simulated)
    assert " of 7 latents are in use" in said and "nats of a cell" in said
    assert findings.answer(rows).data.count("permuted labels") >= 2


def test_the_simulated_truth_scores_one_under_another_name(monkeypatch):
    world = World.of(0)
    effects, edges = latents_simulated.truth(world)[0], world.cells.uns["truth"]["Lnn"][0]
    order, sign = np.array([2, 0, 3, 1]), np.array([1, -1, 1, -1])
    zn, zi = world.cells.obsm["zn"][:, order] * sign, world.cells.obsm["zi"]
    turned = edges[np.ix_(order, order)] * np.outer(sign, sign)
    told = reading.Prior(
        np.vstack([np.zeros(4), effects[:, order]]), np.ones((13, 4)), np.tile(turned, (13, 1, 1))
    )
    monkeypatch.setattr(reading, "prior", lambda model, codes: told)
    monkeypatch.setattr(reading, "posterior", lambda model, x, u: reading.Posterior(zn, zi, 0 * zn))
    against, *_ = latents_simulated._read(type("Model", (), {"n_perts": 12}), world)
    right = [against[key] for key in ("invariant", "mcc", "programs, prior")]
    assert right == pytest.approx([1, 1, 1]) and against["edges"] > 0.99
    assert against["programs"] > 0.8 and against["environment"] < 0.2  # test cells against training cells


def test_the_simulated_deposit_holds_every_measure_of_both_arms(tmp_path, monkeypatch):
    whole = World.of(0)
    few = whole.subset(np.arange(whole.cells.n_obs) % 8 == 0)
    monkeypatch.setattr(latents_simulated.World, "of", classmethod(lambda cls, seed: few))
    to = tmp_path / "latents-simulated.csv"
    assert len(list(latents_simulated.make(to, seeds=2, epochs=1))) == 4
    stored = latents_simulated.stored(to)
    counted = stored.groupby("measure").size().to_dict()
    assert counted == {
        m: 2 if "seeds" in m else 5 if m == "largest" else 4 for m in latents_simulated.MEASURES
    }
    assert "Simulated cells" in latents_agreement.simulated_table(stored).data


def test_the_command_trains_a_study_as_a_whole_or_in_parts(monkeypatch):
    asked = []
    monkeypatch.setattr(latents_deposit, "make", lambda names: asked.append(list(names)) or iter(["line"]))
    assert list(train.train("latents", ["paired"])) == ["line"] and asked == [["paired"]]
    with pytest.raises(ConfigError, match="takes no parameter"):
        list(train.train("latents", given={"seed": 1}))
