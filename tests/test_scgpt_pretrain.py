"""Pre-training: the objective against reference losses, the cells it may see, and the models it makes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from small_book import ROOT

import perturbook
from perturbook import data
from perturbook.data.fingerprint import fingerprints_of
from perturbook.errors import ConfigError, LeakError
from perturbook.models.scgpt import Vocabulary, load, pretrain
from perturbook.models.scgpt.gene_mean import GeneMeans, whole_cells
from perturbook.models.scgpt.objective import RATIOS, Batch, Masked, Objective, Split, make_batch
from perturbook.models.scgpt.pretrain import RECIPES, begin
from perturbook.models.scgpt.pretraining_batches import PretrainingBatches
from perturbook.models.scgpt.pretraining_cells import REGISTRY_GENES, SOURCES, genes_of, load_cells
from perturbook.models.scgpt.pretraining_validation import HeldOut
from perturbook.models.scgpt.tokens import Tokens, pad
from perturbook.models.shipped import pretrained
from perturbook.models.training import Settings
from perturbook.splits.pretrained import refuse_pretrained

FIXTURES = Path(__file__).parent / "fixtures" / "scgpt"
SHIPPED = Path(perturbook.__file__).parent / "models" / "checkpoints" / "small"
SEED_OF_PAGES = 0


def arrays(name):
    with np.load(FIXTURES / name) as stored:
        return {key: torch.from_numpy(stored[key]) if stored[key].ndim > 1 else stored[key] for key in stored}


@pytest.fixture(scope="module")
def cells():
    return load_cells("smoke")


@pytest.fixture(scope="module")
def batches(cells):
    return PretrainingBatches(cells, np.arange(100), size=8, max_length=40, form="both")


# the objective


@pytest.fixture(scope="module")
def generative():
    z = arrays("C_generative/generative.npz")
    asked = Tokens(z["gen_gene"], z["gen_expr_target"], z["gen_padding"])
    return z, Batch(Split(Tokens(z["pcpt_gene"], z["pcpt_expr"], z["pcpt_padding"]), asked), None)


def test_the_generative_losses_and_gradients_are_those_of_the_reference(generative):
    z, batch = generative
    model = load(FIXTURES / "C_generative")
    terms = Objective(replay_after=7, project_generated=False)(model, batch, 7)
    found = [terms[name].item() for name in ("generated", "generated mvc", "generated from cell")]
    assert found == pytest.approx([814.4595, 752.3168, 813.9001], rel=1e-5)
    assert terms["loss"].item() == pytest.approx(sum(found))
    terms["loss"].backward()
    parameters = dict(model.named_parameters())
    names = [str(name).replace("Wqkv.", "in_proj_") for name in z["grad_names"]]
    norms = [parameters[name].grad.norm().item() for name in names]
    assert norms == pytest.approx(z["grad_norms"].tolist(), rel=1e-4, abs=1e-6)


def test_the_masked_losses_are_those_of_the_reference():
    z = arrays("A/forward.npz")
    tokens = Tokens(z["src"], z["values"], z["src_key_padding_mask"])
    batch = Batch(None, Masked(tokens, z["target_values"], z["values"] == -1))
    terms = Objective()(load(FIXTURES / "A"), batch, 0)
    assert terms["masked"].item() == pytest.approx(727.25916, rel=1e-5)
    assert terms["masked mvc"].item() == pytest.approx(891.89465, rel=1e-5)


def test_the_second_pass_begins_after_the_stated_steps_and_teaches_through_no_cell_embedding(generative):
    _, batch = generative
    model = load(FIXTURES / "C_generative")
    objective = Objective(replay_after=3)
    assert "generated from cell" not in objective(model, batch, 2)
    terms = objective(model, batch, 3)
    terms["generated from cell"].backward()
    table = model.encoder.embedding.weight.grad
    cls = int(batch.generative.perceived.gene_ids[0, 0])
    assert not table[cls].any() and table[int(batch.generative.perceived.gene_ids[0, 1])].any()


def test_the_projection_of_generated_tokens_is_ours_to_choose_and_changes_the_loss(generative):
    _, batch = generative
    model = load(FIXTURES / "C_generative")
    ours, theirs = (Objective(project_generated=way)(model, batch, 0)["generated"] for way in (True, False))
    assert Objective().project_generated and abs(ours.item() - theirs.item()) > 0.1


def test_whatever_stands_at_padding_reaches_no_loss(generative):
    _, batch = generative
    model = load(FIXTURES / "C_generative")
    known, asked = batch.generative
    dirty = Split(
        known._replace(values=known.values.masked_fill(known.padding, 400.0)),
        asked._replace(values=asked.values.masked_fill(asked.padding, 400.0)),
    )
    clean, other = (
        Objective(replay_after=0)(model, Batch(one, None), 0) for one in (batch.generative, dirty)
    )
    assert {name: value.item() for name, value in clean.items()} == pytest.approx(
        {name: value.item() for name, value in other.items()}
    )


# batches


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_split_shares_out_every_gene_of_a_cell_once(cells, ratio):
    rows = np.array([0, 400, 900])
    names, whole = list(cells.names[rows]), whole_cells(cells, rows, 3)
    (known, asked), masked = make_batch(pad(whole, cells.vocabulary.pad), names, ratio, 5, "generative")
    assert masked is None
    for i, (ids, bins) in enumerate(whole):
        seen, hidden = (part.gene_ids[i][~part.padding[i]].tolist() for part in (known, asked))
        assert len(hidden) == int((len(ids) - 1) * ratio)
        assert sorted(seen + hidden) == sorted(ids) and seen[0] == cells.vocabulary.cls
        values = dict(zip(ids.tolist(), bins.tolist(), strict=True))
        assert [values[gene] for gene in hidden] == asked.values[i][~asked.padding[i]].tolist()
        assert [values[gene] for gene in seen] == known.values[i][~known.padding[i]].tolist()


def test_the_masked_form_hides_values_and_no_gene(cells):
    rows = np.array([0, 400])
    whole = pad(whole_cells(cells, rows, 3), cells.vocabulary.pad)
    none, (tokens, bins, hidden) = make_batch(whole, list(cells.names[rows]), 0.5, 5, "masked")
    assert none is None and torch.equal(tokens.gene_ids, whole.gene_ids) and torch.equal(bins, whole.values)
    assert torch.equal(tokens.values == -1, hidden) and not hidden[:, 0].any() and hidden.any()
    assert torch.equal(tokens.values[~hidden], whole.values[~hidden])


def test_both_forms_share_the_cells_of_a_batch(batches):
    generative, masked = batches(0, 0)[0]
    assert len(generative.perceived.gene_ids) == len(masked.bins) == 4


def test_an_unknown_form_is_refused(cells):
    with pytest.raises(ConfigError, match="generative, masked, both"):
        make_batch(
            pad(whole_cells(cells, [0], 0), cells.vocabulary.pad), list(cells.names[:1]), 0.5, 0, "gan"
        )


def test_an_epoch_shows_every_cell_once_with_like_lengths_together(cells):
    batches = PretrainingBatches(cells, np.arange(1000), size=8, max_length=200, form="both")
    plans = batches(0, 0).plans
    assert sorted(np.concatenate([plan.rows for plan in plans])) == list(range(1000))
    assert {plan.ratio for plan in plans} == set(RATIOS)
    spread = np.mean([np.ptp(cells.lengths[plan.rows]) for plan in plans])
    at_random = np.mean([np.ptp(cells.lengths[part]) for part in np.arange(1000).reshape(-1, 8)])
    assert spread < at_random / 2
    assert [plan.rows[0] for plan in plans[:16]] != sorted(plan.rows[0] for plan in plans[:16])


def test_batches_are_the_same_for_one_seed_and_epoch_and_others_else(batches):
    first, again, later, other = (batches(*key)[0].masked for key in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert all(torch.equal(a, b) for a, b in zip(first.tokens, again.tokens, strict=True))
    for changed in (later, other):
        assert first.bins.shape != changed.bins.shape or not torch.equal(first.bins, changed.bins)


def test_no_batch_holds_more_tokens_than_asked_for(batches):
    assert max(batches(0, 0)[i].masked.bins.shape[1] for i in range(3)) == 40


# cells


def pages():
    return yaml.safe_load((ROOT / "book" / "pages.yml").read_text())["pages"]


def test_no_model_is_trained_on_cells_that_a_page_holds_out_from():
    scored = {row["parameters"]["data"] for row in pages() if row.get("notebook") in ("setting", "sweep")}
    assert "kang2018-mini" in scored and "simulated-drugs" in scored
    for source in (one for sources in SOURCES.values() for one in sources):
        if source.dataset in scored:
            assert data.DATASETS[source.dataset].synthetic
            assert source.options["seed"] > 1000, "worlds of pages have small seeds"


def test_pages_use_small_seeds():
    assert {row["parameters"].get("seed", 0) for row in pages() if "parameters" in row} == {SEED_OF_PAGES}


def test_cells_say_where_they_are_from(cells):
    (told,) = cells.trained_on
    assert told["dataset"] == "simulated-drugs" and told["options"] == {"seed": 1001, "size": "small"}
    assert told["sha256"] == data.checksum("simulated-drugs")
    assert told["contexts"] == ["line-1", "line-2", "line-3"] and told["cells"] == len(cells.names) == 1140
    assert len(set(cells.names)) == 1140
    assert cells.names[0] == "simulated-drugs seed=1001 size=small line-1|control|0|000"


def test_counts_stand_in_the_columns_of_their_tokens(cells):
    adata = data.load("simulated-drugs", seed=1001, size="small", expectation=False)
    assert cells.vocabulary.tokens[:3] == ("sim-001", "sim-002", "sim-003") and len(cells.vocabulary) == 123
    ids = cells.vocabulary.ids_of(adata.var_names)
    assert (cells.matrix[:, ids] != adata.X).nnz == 0
    assert not cells.matrix[:, [cells.vocabulary.pad, cells.vocabulary.cls]].nnz


def test_a_share_of_every_source_is_held_out_for_validation(cells):
    train, valid = cells.held_out(0.05, 0)
    assert len(valid) == 57 and sorted([*train, *valid]) == list(range(1140))
    assert not np.array_equal(valid, cells.held_out(0.05, 1)[1])


def test_perturbed_genes_belong_to_the_vocabulary_and_drugs_do_not(screen):
    assert genes_of(screen) == set(screen.var_names)
    screen.obs["kind"] = "CRISPRa"
    screen.obs["perturbation"] = (
        screen.obs["perturbation"].astype(str).replace({"Aspirin": "KLF1+SET", "Metformin": "TP53"})
    )
    assert genes_of(screen) == {*screen.var_names, "KLF1", "SET", "TP53"}


# gene means


def test_gene_means_are_means_of_bins_where_a_gene_is_expressed(cells):
    rows = np.array([0, 1, 500])
    means = GeneMeans(cells, rows, seed=4)
    whole = whole_cells(cells, rows, 4)
    every = np.concatenate([bins[1:] for _, bins in whole])
    assert means.overall == pytest.approx(every.mean())
    gene = int(whole[0][0][5])
    here = [bins[ids == gene][0] for ids, bins in whole if gene in ids]
    assert means.by_gene[gene] == pytest.approx(np.mean(here))
    unseen = int(np.flatnonzero(~means.seen)[0])
    told = means.predict(np.array([0, 0]), np.array([gene, unseen]))
    assert told["gene mean"].tolist() == pytest.approx([np.mean(here), means.overall])
    of_line = [bins[ids == gene][0] for ids, bins in whole[:2] if gene in ids]
    assert told["gene mean by context"][0] == pytest.approx(np.mean(of_line))


def test_held_out_errors_are_taken_over_generated_genes_and_ties_are_part_of_them(cells):
    train, valid = cells.held_out(0.05, 0)
    held_out, means = HeldOut(cells, valid, 64, 0), GeneMeans(cells, train)
    scores = held_out.opponents(means)
    assert set(held_out.rows) <= set(valid)
    assert scores["overall mean"]["all"] == pytest.approx(
        ((held_out.bins - means.overall) ** 2).mean(), rel=1e-5
    )
    assert scores["gene mean"]["all"] < scores["overall mean"]["all"]
    assert 0 < scores["random ties alone"]["all"] < scores["gene mean by context"]["all"]
    model = begin(RECIPES["smoke"], cells, means.overall, 0)
    found = held_out(model)
    expected = ((held_out.predictions(model) - held_out.bins) ** 2).mean()
    assert found["loss"] == found["simulated-drugs"] == pytest.approx(expected, rel=1e-5)
    assert found == held_out(model)


# whole runs


def test_bins_reach_the_model_as_different_vectors_from_the_start(cells):
    values = torch.arange(1.0, 51.0).reshape(1, -1)
    made = begin(RECIPES["smoke"], cells, 25.0, 0)
    vectors = made.value_encoder(values)[0]
    alike = torch.nn.functional.cosine_similarity(vectors[4], vectors[44], dim=0)
    assert alike < 0.8
    assert made.decoder.fc[-1].bias.item() == 25


@pytest.fixture
def tiny(monkeypatch):
    recipe = RECIPES["smoke"]
    settings = Settings(steps=9, validate_every=6, checkpoint_every=3, log_every=3)
    monkeypatch.setitem(RECIPES, "smoke", replace(recipe, settings=settings, batch=8, embsize=16))
    return recipe


def test_an_interrupted_run_ends_with_the_bytes_of_an_unbroken_one(tiny, tmp_path, monkeypatch):
    whole = pretrain.pretrain("smoke", tmp_path / "whole", seed=2)

    class Dying(Objective):
        def __call__(self, model, batch, step):
            if step == 7:
                raise KeyboardInterrupt
            return super().__call__(model, batch, step)

    with monkeypatch.context() as patch:
        patch.setitem(RECIPES, "smoke", replace(RECIPES["smoke"], objective=Dying(replay_after=200)))
        with pytest.raises(KeyboardInterrupt):
            pretrain.pretrain("smoke", tmp_path / "broken", seed=2)
    assert not (tmp_path / "broken").exists()
    resumed = pretrain.pretrain("smoke", tmp_path / "broken", seed=2)
    assert resumed.identity == whole.identity
    for name in ("model.safetensors", "vocab.json", "args.json", "curve.csv"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "whole"]


def test_the_audit_knows_every_cell_that_a_model_has_seen(tiny, tmp_path):
    pretrain.pretrain("smoke", tmp_path / "model")
    seen = pretrained(tmp_path / "model")
    adata = data.load("simulated-drugs", seed=1001, size="small", expectation=False)
    assert np.array_equal(seen.cells, fingerprints_of(adata))
    with pytest.raises(LeakError, match="that the backbone smoke was trained on"):
        refuse_pretrained(adata[:5].copy(), seen)
    refuse_pretrained(data.load("simulated-drugs", size="small", expectation=False), seen)


def test_an_unknown_size_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="small, smoke"):
        pretrain.pretrain("huge", tmp_path / "model")


@pytest.mark.slow
def test_the_smoke_model_beats_the_gene_mean_on_held_out_cells(tmp_path):
    model = pretrain.pretrain("smoke", tmp_path / "model")
    scores = model.card["validation"]["scores"]
    assert scores["model"]["all"] < 0.9 * scores["gene mean"]["all"]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "args.json",
        "card.json",
        "curve.csv",
        "model.safetensors",
        "training_cells.npy",
        "vocab.json",
    ]
    curve = pd.read_csv(tmp_path / "model" / "curve.csv")
    assert {"generated", "generated mvc", "generated from cell", "masked", "masked mvc"} <= set(curve["term"])
    card = model.card
    assert card["seed"] == 0 and card["steps"] == 250 and card["vocabulary"]["genes_seen"] == 120
    assert json.loads(json.dumps(card)) == card
    cells = load_cells("smoke")
    held_out = HeldOut(cells, cells.held_out(pretrain.VALID_SHARE, 0)[1], 64, 0)
    assert held_out(model)["loss"] == pytest.approx(scores["model"]["all"], abs=1e-3)


# the checkpoint in the box


@pytest.mark.skipif(not SHIPPED.exists(), reason="the small checkpoint has not been made")
class TestShipped:
    card = property(lambda self: json.loads((SHIPPED / "card.json").read_text()))

    def test_it_is_small_and_loads_with_every_weight_from_the_file(self):
        assert (SHIPPED / "model.safetensors").stat().st_size <= 10e6
        model = load(SHIPPED)
        assert (
            model.name == "small"
            and model.report.dtype == "float16"
            and set(model.report.absent) == {"cls_decoder"}
        )
        assert sum(one.numel() for one in model.parameters()) == self.card["parameters"]

    def test_its_card_names_every_cell_it_was_trained_on_and_none_of_a_held_out_data_set(self):
        told = [(one["dataset"], one["options"], one["cells"]) for one in self.card["trained_on"]]
        assert [(a, b) for a, b, _ in told] == [(one.dataset, one.options) for one in SOURCES["small"]]
        assert sum(n for _, _, n in told) == sum(self.card["cells"].values())
        assert all(len(one["sha256"]) == 64 and one["contexts"] for one in self.card["trained_on"])
        assert len(pretrained(SHIPPED).cells) == sum(n for _, _, n in told)

    def test_it_beats_the_gene_mean_on_every_kind_of_cell(self):
        scores = self.card["validation"]["scores"]
        assert all(scores["model"][kind] < scores["gene mean"][kind] for kind in scores["model"])
        assert all(scores["model"][kind] > scores["random ties alone"][kind] for kind in scores["model"])

    def test_its_curve_ends_where_its_card_says(self):
        curve = pd.read_csv(SHIPPED / "curve.csv")
        assert curve["step"].max() == self.card["steps"]
        valid = curve[(curve["part"] == "validation") & (curve["term"] == "loss")].set_index("step")["value"]
        assert valid.idxmin() == self.card["best_step"]
        assert valid.min() == pytest.approx(self.card["validation"]["scores"]["model"]["all"], rel=1e-3)

    @pytest.mark.parametrize("name", REGISTRY_GENES)
    def test_it_knows_every_gene_of_the_registry(self, name):
        if not data.available(name):
            pytest.skip(f"{name} is missing: `perturbook data fetch {name}`")
        vocabulary = Vocabulary.read(SHIPPED / "vocab.json")
        assert (vocabulary.ids_of(sorted(genes_of(data.load(name)))) >= 0).all()
        assert {"sim-001", "sim-600", "act-101", "act-524"} <= set(vocabulary.tokens)
