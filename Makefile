# Every target does its own set-up. It needs only make and Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
BIN = $(VENV)/bin
# The oldest supported boto3. The tests of R2 run twice: with the newest, and with this folder first on the path. Then the
# one that puts a thousand objects is left out, because pages are the same in both.
OLDEST = $(VENV)/oldest-boto3
R2_TESTS = $(addprefix tests/storages/test_, r2.py r2_contract.py r2_errors.py wire_check.py) -k 'not more_than_one_page'
# Settings of glibc for pictures: memory that is freed is kept for the next one. See docs/how-to/fast-and-small.md.
ALLOCATOR = MALLOC_MMAP_THRESHOLD_=67108864 MALLOC_TRIM_THRESHOLD_=67108864 MALLOC_ARENA_MAX=2
# The extra `fast` shrinks pictures, and Pillow where it is not installed. The tests that see a difference run with both.
RESIZING = tests/processing/test_fidelity.py tests/processing/test_recipes.py -k 'not at_every_pixel'

# The tests start hundreds of processes, which is faster with compiled modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo coverage test test-oldest-boto3 test-without-fast order mutation check docs docs-serve bench torture r2 release-check clean

help:  ## Show what there is
	@awk -F ':.*  ## ' '/^[a-z0-9-]+:.*  ## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## Run the gallery on SQLite and local disk: http://127.0.0.1:8000 (another port: make demo PORT=9000)
	$(BIN)/flask --app examples.flask_app run --port $(PORT)

# Files stay whole and in their order, because those that take long come first.
test: $(VENV)/.dev  ## Run the tests on a real PostgreSQL, a real S3 server and, if it is installed, Chromium
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-oldest-boto3: $(VENV)/.dev $(OLDEST)
	PYTHONPATH=$(OLDEST) $(BIN)/python -m pytest -q -p no:cacheprovider $(R2_TESTS)

test-without-fast: $(VENV)/.dev
	USERIMAGES_WITHOUT_FAST=1 $(BIN)/python -m pytest -q -p no:cacheprovider $(RESIZING)

order: $(VENV)/.dev  ## Run the tests in a random order (the same again: make order SEED=1234)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -p randomly $(if $(SEED),--randomly-seed=$(SEED)) tests

mutation: $(VENV)/.mutation  ## Change the core in thousands of ways and see which change no test notices (hours)
	$(BIN)/mutmut run
	$(BIN)/mutmut results
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/python scripts/mutation_rate.py

check: $(VENV)/.dev docs  ## Check style, types, imports, names, the site, and the tests with the oldest boto3 and without `fast`
	@$(MAKE) --no-print-directory --jobs=2 test-oldest-boto3 test-without-fast
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	MYPYPATH=. $(BIN)/mypy --explicit-package-bases --ignore-missing-imports tests conftest.py
	$(BIN)/pyright
	$(BIN)/mypy --explicit-package-bases examples/flask_app examples/fastapi_app
	MYPYPATH=examples/flask_minimal $(BIN)/mypy examples/flask_minimal/app.py
	MYPYPATH=examples/fastapi_minimal $(BIN)/mypy examples/fastapi_minimal/app.py
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/python scripts/docs_names.py
	$(BIN)/python scripts/drawings.py --check
	$(BIN)/python scripts/tests_names.py
	$(BIN)/python scripts/import_cost.py

coverage: $(VENV)/.coverage  ## Run the tests and show which lines and branches none of them reaches
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q $(or $(TESTS),-n auto --maxprocesses 4 --dist loadfile)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

docs: $(VENV)/.docs  ## Build the site in the folder site, and check its links and its reference
	$(BIN)/python scripts/site.py

docs-serve: docs  ## Show the site: http://127.0.0.1:8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory site $(PORT)

bench: $(VENV)/.bench  ## Measure speed, memory and quality beside other libraries, in about an hour
	$(BIN)/python benchmarks/ingest.py
	$(ALLOCATOR) $(BIN)/python benchmarks/ingest.py --times
	$(BIN)/python benchmarks/storage.py
	$(BIN)/python benchmarks/metadata.py
	$(BIN)/python benchmarks/service.py
	$(BIN)/python benchmarks/crowd.py
	$(BIN)/python benchmarks/signing.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/rebuild.py
	$(BIN)/python benchmarks/audit.py 10000 100000

torture: $(VENV)/.dev  ## Run the proofs in full: kills, faults, races, costs, a long search for counterexamples
	USERIMAGES_TORTURE=1 $(BIN)/python -m pytest tests/reliability tests/repositories/test_races.py \
		tests/processing/test_cost.py tests/processing/test_heic.py tests/adapters/test_django_project.py

r2: $(VENV)/.dev  ## Check a bucket of your own, which the R2_* settings name, with about twenty requests
	$(BIN)/python scripts/r2_check.py

release-check: $(VENV)/.dev $(VENV)/.release $(VENV)/.docs  ## Check what a release needs: builds, extras, types, all Pythons; say what is left to do
	$(BIN)/python scripts/release_check.py $(RELEASE)

$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.%: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group $*
	touch $@

$(OLDEST): $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --target $@ boto3==1.36.0 botocore==1.36.0

clean:  ## Remove the virtual environment
	rm -rf $(VENV)
