.DEFAULT_GOAL := help
PY := .venv/bin/python

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

install: ## .venv with everything the tests need
	python3 -m venv .venv
	.venv/bin/pip install -q --require-hashes -r requirements/test.txt
	.venv/bin/pip install -q --no-deps --no-build-isolation -e .

check: ## format, lint, types, walls
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/pytest -q tests/test_architecture.py

test: ## the whole suite
	.venv/bin/pytest -q -n 2

demo: ## the demo, into smsbench-demo/
	.venv/bin/smsbench demo

calibrate: ## all calibration goals at full size; writes docs/calibration.md
	$(PY) -m tests.calibration --write
	$(PY) -m tests.pipe_calibration --write
	$(PY) -m tests.monthly_calibration --write

benchmark: ## ratios, bounded in time
	for one in tests/benchmarks/bench_*.py; do $(PY) -m tests.benchmarks.$$(basename $$one .py); done

schema: ## rewrite reports/schema/ from the result document
	$(PY) -m reports.schema_file

vendor: ## make vendor id=acme: writes what a new vendor needs, to be filled
	@$(PY) -m tests.vendors.newcomer $(id)

vendor-page: ## rewrite docs/vendors.md from the adapters
	$(PY) -m tests.vendor_page

pins: ## rewrite requirements/*.txt (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml --extra build --extra speed -o requirements/core.txt -q
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml --extra build --extra speed --extra test --extra oracles -o requirements/test.txt -q

.PHONY: help install check test demo calibrate benchmark schema vendor vendor-page pins
