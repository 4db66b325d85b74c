# Three commands on a fresh machine: `make demo`, `make lab` and `make test`. Everything is installed into .venv.

PYTHON ?= python3
VIDEO ?= example_data/pursuit.mp4
BIN := .venv/bin
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
endif

.PHONY: demo test lint lab clean

demo: .venv/ready  ## saliency maps and an overlay film of VIDEO, with WEIGHTS (a name or a path)
	$(BIN)/tinyhd predict $(VIDEO) $(if $(WEIGHTS),--weights $(WEIGHTS)) --out out/demo --overlay out/demo/overlay.mp4 --force

test: .venv/test lint  ## all tests
	$(BIN)/pytest

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: .venv/lab  ## JupyterLab with everything installed
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_teacher_inspection.ipynb

.venv/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/test: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/lab: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[notebooks]'
	$(PYTHON) -c "open('$@', 'w').close()"

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(name, ignore_errors=True) for name in ('.venv', 'out')]"
