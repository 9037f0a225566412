# galclass: `make demo` and `make test` are all a new user needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-deps check format docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[all]"
	touch $@

demo: install
	$(BIN)/galclass run configs/demo.toml
	$(BIN)/galclass serve --config configs/demo.toml

$(VENV)/.installed-dev: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

# The browser's event loop stays in its process, where no other test could start one: tests/web runs by itself.
# Files are handed out as in tests/conftest.py: those with slow tests first, tests/cluster as one.
SPREAD := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 10
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(SPREAD) -m "not gpu and not network" --ignore tests/web
	$(BIN)/python -m pytest $(SPREAD) -m "not gpu and not network" tests/web

# System packages some tests need: PostgreSQL with PL/Python, Chromium, strace. Without them those tests are skipped.
test-deps:
	scripts/test-deps

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev
	$(BIN)/python scripts/write_cli_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) workspace build dist site
