# Everything a person types. Each target works as root and as an ordinary user; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON_BIN := .venv/bin/python
# Two cores run two workers; a file's tests stay together, so a module's stack is started once.
PYTEST_ARGS ?= -n logical --dist loadfile
CHECKED := shared services deploy tests
BROKERS ?= 1

.PHONY: help setup lock up down status logs stop start restart clean demo lint test bench faults fuzz soak

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup:  ## the Python environment in .venv (instant when nothing changed)
	@scripts/setup.sh

lock: setup  ## regenerate requirements*.txt (LOCK_ARGS=--upgrade takes the newest)
	@scripts/lock.sh $(LOCK_ARGS)

up: setup  ## start PostgreSQL, Kafka, the mail sink and the four services (BROKERS=3 for a cluster)
	@$(PYTHON_BIN) -m deploy.local up --brokers $(BROKERS)

down:  ## stop them
	@if [ -x $(PYTHON_BIN) ]; then $(PYTHON_BIN) -m deploy.local down; fi

status: setup  ## what runs where
	@$(PYTHON_BIN) -m deploy.local status

logs: setup  ## the end of every log (LOGS="-f intake" follows one)
	@$(PYTHON_BIN) -m deploy.local logs $(LOGS)

stop start restart: setup
	@$(PYTHON_BIN) -m deploy.local $@ $(or $(C),$(error which component? make $@ C=kafka (or postgres, mail, intake, …)))

stop:  ## stop one component: make stop C=kafka (or postgres, mail, intake, …); the others go on
start:  ## start it again, wait until it is ready
restart:  ## stop and start it

clean:  ## stop, and remove all local data
	@if [ -x $(PYTHON_BIN) ]; then $(PYTHON_BIN) -m deploy.local clean; fi

demo: setup  ## play a province's quarter
	@$(PYTHON_BIN) -m deploy.demo

lint: setup  ## style, types and boundaries
	$(PYTHON_BIN) -m ruff check .
	$(PYTHON_BIN) -m ruff format --check .
	$(PYTHON_BIN) -m mypy --strict $(CHECKED)
	@if grep -qs '^\[tool.importlinter\]' pyproject.toml || [ -f .importlinter ]; then .venv/bin/lint-imports; fi

test: lint  ## everything that must hold: lint, then all tests on real PostgreSQL and Kafka
	$(PYTHON_BIN) -m pytest $(PYTEST_ARGS)

bench: setup  ## measure against a floor and a conventional build
	@$(PYTHON_BIN) -m tests.bench

faults: setup  ## the fault matrix
	@$(PYTHON_BIN) -m tests.faults

fuzz: setup  ## requests made from the OpenAPI documents, to all services (CASES=120 a route, SEED=7)
	@$(PYTHON_BIN) -m tests.fuzz

soak: setup  ## long run under load and faults
	@$(PYTHON_BIN) -m tests.faults.soak
