# `make book` sets everything up and builds the book; `make test` passes the tests.
PYTHON ?= python3.11
BIN := .venv/bin
CORES ?= 2
export PYTHONHASHSEED := 0

.PHONY: book smoke test serve clean

book: .venv/.installed
	@$(BIN)/perturbook build --tier book --cores $(CORES)

smoke: .venv/.installed
	@$(BIN)/perturbook build --tier smoke --cores $(CORES)

test: book smoke
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile --nbval --nbval-current-env

serve: book
	@echo "http://127.0.0.1:8000 (Ctrl-C ends it)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory build/book/html

clean:
	rm -rf build runs .snakemake

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "perturbook needs Python 3.11; name it with make PYTHON=...")'
	@echo "Installing into .venv (a few minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@
