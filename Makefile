# Two commands on a fresh machine: `make run` and `make test`. They need Python 3.11 or newer, make and a C compiler.
PYTHON ?= python3
PIP_INSTALL = .venv/bin/pip install --quiet --constraint constraints.txt

.PHONY: run test test-browser test-slow test-faults test-soak check focus-check demo clean

run: .venv/.runs  ## start the gateway and its model server on $PORT (8000)
	@exec .venv/bin/vision-gateway up

demo: .venv/.runs  ## like run, with stand-ins of the clouds and nine weeks of simulated traffic; costs nothing
	@exec .venv/bin/python -m tests.demo

test: .venv/.tests  ## the whole test suite, a process a core: half of its time is waiting
	.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-browser: .venv/.tests  ## every page in a real Chromium (Debian's chromium), with screenshots in var/screenshots
	.venv/bin/python -m pytest -m "slow or not slow" --timeout 600 tests/browser

test-slow: .venv/.tests  ## everything that takes minutes; the next two are parts of it
	.venv/bin/python -m pytest -m slow --timeout 3600

test-faults: .venv/.tests  ## kill -9 by the hundred, power cuts, outages of the database: about an hour
	.venv/bin/python -m pytest -m slow --timeout 3600 tests/faults --deselect tests/faults/test_soak.py

test-soak: .venv/.tests  ## ten minutes of load with changing faults: nothing grows, nothing is lost
	.venv/bin/python -m pytest -m slow --timeout 3600 tests/faults/test_soak.py

check: .venv/.tests  ## format, lint, types, directions of imports
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

focus-check: .venv/.tests  ## a FOCUS export before the public validator, in a virtual environment of its own (Python 3.12 or newer)
	@.venv/bin/python -m tests.focus_check

clean:  ## forget the virtual environment; var/ with its database stays
	rm -rf .venv

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.11 …"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.runs: .venv/bin/pip setup.cfg pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable .
	@touch $@

.venv/.tests: .venv/.runs
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
