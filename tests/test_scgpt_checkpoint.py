"""Checkpoints: read strictly and safely, every key accounted for; written whole or not at all."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from scgpt_reference import A, C, inputs

from perturbook.data.trust import file_sha256
from perturbook.errors import ConfigError, InputError
from perturbook.models.scgpt import Report, ScGPT, Sizes, Vocabulary, load, random_backbone, save

FLASH = "best_model_flash_keys.pt"
TABLE, LAYER = "encoder.embedding.weight", "transformer_encoder.layers.1."


@pytest.fixture
def folder(tmp_path):
    """A good checkpoint folder, to be spoiled."""
    for name in ("args.json", "vocab.json", "best_model.pt"):
        shutil.copy(A / name, tmp_path / name)
    return tmp_path


def tensors(name="best_model.pt"):
    return torch.load(A / name, weights_only=True)


def put(folder, changed):
    torch.save(changed, folder / "best_model.pt")


def change_json(folder, name, **changes):
    path = folder / name
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def outputs(model):
    return model(*inputs()[0])


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(outputs(one), outputs(other), strict=True))


# the report


def test_a_checkpoint_loads_with_every_parameter_from_the_file_and_says_what_it_lacks(folder):
    model = load(folder)
    report = model.report
    assert report.origin == str(folder / "best_model.pt")
    assert report.sha256 == file_sha256(folder / "best_model.pt")
    assert report.verified == "unverified" and report.unused == {} and report.appended == ()
    assert set(report.loaded) == set(model.state_dict()) and len(report.loaded) == 64
    assert list(report.absent) == ["flag_encoder"]
    assert report.layout == "attention keys of plain torch" and report.dtype == "float32"
    assert "unverified" in str(report) and "not in the file: flag_encoder" in str(report)
    assert not model.training and all(one.requires_grad for one in model.parameters())
    assert (model.name, model.card, len(model.vocabulary)) == (folder.name, {}, 203)


def test_loading_does_not_depend_on_torchs_seed_and_leaves_no_parameter_unset():
    torch.manual_seed(1)
    one = load(A, FLASH)
    torch.manual_seed(2)
    other, stored = load(A, FLASH), tensors(FLASH)
    assert same(one, other) and one.identity == other.identity
    for key, tensor in stored.items():
        assert torch.equal(one.state_dict()[key.replace("Wqkv.", "in_proj_")], tensor)
    assert len(stored) == len(one.state_dict())


def renamed(name):
    plain = tensors(FLASH)
    if name == "plain":
        return {key.replace("Wqkv.", "in_proj_"): one for key, one in plain.items()}
    if name == "wrapper":
        return {key.replace("self_attn.", "self_attn._impl."): one for key, one in plain.items()}
    if name == "module":
        return {f"module.{key}": one for key, one in plain.items()}
    return {f"module.{key.replace('self_attn.', 'self_attn._impl.')}": one for key, one in plain.items()}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain", "attention keys of plain torch"),
        ("wrapper", "attention keys of wrapper of 0.2.5"),
        ("module", "attention keys of flash-attn 1, prefix module. removed"),
        ("both", "attention keys of wrapper of 0.2.5, prefix module. removed"),
    ],
)
def test_every_layout_and_prefix_gives_identical_outputs(folder, name, said):
    put(folder, renamed(name))
    model = load(folder)
    assert same(model, load(A, FLASH)) and model.report.layout == said


def test_the_adversary_of_fine_tuning_is_named_and_not_used(folder):
    extra = {"grad_reverse_discriminator.out_layer.weight": torch.ones(2, 32)}
    put(folder, tensors() | extra)
    model = load(folder)
    assert list(model.report.unused) == list(extra)
    assert "not used: grad_reverse_discriminator.out_layer.weight (the adversary" in str(model.report)
    assert same(model, load(A, "best_model.pt"))


def test_explicit_zeros_are_recognised_by_their_keys(folder):
    changed = tensors()
    for i in (0, 2, 4):
        for part in ("weight", "bias"):
            changed[f"decoder.zero_logit.{i}.{part}"] = torch.zeros_like(changed[f"decoder.fc.{i}.{part}"])
    changed["mvc_decoder.W_zero_logit.weight"] = torch.zeros(32, 32)
    changed["mvc_decoder.W_zero_logit.bias"] = torch.zeros(32)
    put(folder, changed)
    made, plain = outputs(load(folder)), outputs(load(A, "best_model.pt"))
    torch.testing.assert_close(made.expression, plain.expression / 2)  # every probability is sigmoid(0)
    torch.testing.assert_close(made.mvc, plain.mvc / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_files_of_another_precision_are_computed_with_as_float32(folder, dtype):
    put(folder, {key: one.to(dtype) for key, one in tensors().items()})
    model = load(folder)
    assert {one.dtype for one in model.parameters()} == {torch.float32}
    assert model.report.dtype == str(dtype).removeprefix("torch.")


def test_appended_special_tokens_are_reported(folder):
    genes = {key: i for key, i in json.loads((A / "vocab.json").read_text()).items() if i < 200}
    (folder / "vocab.json").write_text(json.dumps(genes))
    model = load(folder)
    assert model.report.appended == ("<pad>", "<cls>", "<eoc>") and model.vocabulary.cls == 201
    assert "appended to the vocabulary: <pad>, <cls>, <eoc>" in str(model.report)


def test_a_given_checksum_is_compared(folder):
    digest = file_sha256(folder / "best_model.pt")
    assert load(folder, sha256=digest.upper()).report.verified == "equal to the given sha256"
    with pytest.raises(InputError, match=f"has sha256 {digest}, expected 00"):
        load(folder, sha256="00")


def test_the_released_checkpoint_is_recognised_by_the_checksums_of_all_three_files(folder, monkeypatch):
    from perturbook.models.scgpt import checkpoint

    listed = {file.name: file.sha256 or file.listed.removeprefix("sha256:") for file in checkpoint.RELEASED}
    monkeypatch.setattr(checkpoint, "file_sha256", lambda path: listed[path.name])
    assert load(folder).report.verified == "the released whole-human checkpoint"
    monkeypatch.setattr(
        checkpoint, "file_sha256", lambda path: listed["best_model.pt"] if path.suffix == ".pt" else "0"
    )
    assert load(folder).report.verified == "the released weights beside other JSON files"


def test_no_path_of_a_file_is_followed(folder):
    marker = folder / "elsewhere.json"
    change_json(
        folder, "args.json", vocab_path=str(marker), load_model=str(marker), save_dir=str(folder / "new")
    )
    assert same(load(folder), load(A, "best_model.pt"))
    assert not (folder / "new").exists()


# bad checkpoints


def removed(folder):
    put(folder, {key: one for key, one in tensors().items() if key != LAYER + "norm1.bias"})


def other_name(folder):
    put(folder, {key.replace("norm1.bias", "norm1.shift"): one for key, one in tensors().items()})


def transposed(folder):
    changed = tensors()
    put(folder, changed | {LAYER + "linear1.weight": changed[LAYER + "linear1.weight"].T})


def extra(folder):
    put(folder, tensors() | {"lora.weight": torch.ones(2)})


def two_layouts(folder):
    put(
        folder,
        {
            key.replace("in_proj_", "Wqkv.") if "layers.1" in key else key: one
            for key, one in tensors().items()
        },
    )


def twice(folder):
    changed = tensors()
    put(folder, changed | {f"module.{TABLE}": changed[TABLE]})


def nan(folder):
    changed = tensors()
    changed["decoder.fc.0.weight"][3, 4] = torch.nan
    put(folder, changed)


def infinite(folder):
    put(folder, {key: one.double() * (1e300 if key == TABLE else 1) for key, one in tensors().items()})


def whole_numbers(folder):
    changed = tensors()
    put(folder, changed | {TABLE: changed[TABLE].long()})


def no_attention(folder):
    put(folder, {key: one for key, one in tensors().items() if "self_attn" not in key})


def part_of_a_head(folder):
    put(folder, {key: one for key, one in tensors().items() if key != "mvc_decoder.W.weight"})


def no_mvc(folder):
    put(folder, {key: one for key, one in tensors().items() if not key.startswith("mvc_decoder")})


def batch_norm(folder):
    put(folder, tensors() | {"bn.weight": torch.ones(32)})


def domain_norm(folder):
    put(folder, tensors() | {"dsbn.bns.0.running_mean": torch.ones(32)})


def batch_labels(folder):
    put(folder, tensors() | {"batch_encoder.embedding.weight": torch.ones(2, 32)})


def nested(folder):
    put(folder, {"model": tensors(), "epoch": 3})


def a_list(folder):
    put(folder, list(tensors().values()))


def sparse(folder):
    put(folder, tensors() | {TABLE: tensors()[TABLE].to_sparse()})


def cut_short(folder):
    path = folder / "best_model.pt"
    path.write_bytes(path.read_bytes()[:50_000])


def empty(folder):
    (folder / "best_model.pt").write_bytes(b"")


def no_weights_at_all(folder):
    (folder / "best_model.pt").write_text("<html>Google Drive: too many requests</html>")


def compressed(folder):
    path = folder / "best_model.pt"
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


def missing(name):
    return lambda folder: (folder / name).unlink()


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def args(**changes):
    return lambda folder: change_json(folder, "args.json", **changes)


def vocab(**changes):
    return lambda folder: change_json(folder, "vocab.json", **changes)


def safetensors(cut):
    def spoil(folder):
        (folder / "best_model.pt").unlink()
        save_file(tensors(), folder / "model.safetensors")
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(cut(content))

    return spoil


def both_files(folder):
    save_file(tensors(), folder / "model.safetensors")


BAD = {
    "no folder": (shutil.rmtree, "is no folder; .* data fetch scgpt-human"),
    "no args": (missing("args.json"), r"args\.json is missing"),
    "args no JSON": (text("args.json", "{nlayers: 3}"), r"args\.json is no JSON"),
    "args a list": (text("args.json", "[3]"), r"args\.json holds a list"),
    "args too long": (text("args.json", " " * 1_000_001), "too many for a file of settings"),
    "size missing": (args(embsize=..., nlayers=...), r"args\.json: embsize, nlayers is missing"),
    "size no number": (args(d_hid="48"), "d_hid is '48', expected a whole number"),
    "size negative": (args(nlayers=-1), "nlayers is -1"),
    "size enormous": (
        args(embsize=10**6, nheads=1),
        "embsize is 1000000, expected a whole number from 1 to 8192",
    ),
    "sizes enormous together": (args(embsize=8192, nlayers=512), "parameters, more than the 2,000,000,000"),
    "heads do not divide": (args(nheads=5), "embsize 32 cannot be divided among 5 heads"),
    "style unknown": (args(input_emb_style="fourier"), "input_emb_style is 'fourier'"),
    "pre-norm": (args(pre_norm=True), "pre_norm is True; only False"),
    "other padding token": (args(pad_token="[PAD]"), r"pad_token is '\[PAD\]'"),
    "NaN dropout": (
        text("args.json", '{"embsize": 32, "nheads": 4, "d_hid": 48, "nlayers": 3, "dropout": NaN}'),
        "dropout is nan",
    ),
    "other depth": (args(nlayers=4), "args.json says nlayers 4, the weights show 3"),
    "other width": (args(embsize=64), "args.json says embsize 64, the weights show 32"),
    "other inner width": (args(d_hid=64), "args.json says d_hid 64, the weights show 48"),
    "zeros promised": (args(explicit_zero_prob=True), r"missing: decoder\.zero_logit\.0\.weight"),
    "no vocabulary": (missing("vocab.json"), r"vocab\.json is missing"),
    "gap": (vocab(GENE005=500), "the ids have a gap: .* and 5 is missing"),
    "id twice": (vocab(GENE005=6), "the id 6 is used twice"),
    "more tokens than rows": (vocab(NEW=203), "vocab.json has 204 tokens, the gene table 203 rows"),
    "key removed": (removed, r"1 missing: transformer_encoder\.layers\.1\.norm1\.bias \(32,\)\. Nothing"),
    "key renamed": (other_name, r"3 missing: .*norm1\.bias.*; 3 unexpected: .*norm1\.shift"),
    "transposed": (
        transposed,
        r"layers\.1\.linear1\.weight is \(32, 48\), expected \(48, 32\) \(transposed\)",
    ),
    "key extra": (extra, r"1 unexpected: lora\.weight \(2,\)"),
    "no attention": (
        no_attention,
        r"12 missing: .*layers\.0\.self_attn\.in_proj_weight \(96, 32\), .*, \.\.\.",
    ),
    "part of a head": (part_of_a_head, r"1 missing: mvc_decoder\.W\.weight"),
    "head promised": (no_mvc, r"says MVC true, and the file has no key mvc_decoder\.\*"),
    "two layouts": (two_layouts, "attention is named in two ways, plain torch and flash-attn 1"),
    "key twice": (twice, r"both mean encoder\.embedding\.weight"),
    "batch norm": (batch_norm, r"normalises its input by batch norm over cells \(bn\); it holds bn\.weight"),
    "domain norm": (domain_norm, r"per batch of cells \(dsbn\)"),
    "batch labels": (batch_labels, r"ask for batch labels \(batch_encoder\)"),
    "NaN": (nan, r"decoder\.fc\.0\.weight holds NaN or infinite weights"),
    "infinite as float32": (infinite, r"encoder\.embedding\.weight holds NaN or infinite"),
    "whole numbers": (whole_numbers, r"encoder\.embedding\.weight is torch\.int64, expected floating"),
    "sparse": (sparse, r"encoder\.embedding\.weight is not a plain dense tensor"),
    "nested": (nested, "holds model, epoch besides tensors, expected a plain state dict"),
    "a list of tensors": (a_list, "holds a list, expected a state dict"),
    "no weights": (
        missing("best_model.pt"),
        r"holds no weights, neither model\.safetensors nor best_model\.pt",
    ),
    "empty": (empty, "has 0 bytes"),
    "cut short": (cut_short, "is no whole archive"),
    "a web page": (no_weights_at_all, "neither an archive nor a pickle of torch, it begins with b'<htm'"),
    "compressed": (compressed, "holds the compressed record"),
    "safetensors cut": (safetensors(lambda content: content[:-100]), "is no whole safetensors file"),
    "safetensors without a header": (
        safetensors(lambda content: content[:5]),
        "is no whole safetensors file",
    ),
    "two files": (both_files, r"holds model\.safetensors and best_model\.pt; say which"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_checkpoint_is_refused_with_its_own_message(folder, case):
    spoil, message = BAD[case]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


class Touch:
    """Makes a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("form", ["inside torch's archive", "bare pickle", "old torch format"])
def test_a_pickle_with_code_is_refused_and_nothing_of_it_runs(folder, form):
    content, path, trap = (
        tensors() | {"trap": Touch(folder / "ran")},
        folder / "best_model.pt",
        folder / "ran",
    )
    if form == "bare pickle":
        path.write_bytes(pickle.dumps({"trap": Touch(trap)}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form != "old torch format")
    with pytest.raises(InputError, match=r"holds code or objects .* nothing of it was run\. .* safetensors"):
        load(folder)
    assert not trap.exists()
    with pytest.raises(InputError):
        load(folder, weights="best_model.pt", sha256=None)
    if form == "bare pickle":  # the trap does work
        pickle.loads(path.read_bytes())
        assert trap.exists()


def test_the_old_format_of_torch_loads_too(folder):
    torch.save(tensors(), folder / "best_model.pt", _use_new_zipfile_serialization=False)
    assert same(load(folder), load(A, "best_model.pt"))


@pytest.mark.parametrize("name", ["../best_model.pt", "/best_model.pt", "a/b"])
def test_weights_are_named_without_a_path(folder, name):
    with pytest.raises(InputError, match="expected the name of a file in"):
        load(folder, weights=name)


def test_weights_named_but_missing_are_an_error(folder):
    with pytest.raises(InputError, match=r"other\.pt is missing"):
        load(folder, weights="other.pt")


# saving


def test_what_is_saved_loads_as_the_same_model(tmp_path):
    model = load(C)
    folder = save(model, tmp_path / "made", card={"name": "made here", "seed": 7})
    again = load(folder)
    assert again.identity == model.identity and again.sizes == model.sizes
    assert again.vocabulary == model.vocabulary
    assert (again.name, again.card["seed"]) == ("made here", 7)
    assert sorted(path.name for path in folder.iterdir()) == [
        "args.json",
        "card.json",
        "model.safetensors",
        "vocab.json",
    ]


def test_a_saved_model_has_the_public_names_of_sizes(tmp_path):
    said = json.loads((save(load(C), tmp_path / "made") / "args.json").read_text())
    released = json.loads((C / "args.json").read_text())
    shared = {
        "embsize",
        "nheads",
        "d_hid",
        "nlayers",
        "n_bins",
        "n_layers_cls",
        "dropout",
        "pad_value",
        "mask_value",
    }
    assert {key: said[key] for key in shared} == {key: released[key] for key in shared}
    assert said["pad_token"] == "<pad>" and said["MVC"] is True


@pytest.mark.parametrize(
    "options",
    [
        {"input_emb_style": "category"},
        {"input_emb_style": "scaling", "cell_emb_style": "w-pool"},
        {"explicit_zeros": True},
        {"mvc": False, "flags": False, "n_cls": 4},
    ],
)
def test_every_option_survives_saving(tmp_path, options):
    sizes = Sizes(n_tokens=9, embsize=8, nheads=2, d_hid=8, nlayers=1, pad_id=6, **options)
    model = random_backbone(sizes, seed=1)
    again = load(save(model, tmp_path / "made"))
    assert again.sizes == sizes and again.identity == model.identity


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    model = load(A, "best_model.pt")
    full, half = save(model, tmp_path / "full"), save(model, tmp_path / "half", torch.float16)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (full, half)]
    assert sizes[1] < 0.6 * sizes[0]
    made, expected = outputs(load(half)), outputs(model)
    real = ~inputs()[0][2]
    torch.testing.assert_close(made.tokens[real], expected.tokens[real], rtol=0.02, atol=0.02)


def test_saving_again_replaces_and_files_of_others_are_never_removed(tmp_path):
    model = load(C)
    folder = save(model, tmp_path / "made")
    save(model, folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt, which a save would remove"):
        save(model, folder)
    assert (folder / "notes.txt").read_text() == "mine" and load(folder).identity == model.identity


def test_a_save_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch):
    model = load(C)
    folder = save(model, tmp_path / "made")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("perturbook.models.scgpt.checkpoint._write_json", full)
    with pytest.raises(OSError, match="no space"):
        save(random_backbone(model.sizes, 1, model.vocabulary), folder)
    assert load(folder).identity == model.identity
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_what_cannot_be_saved_is_refused(tmp_path):
    model = random_backbone(Sizes(n_tokens=9, embsize=8, nheads=2, d_hid=8, nlayers=1, pad_id=6))
    with pytest.raises(ConfigError, match="dtype is torch.int8"):
        save(model, tmp_path / "made", torch.int8)
    with torch.no_grad():
        model.decoder.fc[0].bias[0] = 1e6
    with pytest.raises(InputError, match=r"decoder\.fc\.0\.bias holds numbers that torch\.float16 cannot"):
        save(model, tmp_path / "made", torch.float16)
    model.vocabulary = None
    with pytest.raises(ConfigError, match="has no vocabulary"):
        save(model, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_changing_a_loaded_model_does_not_change_its_file(tmp_path):
    folder = save(load(C), tmp_path / "made")
    before = (folder / "model.safetensors").read_bytes()
    model = load(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert (folder / "model.safetensors").read_bytes() == before
    assert torch.equal(load_file(folder / "model.safetensors")[TABLE] + 1, model.state_dict()[TABLE])


def test_a_model_made_in_memory_says_so():
    sizes = Sizes(n_tokens=9, embsize=8, nheads=2, d_hid=8, nlayers=1, pad_id=6)
    assert "not loaded" in ScGPT(sizes).report.origin
    assert str(Report(origin="here")) == "here\nweights: unverified, sha256 none"


@pytest.mark.parametrize("vocabulary", [Vocabulary.of(f"G{i}" for i in range(5)), Vocabulary.of("AB")])
def test_a_vocabulary_of_another_length_is_refused(vocabulary):
    with pytest.raises(ValueError, match="must agree"):
        random_backbone(Sizes(n_tokens=9, embsize=8, nheads=2, d_hid=8, nlayers=1, pad_id=6), 0, vocabulary)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_whole_human_sizes_load_within_the_stated_time_and_memory(tmp_path):
    """In a fresh process: processor time below 5 s, peak memory below 1.5 times the file."""
    sizes = Sizes(n_tokens=60_697, embsize=512, nheads=8, d_hid=512, nlayers=12, pad_id=60_694)
    stored = {
        key.replace("in_proj_", "Wqkv."): torch.full(one.shape, 0.01)
        for key, one in ScGPT(sizes).state_dict().items()
    }
    torch.save(stored, tmp_path / "best_model.pt")
    (tmp_path / "args.json").write_text(json.dumps(sizes.to_args()))
    (tmp_path / "vocab.json").write_text(json.dumps(Vocabulary.of(f"G{i}" for i in range(60_694)).to_ids()))
    code = (
        "import re, sys, time; from pathlib import Path; from perturbook.models import scgpt; import torch\n"
        "peak = lambda: 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "before, started = peak(), time.process_time()\n"
        "scgpt.load(sys.argv[1])\n"
        "print(time.process_time() - started, peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    seconds, more = (float(one) for one in done.stdout.split())
    size = (tmp_path / "best_model.pt").stat().st_size
    assert seconds < 5 and 0.9 * size < more < 1.5 * size
