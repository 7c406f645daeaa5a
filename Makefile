# Every target does its own set-up: Python 3.11 or newer and make are all it needs.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
BIN = $(VENV)/bin
# The oldest boto3 that is supported, beside the newest one: its tests run again with this folder in front.
OLDEST = $(VENV)/oldest-boto3

.PHONY: demo test check bench torture r2 clean

demo: $(VENV)/.demo  ## The gallery, on SQLite and local disk: http://127.0.0.1:8000 (make demo PORT=9000 for another)
	$(BIN)/flask --app examples.flask_app run --port $(PORT)

test: $(VENV)/.dev $(OLDEST)  ## The tests, on a real PostgreSQL, a real S3 server and, where it is installed, Chromium
	$(BIN)/python -m pytest
	PYTHONPATH=$(OLDEST) $(BIN)/python -m pytest tests/storages/test_r2*.py tests/storages/test_wire_check.py

check: $(VENV)/.dev  ## Style, types, directions of import, dependencies, names in the docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/python scripts/docs_names.py
	$(BIN)/python scripts/import_cost.py

bench: $(VENV)/.bench  ## Speed, memory and quality beside others; takes about half an hour
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/storage.py
	$(BIN)/python benchmarks/metadata.py

torture: $(VENV)/.dev  ## The proofs in full: kills, faults, races, a long search for counterexamples
	USERIMAGES_TORTURE=1 $(BIN)/python -m pytest tests/reliability tests/repositories/test_races.py \
		tests/processing/test_cost.py tests/processing/test_heic.py

r2: $(VENV)/.dev  ## A check against a bucket of your own, by the R2_* settings: about twenty requests
	$(BIN)/python scripts/r2_check.py

$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.%: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group $*
	touch $@

$(OLDEST): $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --target $@ boto3==1.36.0 botocore==1.36.0

clean:
	rm -rf $(VENV)
