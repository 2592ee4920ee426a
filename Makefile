# AudioNet: folders of recordings in, names out. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(MAKEFILE_LIST))

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
AUDIONET := $(VENV)/bin/audionet
INSTALL := PYTHONWARNINGS=ignore $(RUN) -m pip install --quiet # setuptools warns of editable installations
export PYTHONDONTWRITEBYTECODE = 1

AUDIO ?= tf_files/data_audio
MODEL ?= tf_files/retrained_model
PORT ?= 8000
# Recipes read them from the environment, since a name of a file may hold quotes
export AUDIO MODEL PORT CLIP IMAGE TEST RECIPE PICTURE ARCHITECTURE MEMBERS IMAGES CLUSTER
ON_CLUSTER = $(if $(CLUSTER),--cluster "$$CLUSTER") # a Ray cluster, after pip install './scripts[cluster]'

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 28
	@echo
	@echo 'Start with: make demo'

setup: $(VENV)/installed sox ## Install everything into .venv, and SoX

$(VENV)/installed: requirements.txt scripts/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	$(INSTALL) -r requirements.txt -e ./scripts
	@touch $@

$(VENV)/tested: tests/requirements.txt $(VENV)/installed
	$(INSTALL) -r tests/requirements.txt -e './scripts[export,parquet,cluster,storage]'
	@touch $@

sox: # SoX with mp3, through apt-get where that is allowed; without it libsndfile decodes
	@if command -v sox >/dev/null && sox --help 2>/dev/null | grep -q '^AUDIO FILE FORMATS.* mp3'; then exit 0; fi; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -q >/dev/null && apt-get install -y -q sox libsox-fmt-mp3 >/dev/null && exit 0; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
		sudo apt-get update -q >/dev/null && sudo apt-get install -y -q sox libsox-fmt-mp3 >/dev/null && exit 0; \
	fi; \
	echo 'SoX with mp3 is not installed; libsndfile will decode instead. To install it, type:' >&2; \
	if command -v brew >/dev/null; then echo '  brew install sox' >&2; \
	else echo '  sudo apt-get install sox libsox-fmt-mp3' >&2; fi

demo: setup ## Set up, then data, train and label on the sample speakers
	@$(AUDIONET) demo

data: setup ## Draw the recordings: make data AUDIO=folder RECIPE=name PICTURE=pcen CLUSTER=auto
	@$(AUDIONET) data --audio_dir "$$AUDIO" $(if $(RECIPE),--recipe "$$RECIPE") $(if $(PICTURE),--picture "$$PICTURE") $(ON_CLUSTER)

train: setup ## Train on the pictures: make train RECIPE=name ARCHITECTURE=inception_v3 MEMBERS=trio IMAGES=folder
	@$(AUDIONET) train $(if $(RECIPE),--recipe "$$RECIPE") $(if $(ARCHITECTURE),--architecture "$$ARCHITECTURE") $(if $(MEMBERS),--members "$$MEMBERS") $(if $(IMAGES),--image_dir "$$IMAGES") $(ON_CLUSTER)

recipes: setup ## List the recipes
	@$(AUDIONET) recipes

label: setup ## Name a clip: make label CLIP=voice.mp3, or IMAGE=spectrogram.jpg
	@if [ -z "$$CLIP$$IMAGE" ]; then echo 'Expected CLIP=voice.mp3 or IMAGE=spectrogram.jpg' >&2; exit 2; fi
	@$(AUDIONET) label $(if $(CLIP),"$$CLIP") $(if $(IMAGE),"$$IMAGE")

evaluate: setup ## Score the classifier on other recordings: make evaluate TEST=folder
	@if [ -z "$$TEST" ]; then echo 'Expected TEST=folder of recordings, one subfolder a label' >&2; exit 2; fi
	@$(AUDIONET) evaluate --audio_dir "$$TEST" --report tf_files/test_report.html

runs: setup ## List all runs
	@$(AUDIONET) runs

app: setup ## Open the page in the browser: make app MODEL=folder PORT=8000
	@$(AUDIONET) app --model "$$MODEL" --port "$$PORT"

bench: setup $(VENV)/tested ## Measure speed against the classic way: make bench BENCH=--full
	$(RUN) scripts/bench.py speed $(if $(filter command line environment,$(origin AUDIO)),--audio_dir "$$AUDIO") $(BENCH)

bench-accuracy: setup ## Compare accuracies, in noise too: make bench-accuracy AUDIO=folder
	$(RUN) scripts/bench.py accuracy --audio_dir "$$AUDIO" $(BENCH)

bench-open-set: setup ## Measure how well unknown labels are refused: make bench-open-set AUDIO=folder
	$(RUN) scripts/bench.py open-set --audio_dir "$$AUDIO" $(BENCH)

bench-verification: setup ## Measure comparisons of labels not trained on: make bench-verification AUDIO=folder
	$(RUN) scripts/bench.py verification --audio_dir "$$AUDIO" $(BENCH)

bench-diarization: setup ## Measure the error rate of a long timeline: make bench-diarization AUDIO=folder
	$(INSTALL) -r tests/requirements-timeline.txt
	$(RUN) scripts/bench.py diarization --audio_dir "$$AUDIO" $(BENCH)

bench-cluster: setup $(VENV)/tested ## Compare a cluster with processes, and plan: make bench-cluster BENCH="--hours 1000000"
	$(RUN) scripts/bench.py cluster $(if $(filter command line environment,$(origin AUDIO)),--audio_dir "$$AUDIO") $(BENCH)

bench-recipes: setup ## Compare recipes, on spoken words or make bench-recipes AUDIO=folder
	$(RUN) scripts/bench.py recipes $(if $(filter command line environment,$(origin AUDIO)),--audio_dir "$$AUDIO") $(BENCH)

bench-search: setup ## Measure searches among a million vectors: make bench-search
	$(RUN) scripts/bench.py search $(BENCH)

bench-unknown: bench-open-set
bench-verify: bench-verification
bench-timeline: bench-diarization

# With stealing of work, a long test holds up none of those that wait behind it.
test: setup $(VENV)/tested ## Run all tests
	$(RUN) -m pytest -n auto --dist worksteal

test-cluster: setup $(VENV)/tested ## Kill parts of a Ray cluster at many moments: make test-cluster ROUNDS=10
	CLUSTER_ROUNDS="$(or $(ROUNDS),10)" $(RUN) -m pytest tests/distributed

torture: setup $(VENV)/tested ## Kill, fill disks and read at the wrong moment: make torture TORTURE='kills --seed 7'
	PYTHONPATH=scripts:tests $(RUN) -m torture $(or $(TORTURE),all)

check: $(VENV)/tested ## Report what is out of order: format, lint, types, import direction
	$(RUN) -m ruff format --check scripts tests
	$(RUN) -m ruff check scripts tests
	$(RUN) -m mypy
	PYTHONPATH=scripts $(VENV)/bin/lint-imports

audit: $(VENV)/tested ## Ask for known vulnerabilities of all dependencies
	$(INSTALL) -r tests/requirements-audit.txt
	PYTHONPATH=scripts $(RUN) tests/audit.py

format: $(VENV)/tested ## Mend format and imports
	$(RUN) -m ruff check --fix-only --quiet scripts tests
	$(RUN) -m ruff format scripts tests

clean: ## Remove everything made here, but never recordings
	rm -rf tf_files/{data_image,bottlenecks,demo,retrained_model,training_summaries,retrained_graph.pb,retrained_labels.txt,runs,report.html,test_report.html,bench}
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis
