# On a fresh machine: `make demo`, `make lab` and `make test`. Everything is installed into .venv.

PYTHON ?= python3
VIDEO ?= example_data/pursuit.mp4
BATCH ?= 32
BIN := .venv/bin
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
endif
PIP := $(BIN)/python -m pip install --disable-pip-version-check --editable

.PHONY: demo check test test-gpu gpu lint lab docs clean

demo: .venv/ready  ## saliency maps and an overlay video of VIDEO, with WEIGHTS (a name or a path)
	$(BIN)/tinyhd predict $(VIDEO) $(if $(WEIGHTS),--weights $(WEIGHTS)) --out out/demo --overlay out/demo/overlay.mp4 --force

check: lint  ## lint, types and the fast tests
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test: lint  ## all tests
	$(BIN)/pytest -n 2 --dist worksteal

test-gpu: .venv/test  ## the tests that need a GPU
	$(BIN)/pytest -m gpu

gpu: test-gpu  ## these tests, then passes, videos and training measured, in a few minutes; figures in out/gpu
	$(BIN)/python -m benchmarks forward --models M-r4 S-r4 --devices cuda triton --batches 1 16 --json out/gpu/forward.json
	$(BIN)/python -m benchmarks forward --models workbench-m-r4 workbench-s-r4 --devices triton --precisions bfloat16 float16 --batches 16 --json out/gpu/precisions.json
	$(BIN)/python -m benchmarks training --batches $(BATCH) --no-cache --json out/gpu/training.json
	$(BIN)/python -m benchmarks pipeline --video $(VIDEO) --models workbench-m-r4 workbench-s-r4 --devices triton cuda --json out/gpu/pipeline.json

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: .venv/lab  ## JupyterLab with everything installed
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_teacher_inspection.ipynb

docs: .venv/docs  ## the documentation in out/site, with the notebooks executed; a broken link is an error
	$(PYTHON) -c "import shutil; shutil.rmtree('out/notebooks', ignore_errors=True)"
	$(BIN)/tinyhd notebooks run -f smoke --out out/notebooks
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	$(PIP) .
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/test: .venv/ready
	$(PIP) '.[test]' --quiet
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/lab: .venv/ready
	$(PIP) '.[notebooks]' --quiet
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/docs: .venv/ready
	$(PIP) '.[notebooks,docs]' --quiet
	$(PYTHON) -c "open('$@', 'w').close()"

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(name, ignore_errors=True) for name in ('.venv', 'out')]"
