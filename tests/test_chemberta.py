"""The ChemBERTa encoder on a tiny folder of random weights: offline, one molecule at a time, and refusing what it cannot read.

Tests that run the model need transformers, which is optional: `pip install 'perturbook[chemberta]'`.
"""

import json
import pickle
import socket
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from perturbook.data.molecules import perturbation_table
from perturbook.errors import ConfigError, InputError, NotApplicable
from perturbook.models.molecules import ENCODERS
from perturbook.models.molecules.chemberta import VECTORS
from perturbook.models.molecules.chemberta_folder import check_tokenizer, files_of, sizes_of

DRUGS = {
    "Ethanol": "CCO",
    "Acetate": "CC(=O)[O-].[Na+]",
    "Aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "Phenol": "Oc1ccccc1",
}
NAMES = list(DRUGS)
TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"CNOcno()=#12[]@+-H", "CC"]
CONFIG = {
    "model_type": "roberta",
    "vocab_size": len(TOKENS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 34,
    "type_vocab_size": 1,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
}


def with_transformers():
    return pytest.importorskip("transformers", reason="pip install 'perturbook[chemberta]'")


@pytest.fixture
def table():
    return perturbation_table(NAMES, list(DRUGS.values()), ["none"] * len(DRUGS))


@pytest.fixture(autouse=True)
def nothing_kept():
    VECTORS.clear()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **options):
        pytest.fail("a network call was made")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def bare(tmp_path):
    """Configuration and tokenizer by hand, and weights that are no weights."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(TOKENS)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nC C\n")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    return tmp_path


@pytest.fixture
def folder(bare):
    """The same with random weights, as the masked model that checkpoints are published as."""
    transformers = with_transformers()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = transformers.RobertaForMaskedLM(transformers.RobertaConfig(**CONFIG)).eval()
        # Initial biases are zero and norms one: without this, tokens would hardly differ.
        for tensor in made.parameters():
            tensor.data.normal_(std=0.3)
    save(made.state_dict(), bare)
    return bare


def save(state, folder, name="model.safetensors"):
    from safetensors.torch import save_file

    for old in ("model.safetensors", "pytorch_model.bin"):
        (folder / old).unlink(missing_ok=True)
    state = {key: value.clone().contiguous() for key, value in state.items()}
    save_file(state, folder / name) if name.endswith("safetensors") else torch.save(state, folder / name)


def stored(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def encode(folder, table, names=NAMES, **options):
    return ENCODERS["chemberta"](folder, **options).fit(table, NAMES).encode(table, names)


# without transformers


def test_a_missing_folder_is_one_error_with_the_files_that_are_expected(tmp_path):
    with pytest.raises(ConfigError) as found:
        ENCODERS["chemberta"](tmp_path / "nowhere")
    said = str(found.value)
    assert "nowhere is no folder" in said and "Nothing is downloaded" in said
    for name in (
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "vocab.json",
        "merges.txt",
        "tokenizer.json",
    ):
        assert name in said
    with pytest.raises(ConfigError, match="needs folder="):
        ENCODERS["chemberta"]()


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("config.json", r"lacks config\.json;"),
        ("model.safetensors", r"lacks model\.safetensors or pytorch_model\.bin;"),
        ("merges.txt", r"lacks tokenizer\.json or vocab\.json with merges\.txt;"),
    ],
)
def test_a_missing_file_is_named(bare, gone, message):
    (bare / gone).unlink()
    with pytest.raises(ConfigError, match=message):
        ENCODERS["chemberta"](bare)


def test_a_tokenizer_in_one_file_is_enough_and_safetensors_go_first(bare):
    for name in ("vocab.json", "merges.txt"):
        (bare / name).unlink()
    for name in ("tokenizer.json", "pytorch_model.bin"):
        (bare / name).write_text("{}")
    assert [path.name for path in files_of(bare)] == ["config.json", "model.safetensors", "tokenizer.json"]


def test_the_width_and_the_longest_molecule_are_read_from_the_configuration(bare):
    # 514 positions are numbered from 2 on, behind the padding: 512 tokens, as published for ChemBERTa.
    (bare / "config.json").write_text(
        json.dumps(CONFIG | {"hidden_size": 768, "max_position_embeddings": 514})
    )
    assert sizes_of(bare) == (768, 512)
    assert ENCODERS["chemberta"](bare).width == 768


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[1]", r"is of model_type \[1\]"),
        (json.dumps(CONFIG | {"model_type": "bert"}), "is of model_type 'bert', ChemBERTa is 'roberta'"),
        (json.dumps(CONFIG | {"hidden_size": "16"}), "has hidden_size '16'"),
        (json.dumps(CONFIG | {"max_position_embeddings": 2}), "max_position_embeddings 2"),
    ],
)
def test_a_configuration_of_something_else_is_refused(bare, content, message):
    (bare / "config.json").write_text(content)
    with pytest.raises(InputError, match=message):
        ENCODERS["chemberta"](bare)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", '{"<s>": 0, "C', r"vocab\.json is no JSON"),
        ("vocab.json", '{"<s>": "0"}', r"vocab\.json is no object of token: id"),
        ("merges.txt", "#version: 0.2\nC X\n", r"merges\.txt has the line 'C X', no pair of vocab\.json"),
        ("tokenizer.json", "{}", r"tokenizer\.json describes no tokenizer"),
    ],
)
def test_a_damaged_tokenizer_is_refused(bare, name, content, message):
    (bare / name).write_text(content)
    with pytest.raises(InputError, match=message):
        check_tokenizer(bare)


def test_without_transformers_the_error_says_how_to_install_it(bare, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    encoder = ENCODERS["chemberta"](bare)
    with pytest.raises(ConfigError, match=r"pip install 'perturbook\[chemberta\]'"):
        encoder.fit(table, NAMES)


def test_a_drug_without_a_structure_is_named_before_anything_is_loaded(bare):
    with pytest.raises(NotApplicable, match="no SMILES for IFN-beta"):
        ENCODERS["chemberta"](bare).fit(pd.DataFrame({"smiles": [""]}, index=["IFN-beta"]), ["IFN-beta"])


def test_an_unknown_pooling_is_refused(bare):
    with pytest.raises(ConfigError, match="pooling is 'cls'; expected one of molecule, all, first"):
        ENCODERS["chemberta"](bare, pooling="cls")


# with transformers


def test_vectors_are_means_over_the_tokens_of_the_molecule(folder, table, capfd):
    transformers = with_transformers()
    found = {pooling: encode(folder, table, pooling=pooling) for pooling in ("molecule", "all", "first")}
    assert capfd.readouterr().err == ""
    model = transformers.RobertaModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = [0, TOKENS.index("CC"), TOKENS.index("O"), 2]  # C and C are merged
    with torch.inference_mode():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    for pooling, rows in (("molecule", hidden[1:3]), ("all", hidden), ("first", hidden[:1])):
        assert found[pooling].shape == (len(NAMES), 16) and found[pooling].dtype == np.float32
        assert found[pooling][0] == pytest.approx(rows.mean(axis=0), abs=1e-5)
    assert np.abs(found["molecule"][0] - found["all"][0]).max() > 1e-3


def test_a_vector_depends_on_its_own_parent_alone_and_comes_out_twice_the_same(folder, table):
    whole = encode(folder, table)
    VECTORS.clear()
    assert np.array_equal(encode(folder, table, NAMES[::-1])[::-1], whole)
    VECTORS.clear()
    assert np.array_equal(encode(folder, table, NAMES[2:3])[0], whole[2])
    assert len(np.unique(whole.round(4), axis=0)) == len(NAMES)
    acid = perturbation_table(["Acetic acid"], ["CC(O)=O"], ["none"])
    assert np.array_equal(
        ENCODERS["chemberta"](folder).fit(acid, []).encode(acid, ["Acetic acid"])[0], whole[1]
    )
    assert encode(folder, table, []).shape == (0, 16)


def test_a_tokenizer_in_one_file_gives_the_same_vectors(folder, table):
    whole = encode(folder, table)
    with_transformers().RobertaTokenizer.from_pretrained(folder).save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    assert np.array_equal(encode(folder, table), whole)


def test_loading_leaves_random_numbers_and_messages_of_the_caller_as_they_were(folder, table):
    logging = pytest.importorskip("transformers.utils.logging")
    before = torch.get_rng_state(), logging.get_verbosity(), logging.is_progress_bar_enabled()
    encode(folder, table)
    after = torch.get_rng_state(), logging.get_verbosity(), logging.is_progress_bar_enabled()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def test_weights_of_torch_give_the_vectors_of_safetensors_also_with_an_old_buffer_and_half_precision(
    folder, table
):
    whole, state = encode(folder, table), stored(folder)
    save(state | {"roberta.embeddings.position_ids": torch.arange(34)[None]}, folder, "pytorch_model.bin")
    assert np.array_equal(encode(folder, table), whole)
    rounded = {key: value.half() for key, value in state.items()}
    save(rounded, folder)
    found = encode(folder, table)
    save({key: value.float() for key, value in rounded.items()}, folder)
    assert np.array_equal(found, encode(folder, table))  # stored in half precision, computed in single


def test_a_pickle_that_would_run_code_is_refused_and_not_run(folder, table, tmp_path):
    class Code:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w').close()",)

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"roberta.x": Code()}, protocol=2))
    with pytest.raises(InputError, match="cannot be read as a ChemBERTa model"):
        encode(folder, table)
    assert not (tmp_path / "ran").exists()


def test_code_named_by_a_configuration_is_not_run(folder, table, tmp_path):
    whole = encode(folder, table)
    (folder / "custom.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    auto = {"auto_map": {"AutoModel": "custom.Model", "AutoTokenizer": ["custom.T", "custom.T"]}}
    (folder / "config.json").write_text(json.dumps(CONFIG | auto))
    assert np.array_equal(encode(folder, table), whole)
    assert not (tmp_path / "ran").exists()


def test_a_molecule_goes_through_one_model_once(folder, table, monkeypatch):
    whole = encode(folder, table)
    asked = []
    monkeypatch.setattr(ENCODERS["chemberta"], "_vector", lambda self, *of: asked.append(of) or np.zeros(16))
    assert np.array_equal(encode(folder, table), whole) and asked == []
    encode(folder, table, pooling="all")
    assert len(asked) == len(NAMES)


@pytest.mark.parametrize(
    "wrong", [{"num_attention_heads": "2"}, {"hidden_act": 5}, {"num_attention_heads": 3}]
)
def test_impossible_sizes_are_refused(folder, table, wrong):
    (folder / "config.json").write_text(json.dumps(CONFIG | wrong))
    with pytest.raises(InputError, match="cannot be read as a ChemBERTa model"):
        encode(folder, table)


def lost(state):
    del state["roberta.encoder.layer.1.output.dense.weight"]


def cut(state):
    state["roberta.encoder.layer.0.output.dense.weight"] = torch.ones(3, 3)


def not_a_number(state):
    state["roberta.encoder.layer.0.output.dense.weight"][0] = torch.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lost, r"lack 1 tensors of the model, such as 'encoder\.layer\.1\.output\.dense\.weight'"),
        (cut, "cannot be read as a ChemBERTa model"),
        (not_a_number, "gives no finite vector for 'Ethanol'"),
    ],
)
def test_damaged_weights_are_refused(folder, table, damage, message):
    state = stored(folder)
    damage(state)
    save(state, folder)
    with pytest.raises(InputError, match=message):
        encode(folder, table)


def test_weights_that_were_cut_short_are_refused(folder, table):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as a ChemBERTa model"):
        encode(folder, table)


def test_a_tokenizer_of_a_larger_model_is_refused(folder, table):
    ids = {token: i for i, token in enumerate(TOKENS)}
    (folder / "vocab.json").write_text(json.dumps(ids | {"C": len(TOKENS), "CC": len(TOKENS) + 1}))
    with pytest.raises(InputError, match=f"more tokens than the {len(TOKENS)} of its model"):
        encode(folder, table)


def test_letters_that_the_vocabulary_lacks_are_refused_and_not_dropped(folder):
    table = perturbation_table(["Chloroethane"], ["CCCl"], ["none"])
    with pytest.raises(InputError, match="reads the SMILES 'CCCl' of 'Chloroethane' as 'CCC'"):
        ENCODERS["chemberta"](folder).fit(table, []).encode(table, ["Chloroethane"])


def test_a_molecule_longer_than_the_model_is_refused_and_not_cut(folder):
    # 34 positions, two of them before the first token; start and end take two more: 30 tokens are left.
    table = perturbation_table(["fits", "long"], ["C" + "N" * 29, "C" + "N" * 30], ["none"] * 2)
    encoder = ENCODERS["chemberta"](folder).fit(table, [])
    assert np.isfinite(encoder.encode(table, ["fits"])).all()
    with pytest.raises(InputError, match="'long' has 33 tokens, the model in .* reads 32"):
        encoder.encode(table, ["long"])


def test_settings_tell_two_models_apart_and_name_no_folder(folder):
    one = ENCODERS["chemberta"](folder).settings
    state = stored(folder)
    state["roberta.embeddings.word_embeddings.weight"][0, 0] += 1
    save(state, folder)
    other = ENCODERS["chemberta"](folder).settings
    assert one["pooling"] == "molecule" and len(one["sha256"]) == 64 and one["sha256"] != other["sha256"]
    assert str(folder) not in json.dumps(one)
