# Roomful. `make` alone lists what can be asked for.

.DEFAULT_GOAL := help
.PHONY: help run test bench bench-failover setup lint types train clean
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
ROOM := deployments/whispering-room
export PYTHON
# Compiled modules are kept: without them every process of a room compiles Roomful anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## set everything up, then rehearse the whispering room on this computer (stop: Ctrl-C)
	@$(BIN)/roomful rehearse $(ROOM)

test: lint types ## set everything up, then check style and types and run the tests (ARGS="-k claim" narrows them)
	@$(BIN)/python -m pytest $(ARGS) || $(call leave,$$?)

bench-failover: setup ## measure take-overs between real hosts, a hundred faults of each kind (needs root; ARGS="--json FILE")
	@$(BIN)/python -m benchmarks.failover $(ARGS)

setup: ## make .venv ready (compiles llama.cpp once; afterwards costs nothing)
	@.ci/prepare

lint: setup ## check the style
	@$(BIN)/ruff check --quiet --output-format concise .

types: setup ## check the types (strict in mesh/core)
	@$(BIN)/mypy --no-error-summary

bench: setup ## measure Roomful beside bare pyzmq, Zenoh and dora in one run, and draw the plot (ARGS="--quick" for a short one)
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	@$(BIN)/python -m benchmarks.side_by_side $(ARGS)

train: setup ## make the whispering room's models and clip anew (needs PyTorch; takes long)
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[training]'
	@set -e; for made in presence poet check_poet visitors; do $(BIN)/python $(ROOM)/training/$$made.py; done

clean: ## remove .venv and everything that tools left behind (the compiled llama.cpp stays in the user's cache)
	@rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# How a target ends with the code of its last command. STATUS, when given, names a file to write a failure's code to
# instead of failing, so that a caller gets the code itself and make adds no line of its own after pytest's last.
leave = { code=$(1); if [ -n "$(STATUS)" ]; then echo $$code > "$(STATUS)"; else exit $$code; fi; }
