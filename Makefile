# How Ectopy is set up, run and checked. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip install --disable-pip-version-check -c constraints.txt
SERVE_OPTIONS = $(if $(DATA),--data $(DATA)) $(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST))

OUT ?= services/models/shipped/ecgbert-beats

.DEFAULT_GOAL := help
.PHONY: help setup serve dev test test-fast check lint format migration openapi env-example \
	bench screenshots bench-deepecg bench-ecgbert bench-training train-default robustness ec57 compose-test clean \
	constraints chaos rolling load fuzz FORCE

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is made anew where its Python has gone or is too old, or the folder has moved; it is
# installed into again when pyproject.toml or constraints.txt has changed. Stamps remember what was done.
USABLE := $(shell $(VENV)/bin/python -c 'import os, pip, sys; \
	note = "$(VENV)/.made"; \
	stays = not os.path.exists(note) or open(note).read().strip() == os.getcwd(); \
	ours = os.path.realpath(sys.prefix) == os.path.realpath("$(VENV)"); \
	print(stays and ours and sys.version_info >= (3, 11))' 2>/dev/null)

ifeq ($(USABLE),True)
$(VENV)/.made:
	@pwd -P > $@
else
$(VENV)/.made: FORCE
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ectopy needs Python \
	3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	@pwd -P > $@
endif

$(VENV)/.serve: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) -e '.[models,embedded]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) -e '.[models,embedded,dev]'
	@touch $@ $(VENV)/.serve

setup: $(VENV)/.dev ## all that development needs, in .venv

serve: $(VENV)/.serve ## start everything: DATA=folder PORT=number HOST=address
	@$(RUN) ectopy.cli serve $(SERVE_OPTIONS)

dev: $(VENV)/.dev ## serve, and start API and worker again when their code changes
	@$(RUN) ectopy.cli serve --reload $(SERVE_OPTIONS)

test: lint ## lint, then every test on a real Postgres and Valkey: k=words chooses
	$(RUN) pytest $(if $(k),-k '$(k)')

test-fast: $(VENV)/.dev ## the tests that take seconds, without lint: k=words chooses
	$(RUN) pytest -m 'not slow and not docker' $(if $(k),-k '$(k)')

check: test ## what has to pass before a change goes in: the same as test

lint: $(VENV)/.dev ## format, lint, import rules and types, nothing changed
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(VENV)/bin/lint-imports
	$(RUN) mypy

format: $(VENV)/.dev ## format the code, and mend what the linter can mend
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

migration: $(VENV)/.dev ## draft a migration from the changed tables: m="what it does"
	$(if $(m),,$(error say what it does: make migration m="add a column to records"))
	$(RUN) ectopy.new_migration "$(m)"

openapi: $(VENV)/.serve ## write the interface to docs/openapi.json
	$(RUN) ectopy.cli openapi > docs/openapi.json

env-example: $(VENV)/.serve ## write .env.example from the settings
	$(RUN) ectopy.env_example > .env.example

constraints: ## write constraints.txt anew: the newest versions that go together
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/pip install --quiet --disable-pip-version-check -e '.[models,embedded,fetch,dev]'
	@{ echo '# The versions that tests have passed with, of everything that is installed; torch is in pyproject.toml.'; \
	  echo '# `make constraints` writes this file anew.'; \
	  .venv-newest/bin/pip freeze --exclude-editable | grep -Evi '^(torch|nvidia[^=]*|triton|cuda[^=]*|setuptools)=='; \
	} > constraints.new && mv constraints.new constraints.txt
	rm -rf .venv-newest

bench: $(VENV)/.dev ## where the time of a prediction goes, and its memory
	$(RUN) benchmarks.pipeline
	$(RUN) benchmarks.service

screenshots: $(VENV)/.dev ## pictures of the page: MITDB=folder and TWELVE=record.hea add more (minutes)
	$(RUN) docs.screenshots $(if $(MITDB),--mitdb $(MITDB)) $(if $(TWELVE),--twelve $(TWELVE))

bench-ecgbert: $(VENV)/.dev ## ECGBERT's stages and epoch beside the guide's own loop: MITDB=folder
	$(if $(MITDB),,$(error say where the records are: make bench-ecgbert MITDB=folder))
	$(RUN) benchmarks.ecgbert --mitdb $(MITDB) $(if $(EPOCH),--epoch)

bench-deepecg: $(VENV)/.dev ## DeepECG: network, service under 64 clients, training, each beside the bare one
	$(RUN) benchmarks.deepecg
	$(RUN) benchmarks.deepecg_serving
	$(RUN) benchmarks.deepecg_training

bench-training: $(VENV)/.serve ## the training loop beside a bare PyTorch loop, in turns
	$(RUN) benchmarks.training

train-default: $(VENV)/.serve ## train the model that ships: MITDB=folder of MIT-BIH records SEEDS=number
	$(if $(MITDB),,$(error say where the records are: make train-default MITDB=folder))
	$(RUN) ectopy.cli train-default --mitdb $(MITDB) --out $(OUT) $(if $(SEEDS),--seeds $(SEEDS))

ec57: $(VENV)/.serve ## AAMI EC57 figures of the model that ships: MITDB=folder of MIT-BIH records
	$(if $(MITDB),,$(error say where the records are: make ec57 MITDB=folder))
	$(RUN) ectopy.cli ec57 --mitdb $(MITDB)
	$(RUN) ectopy.cli ec57 --mitdb $(MITDB) --annotated-peaks

chaos: $(VENV)/.dev ## kill parts at random under load, then look for what was lost: ROUNDS=number
	$(RUN) reliability.chaos $(if $(ROUNDS),--rounds $(ROUNDS))

rolling: $(VENV)/.dev ## replace an older revision by this one, part after part, under clients: OLD=revision
	$(RUN) reliability.rolling $(if $(OLD),--old $(OLD))

load: $(VENV)/.dev ## many clients at once, and what they wait: CLIENTS=number MINUTES=number
	$(RUN) reliability.load $(if $(CLIENTS),--clients $(CLIENTS)) $(if $(MINUTES),--minutes $(MINUTES))

fuzz: $(VENV)/.dev ## nonsense in every field, damaged files of every format: CASES=number
	$(RUN) reliability.fuzz $(if $(CASES),--cases $(CASES))

robustness: $(VENV)/.serve ## left-out patients of DS1 on one lead, at other rates, in noise: MITDB=folder
	$(if $(MITDB),,$(error say where the records are: make robustness MITDB=folder))
	$(RUN) ectopy.cli robustness --mitdb $(MITDB)

compose-test: ## build, start, kill and start again with Docker Compose
	bash tests/compose/compose_test.sh

clean: ## remove the environment and all caches; the data folder stays
	rm -rf $(VENV) build dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
