# Needs Python 3.11 or later, make and a package index; everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin

# Tests start many processes, which would compile the package again and again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint docs package bench

demo: .venv/demo
	$(BIN)/cellprep demo

test: .venv/test
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: .venv/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: .venv/test
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet --builder html docs docs/_build/html

package: .venv/test
	rm -rf dist
	$(BIN)/python -m build >/dev/null
	$(BIN)/python -m twine check --strict dist/*
	CELLPREP_DIST=dist $(BIN)/python -m pytest -q tests/test_package.py

bench: .venv/test
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement benchmarks/requirements.txt
	$(BIN)/python -m benchmarks

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[plot]'
	touch $@

.venv/test: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[plot,train,test,docs]'
	touch $@
