# Few verbs. Each does its own set-up; `make` alone explains them.
.DEFAULT_GOAL := help
.PHONY: help demo test check setup clean
MAKEFLAGS += --no-print-directory

# NVIDIA's simulation libraries ask for this before they start; by running them you accept their licence.
export OMNI_KIT_ACCEPT_EULA ?= YES
ifeq ($(shell id -u),0)
export OMNI_KIT_ALLOW_ROOT ?= 1
endif
# Packages of another Python (ROS puts them here) must not reach ours.
unexport PYTHONPATH PYTHONHOME

help:
	@echo 'make demo    one wake-sleep-dream cycle on real physics, with a table and a picture at the end'
	@echo '             other settings: make demo ARGS="seed=1"      see also: .venv/bin/sage-ext --help'
	@echo 'make test    every test; those that need the simulator each in a process of their own'
	@echo '             some of them: make test ARGS="--only memory"'
	@echo 'make check   format, lint, types and the fast tests: before each commit'
	@echo 'make setup   only the set-up: Python 3.12 is looked for, .venv made (10 GB, 4-10 min, once)'
	@echo 'make clean   removes .venv and all caches; runs/ stays'
	@echo
	@echo 'The first three begin with the set-up, which does nothing when nothing has changed.'

setup:
	@.ci/setup

demo: setup
	.venv/bin/sage-ext cycle preset=demo $(ARGS)

test: setup
	.venv/bin/python tests/run.py $(ARGS)

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/python tests/run.py --fast $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
