"""The command line: helps that read, results on stdout, one message and exit code 1 for every mistake."""

import os
import re
import subprocess
import sys

import pytest
import typer
from small_book import ENVIRONMENT, ROOT
from typer.testing import CliRunner

from perturbook import cli, data
from perturbook.pages.table import pages

VERBS = [["list"], ["run"], ["build"], ["data"], ["data", "list"], ["data", "fetch"], ["data", "verify"]]
VERBS += [["audit"], ["concepts"], ["explorer"], ["embed"], ["score"], ["check"], ["train"]]


def call(*words, monkeypatch, capsys):
    """Call the command line in this process; returns exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["perturbook", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out = capsys.readouterr()
    return end.value.code or 0, out.out, out.err


@pytest.fixture
def perturbook(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *words: call(*words, monkeypatch=monkeypatch, capsys=capsys)


def parts(command, path=()):
    """Every visible verb with its click object."""
    for name, sub in getattr(command, "commands", {}).items():
        if not sub.hidden:
            yield [*path, name], sub
            yield from parts(sub, (*path, name))


def test_the_verbs_are_those_of_the_readme():
    shown = sorted(path for path, _ in parts(typer.main.get_command(cli.app)))
    assert shown == sorted(VERBS)


@pytest.mark.parametrize("verb", [[], *VERBS], ids=" ".join)
def test_the_help_of_a_verb_says_in_a_sentence_what_it_does(verb):
    done = CliRunner().invoke(cli.app, [*verb, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    sentence = re.split(r"\n\s*\n", done.output)[1].strip()
    assert sentence[0].isupper() and sentence[-1] in ".?" and len(sentence.split()) >= 5


def test_every_argument_and_option_has_a_help():
    for path, command in parts(typer.main.get_command(cli.app)):
        for parameter in command.params:
            assert parameter.help and parameter.help.endswith("."), f"{' '.join(path)}: {parameter.name}"


def test_without_a_verb_the_help_is_shown():
    assert "Usage" in CliRunner().invoke(cli.app, []).output


def test_list_shows_every_page_in_reading_order(perturbook):
    code, out, _ = perturbook("list")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [[page.id, page.tier] for page in pages()]


def test_list_of_a_page_shows_what_run_takes(perturbook):
    code, out, _ = perturbook("list", "kang-zero-shot")
    assert code == 0
    assert "seed: int = 0  # seed of split, halvings and models\n" in out
    assert 'data: str = "kang2018-mini"  # ' in out
    assert not re.search(r"^(page|out):", out, re.MULTILINE)


def test_data_list_shows_every_data_set_whether_it_is_here_and_its_size(perturbook):
    code, out, _ = perturbook("data", "list")
    assert code == 0
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()}
    assert sorted(rows) == sorted(data.DATASETS)
    assert rows["simulated-drugs"] == "simulated" and rows["pbmc68k-reduced"] == "here"


def test_data_verify_computes_checksums_again(perturbook):
    assert perturbook("data", "verify", "pbmc68k-reduced") == (0, "pbmc68k-reduced: checksum right\n", "")


def test_data_fetch_says_where_files_lie(perturbook):
    code, out, _ = perturbook("data", "fetch", "pbmc68k-reduced")
    assert code == 0 and out.startswith("pbmc68k-reduced: ") and out.endswith(".h5ad\n")


def test_audit_prints_counts_and_checks_of_every_fold(kang, perturbook):
    code, out, err = perturbook("audit", "kang-zero-shot")
    assert (code, err) == (0, "")
    folds = [line for line in out.splitlines() if line.startswith("kang-zero-shot")]
    assert len(folds) == 14  # seven cell types, modes A and B
    assert all('"train": ' in line and '"test": ' in line for line in folds)
    assert out.count("    passed  ") >= 5 * len(folds)


MISTAKES = [
    (["run", "nowhere"], "There is no page 'nowhere'. Pages: intro, "),
    (["run", "intro"], "intro is a written page; there is nothing to run."),
    (
        ["run", "leaderboard"],
        "leaderboard reads the results of other pages; `perturbook build` runs it with them.",
    ),
    (["run", "kang-zero-shot", "-p", "seed"], "'seed' is not name=value, such as -p seed=1"),
    (["run", "kang-zero-shot", "-p", "seed=x"], "Parameter seed must be int, not 'x'. It is: seed of split"),
    (["run", "kang-zero-shot", "-p", "seed=true"], "Parameter seed must be int, not True."),
    (["run", "kang-zero-shot", "-p", "seed=1", "-p", "seed=2"], "Parameter seed is given twice."),
    (["run", "kang-zero-shot", "-p", "typo=1"], "Unknown parameter typo. setting knows: page (str); "),
    (["run", "kang-zero-shot", "-p", "held_out=B"], "Parameter held_out must be list[str], not 'B'."),
    (["run", "kang-zero-shot", "-p", "held_out=[B"], "The value of held_out, '[B', cannot be read: "),
    (["run", "kang-zero-shot", "-p", "out=here"], "Parameter out cannot be given: `run` sets it."),
    (["run", "kang-zero-shot", "-p", "k=3"], "k=3 has no meaning in zero_shot_context, which takes "),
    (
        ["run", "kang-zero-shot", "-p", "setting=nosuch"],
        "Unknown setting 'nosuch'. Known: additive_split, ",
    ),
    (["run", "kang-zero-shot", "-p", "models=[nosuch]"], "Unknown model 'nosuch'. Known: additive, "),
    (["run", "kang-zero-shot", "-p", "data=nosuch"], "Unknown data set 'nosuch'. Known: geneset-celltypes, "),
    (["run", "kang-zero-shot", "-p", "data=mine.h5ad"], "data="),
    (["list", "nowhere"], "There is no page 'nowhere'. Pages: intro, "),
    (["build", "--tier", "fast"], "tier 'fast' must be one of smoke, book, full."),
    (["audit", "nowhere"], "There is no page 'nowhere'."),
    (["audit", "intro"], "Page 'intro' has no split to audit."),
    (["data", "fetch", "nosuch"], "Unknown data set 'nosuch'. Known: "),
    (["data", "verify", "nosuch"], "Unknown data set 'nosuch'. Known: "),
    (
        ["score", "nowhere"],
        "nowhere does not exist. Give the folder of a bundle, or an .h5ad of conditions x genes.",
    ),
    (["score", "mine.txt"], "mine.txt is a single file: name the page it predicts with --page"),
    (
        ["score", "mine.txt", "--page", "intro"],
        "Page 'intro' has no bundle. Name a page with --page; deposited: ",
    ),
    (["score", "empty"], "empty"),
]


def no_trace(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("words", "message"), MISTAKES, ids=lambda given: " ".join(given) if isinstance(given, list) else ""
)
def test_a_mistake_gets_one_message_and_code_1_and_writes_nothing(perturbook, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.txt").write_text("no cells")
    before = [no_trace(ROOT / name) for name in ("build", "runs") if (ROOT / name).is_dir()]
    code, out, err = perturbook(*words)
    assert (code, out) == (1, "")
    assert err.startswith(f"perturbook: {message}") and err.count("\n") == 1
    assert no_trace(tmp_path) == ["empty", "mine.txt"]
    assert [no_trace(ROOT / name) for name in ("build", "runs") if (ROOT / name).is_dir()] == before


@pytest.mark.parametrize(
    "words", [["fly"], ["run"], ["build", "--cores", "0"], ["score"], ["list", "--typo"]], ids=" ".join
)
def test_a_wrong_call_shows_the_usage_and_code_2(perturbook, words):
    code, _, err = perturbook(*words)
    assert code == 2 and err.startswith("Usage: ") and "Traceback" not in err


def test_further_lines_of_a_message_are_set_in(monkeypatch, perturbook):
    from perturbook.errors import PerturbookError
    from perturbook.pages import table

    def fail(name):
        raise PerturbookError("first\nsecond")

    monkeypatch.setattr(table, "page", fail)
    assert perturbook("list", "intro") == (1, "", "perturbook: first\n  second\n")


def test_the_installed_command_is_the_one_that_catches_our_errors():
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"perturbook": "perturbook.cli:main"}


def test_help_is_quick_because_nothing_heavy_is_imported_for_it(tmp_path):
    heavy = "{'scanpy', 'torch', 'rdkit', 'altair', 'snakemake', 'papermill', 'pandas'}"
    code = f"import sys, perturbook.cli; print(sorted({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_where_the_data_are_elsewhere_verify_says_how_to_get_them(perturbook, monkeypatch, tmp_path):
    monkeypatch.setenv("PERTURBOOK_CACHE", os.fspath(tmp_path / "cache"))
    monkeypatch.delenv("PERTURBOOK_MIRROR", raising=False)
    code, out, err = perturbook("data", "verify", "kang2018-mini")
    assert (code, out) == (1, "")
    assert "run `perturbook data fetch kang2018-mini`" in err and "set PERTURBOOK_MIRROR" in err


def test_train_says_what_was_stored_and_refuses_a_model_that_the_page_does_not_store(monkeypatch, capsys):
    code, out, err = call(
        "train", "simulated-unseen-drug", "no_change", monkeypatch=monkeypatch, capsys=capsys
    )
    assert code == 1 and not out
    assert "simulated-unseen-drug does not store no_change. Stored models: scdca, scdca_shuffled." in err
    given = []
    monkeypatch.setattr(
        "perturbook.pages.train.train", lambda *asked: given.append(asked) or iter(["p: scdca, seed 1, 3 s"])
    )
    asked = ("train", "simulated-unseen-drug", "scdca", "-p", "seed=1")
    code, out, _ = call(*asked, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0 and out == "p: scdca, seed 1, 3 s\n"
    assert given == [("simulated-unseen-drug", ["scdca"], {"seed": 1})]
