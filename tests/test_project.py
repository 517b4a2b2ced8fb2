"""The project as files: pins, notebooks, imports, docstrings, names that must not stand anywhere."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from small_book import ENVIRONMENT, ROOT

from perturbook.evaluation import METRICS
from perturbook.pages.parameters import KINDS

IGNORED = {".git", ".venv", "build", "runs", ".snakemake", "node_modules", "__pycache__", "results"}
IGNORED |= {".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"}
TEXTS = {
    ".py",
    ".md",
    ".yml",
    ".yaml",
    ".toml",
    ".txt",
    ".ipynb",
    ".cff",
    ".js",
    ".mjs",
    ".css",
    ".json",
    ".bib",
}
TEXTS |= {".tsv", ".svg", ""}


def files(folder: Path = ROOT) -> list[Path]:
    """Files of the project that are written by hand; git is not asked, because an archive has none."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name in IGNORED or path.name.endswith(".egg-info"):
            continue
        found += files(path) if path.is_dir() else [path]
    return found


FILES = files()
SOURCES = sorted((ROOT / "src").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def canonical(requirement: str) -> str:
    """Name of a requirement as the package index compares it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9_.-]+", requirement)[0]).lower()


# dependencies


@pytest.fixture(scope="module")
def pins():
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pairs = [line.split("==") for line in lines if line]
    assert all(len(pair) == 2 for pair in pairs)
    return {canonical(name): version for name, version in pairs}


def test_pins_are_exact_and_those_that_matter_are_the_proven_ones(pins):
    assert pins["torch"] == "2.13.0"
    assert pins["jupyter-book"] == "1.0.4.post1"
    assert (pins["sphinx-book-theme"], pins["pydata-sphinx-theme"]) == ("1.1.4", "0.15.4")
    assert not [version for version in pins.values() if "+" in version]
    assert not [name for name in pins if name.startswith(("nvidia", "cuda", "triton"))]


def test_pins_name_no_index():
    assert not re.search(r"https?:|^-|index|find-links", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_every_direct_dependency_and_every_one_of_the_tests_is_pinned(pins):
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    assert sorted(canonical(one) for one in wanted if canonical(one) not in pins) == []
    for one in wanted:
        if "==" in one:
            assert pins[canonical(one)] == one.split("==")[1]


def test_conda_installs_what_pip_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"] == [
        "python=3.11",
        "pip",
        {"pip": ["-c constraints.txt", "-e .[test]"]},
    ]
    assert environment["channels"] == ["conda-forge"]
    assert PROJECT["requires-python"] == ">=3.11,<3.12"
    assert (
        ".[test]" in (ROOT / "Makefile").read_text()
        and "-c constraints.txt" in (ROOT / "Makefile").read_text()
    )


@pytest.mark.slow
def test_the_pip_part_of_the_conda_environment_is_satisfied_and_consistent():
    *_, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert pip["pip"] == ["-c constraints.txt", "-e .[test]"]
    words = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", *pip["pip"][0].split(), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


# what must not stand in any file


PATHS = r"(?<![\w.:/@%<-])/(?:home|root|work|Users|mnt|opt|srv|tmp|usr|var)/\w|\b[A-Z]:\\\\?[A-Za-z]"
HOSTS = r"pypi\.org|pythonhosted|download\.pytorch|" + "pypi" + "-more|artifactory|index-url https"
WORDS = r"\b(?:claude|anthropic|chatgpt|copilot|codex|openai|subagent|this session|the lead)\b|/work/(?:main|scratch)"
OUTSIDE = r"\.\./shared"


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (PATHS, {"tests/test_project.py"}),
        (HOSTS, {"tests/test_project.py"}),
        (OUTSIDE, {".ci/run", "tests/test_project.py"}),
    ],
    ids=["machine paths", "index hosts", "the folder outside"],
)
def test_no_file_names_what_only_one_machine_has(pattern, allowed):
    found = {
        f"{name_of(path)}: {match[0]!r}"
        for path in FILES
        if path.suffix in TEXTS and name_of(path) not in allowed
        for match in re.finditer(pattern, path.read_text())
        if "#!/" not in path.read_text()[max(0, match.start() - 2) : match.end()]
    }
    assert sorted(found) == []


def test_no_file_speaks_of_how_the_project_was_written():
    own = {"tests/test_project.py", "book/references.bib"}
    texts = [path for path in FILES if path.suffix in TEXTS and name_of(path) not in own]
    found = {
        f"{name_of(p)}: {m[0]!r}" for p in texts for m in re.finditer(WORDS, p.read_text(), re.IGNORECASE)
    }
    assert sorted(found) == []


def test_no_file_is_unfinished():
    texts = [path for path in FILES if path.suffix in TEXTS and name_of(path) != "tests/test_project.py"]
    assert [name_of(p) for p in texts if re.search(r"\b(?:TODO|FIXME|XXX|TBD)\b", p.read_text())] == []


def test_no_script_of_others_and_no_built_page_is_kept():
    kept = {name_of(path) for path in FILES if path.stat().st_size > 300_000}
    assert kept == {"src/perturbook/models/checkpoints/small/model.safetensors"}
    scripts = {name_of(path) for path in FILES if path.suffix in (".js", ".mjs", ".html", ".wasm", ".css")}
    own = {name_of(path) for path in (ROOT / "src/perturbook/explorer/static").iterdir()}
    assert scripts - own <= {
        "book/_static/book.css",
        "book/_static/charts.js",
        "book/_static/tables.js",
        "tests/browser/check.mjs",
        "tests/browser/explorer.mjs",
        "tests/browser/in_page.mjs",
    }


def test_the_checkpoint_in_the_box_is_below_10_mb_of_safetensors():
    folder = ROOT / "src/perturbook/models/checkpoints/small"
    assert 0 < (folder / "model.safetensors").stat().st_size <= 10_000_000
    assert {path.name for path in folder.iterdir()} == {
        "args.json",
        "card.json",
        "curve.csv",
        "model.safetensors",
        "training_cells.npy",
        "vocab.json",
    }


def test_results_stay_below_40_mb_and_hold_no_pickles():
    found = [path for path in (ROOT / "results").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) < 40e6
    assert {path.suffix for path in found} <= {".h5ad", ".json", ".csv", ".gz", ".md", ".parquet", ""}


# sources


DATA, SPLITS, MODELS, EVALUATION, PAGES = "data", "splits", "models", "evaluation", "pages"
CONCEPTS, EXPLORER = "concepts", "explorer"
MAY = {
    DATA: set(),
    SPLITS: {DATA},
    MODELS: {DATA, SPLITS},
    CONCEPTS: {DATA, SPLITS, MODELS},
    EVALUATION: {DATA, SPLITS},
    EXPLORER: {DATA, SPLITS, MODELS, CONCEPTS, EVALUATION},
    PAGES: {DATA, SPLITS, MODELS, CONCEPTS, EVALUATION, EXPLORER},
}
TOOLS = {"errors", "palette", "registry", "source", "threads", "whole", "processes"}


def rooms_imported(path):
    """First part below `perturbook` of everything that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "perturbook":
            inside = node.module.split(".")[1:]
            yield from inside[:1] or [alias.name for alias in node.names if alias.name != "__version__"]
        elif isinstance(node, ast.Import):
            yield from [a.name.split(".")[1] for a in node.names if a.name.startswith("perturbook.")]


@pytest.mark.parametrize("room", MAY)
def test_imports_go_one_way(room):
    allowed = MAY[room] | TOOLS | {room}
    wrong = {
        f"{name_of(path)} imports {one}"
        for path in (ROOT / "src" / "perturbook" / room).rglob("*.py")
        for one in rooms_imported(path)
        if one not in allowed
    }
    assert wrong == set()


def test_what_stands_outside_the_rooms_imports_no_room():
    for name in TOOLS:
        assert set(rooms_imported(ROOT / "src" / "perturbook" / f"{name}.py")) <= TOOLS


@pytest.mark.parametrize("module", ["perturbook", "perturbook.data", "perturbook.splits", "perturbook.cli"])
def test_importing_takes_in_nothing_heavy(module, tmp_path):
    code = f"import sys, {module}; print(sorted({{'torch', 'scanpy', 'rdkit', 'matplotlib', 'altair'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


def public(tree):
    """Public functions and classes of a module, and public methods of public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_public_name_has_a_docstring_that_says_something(path):
    tree = ast.parse(path.read_text())
    for node in [tree, *public(tree)]:
        assert len((ast.get_docstring(node) or "").split()) >= 2, getattr(node, "name", "the file itself")


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_names_its_source(name):
    assert "Source" in (METRICS[name].compute.__doc__ or "")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_bare_except_no_print_no_moved_working_directory(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else ""
            assert caught not in ("", "Exception", "BaseException"), f"line {node.lineno}"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("print", "os.chdir", "chdir"), f"line {node.lineno}"


def test_files_are_short_and_none_is_a_drawer():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert sorted(lengths.values())[len(lengths) // 2] <= 120
    assert {name: n for name, n in lengths.items() if n > 250} == {}
    assert not [name for name in lengths if re.search(r"/(utils?|helpers?|misc|common)\.py$", name)]


# notebooks


def cells_of(path):
    return json.loads(path.read_text())["cells"]


def code_of(path):
    return ["".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_is_kept_without_outputs_and_with_stable_ids(path):
    cells = cells_of(path)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one) for one in ids)
    assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_has_one_parameters_cell_of_plain_lines_with_help(path):
    (cell,) = [cell for cell in cells_of(path) if "parameters" in cell["metadata"].get("tags", [])]
    for line in "".join(cell["source"]).splitlines():
        kinds = "|".join(map(re.escape, KINDS))
        assert re.fullmatch(rf"\w+: ({kinds}) = .+  # \S.*", line), line
        assert len(line) <= 110, f"the formatter would break this line in pieces: {line}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_calls_and_computes_nothing_itself(path):
    for source in code_of(path):
        tree = ast.parse(source)  # a magic or a shell line would not parse
        names = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not names & {"print", "open", "exec", "eval", "warnings.filterwarnings", "os.chdir"}
        imported = {
            a.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names
        }
        assert not imported & {"os", "subprocess", "warnings", "requests", "urllib", "sys"}
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_cells_of_a_notebook_are_short(path):
    lengths = [len(source.splitlines()) for source in code_of(path)]
    assert max(lengths) <= 25
    assert sum(length > 15 for length in lengths) <= 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_uses_the_projects_renderer_before_any_chart(path):
    sources = code_of(path)
    begins = [i for i, source in enumerate(sources) if "pages.begin()" in source]
    assert len(begins) == 1 and begins[0] <= 1


# configuration and documents


def test_the_book_is_configured_not_to_run_or_ask_anything():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    sphinx = config["sphinx"]["config"]
    assert config["execute"]["execute_notebooks"] == "off"
    assert config["only_build_toc_files"] is True
    assert config["bibtex_bibfiles"] == ["references.bib"]
    assert "sphinx_thebe" not in sphinx["extensions"]
    assert {"myst_nb", "jupyter_book", "sphinxcontrib.bibtex", "sphinx_togglebutton"} <= set(
        sphinx["extensions"]
    )
    assert sphinx["mathjax_path"] == "../math/tex-svg-full.js"
    assert sphinx["html_extra_path"] == ["../site-extra"]
    assert (ROOT / "book" / config["html"]["favicon"]).is_file()
    assert not [value for key, value in config["html"].items() if key.startswith("use_") and value]


def targets():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_make_has_the_promised_targets_and_hides_nothing():
    assert {"book", "smoke", "test", "serve", "clean"} <= targets()
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(phony) == targets()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "book/how-to.md", "book/intro.md"])
def test_commands_in_documents_exist(name):
    text = (ROOT / name).read_text()
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets()
    verbs = set(re.findall(r"(?:`|bin/)perturbook ([a-z]+)", text))
    known = {"list", "run", "build", "data", "audit", "score", "check"}
    assert verbs <= known | {"concepts", "embed", "explorer", "train"}
    for link in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", text):
        assert (ROOT / name).parent.joinpath(link).exists(), link


def test_what_documents_show_as_files_exists():
    for name in ("README.md", "CONTRIBUTING.md"):
        for path in re.findall(
            r"`((?:src|book|notebooks|tests|profiles|results)/[\w./-]+)`", (ROOT / name).read_text()
        ):
            assert (ROOT / path).exists() or path.rstrip("/").split("/")[-1] == "_build", f"{name}: {path}"


def test_the_citation_carries_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == PROJECT["version"]
    assert {"cff-version", "title", "message", "authors", "license"} <= set(citation)


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=name_of)
def test_a_workflow_runs_what_the_readme_says_with_read_rights_only(path):
    flow = yaml.safe_load(path.read_text())
    assert flow["permissions"] == {"contents": "read"}
    steps = [step for job in flow["jobs"].values() for step in job["steps"]]
    assert [s["run"] for s in steps if s.get("run", "").startswith("make ")] in (["make test"], ["make book"])
    assert all(job["timeout-minutes"] <= 60 for job in flow["jobs"].values() if len(job["steps"]) > 1)


def test_ci_installs_what_the_browser_tests_need_before_make_test():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    runs = [step.get("run", "") for step in flow["jobs"]["test"]["steps"]]
    assert runs[-1] == "make test" and "npm install" in runs[-2]
    local = (ROOT / ".ci" / "run").read_text()
    assert local.rstrip().endswith("make test") and "export CI=true" in local
    for program in ("chromium", "node", "npm"):
        assert f"command -v {program}" in local
