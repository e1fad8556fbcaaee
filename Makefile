# make demo · make test · make check · make services · make test-services · make bench · make soak · make search · make fuzz · make planted
# Needs Python >= 3.11 with its venv module. Nothing is installed outside .venv and the cache folder.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
DIR    ?= demo-data
MARK   := --- development only
# Where tests of real servers stand: each worker reads all that it is given, and all the others take it ten seconds more.
SERVED := tests/bluez_vm tests/fuzz tests/ports tests/services tests/world_parts

.PHONY: demo reconcile test check services test-services bench soak search fuzz planted lock clean

demo: $(VENV)/.demo
	$(BIN)/python -m demo $(ARGS)

reconcile: $(VENV)/.demo
	$(BIN)/python -m demo.judge $(DIR) $(ARGS)

test: $(VENV)/.dev
	$(BIN)/pytest -m "not services" -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache

# Real servers: Mosquitto and Chromium from Debian's packages, InfluxDB 2.7 built once into the cache folder.
services:
	bash deploy/services/install.sh

# BLUEZ=all: the Bluetooth machine plays a sensor's sessions and a stream as well, which takes minutes more.
test-services: $(VENV)/.dev
	$(BIN)/pytest -m services -n 3 --dist loadfile --no-loadscope-reorder $(SERVED) $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

# Ten minutes of `kill -9`, memory watched: make soak ARGS="--minutes 60 --seed 7".
soak: $(VENV)/.demo
	$(BIN)/python -m demo.soak $(ARGS)

# Every property with examples that nobody has seen yet; `make test` tries the same ones each time.
search: $(VENV)/.dev
	$(BIN)/pytest -m "hypothesis and not services" --hypothesis-profile=search -n 2 --dist loadfile $(ARGS)

# Each driver for a minute, as many at once as there are processors: make fuzz ARGS="--seconds 600 --driver gatt.glucose"; altered frames, counted: ARGS="--frames 10000000".
# Guided by coverage where atheris can be had, else by Hypothesis.
fuzz: $(VENV)/.dev
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r tests/fuzz/requirements.txt || echo "no atheris for this machine: without coverage"
	$(BIN)/python -m tests.fuzz $(ARGS)

# Every typical fault in every driver that can have it, looked for by the kit; `make test` plants each in one driver only.
planted: $(VENV)/.dev
	PLANTED=all $(BIN)/pytest tests/kit/test_planted.py -n 2 $(ARGS)

lock:
	$(PYTHON) deploy/lock.py

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vitalgate needs Python 3.11 or later; this is " + sys.version.split()[0])'
	@echo "setting up $(VENV) (about a minute)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@sed '/^# $(MARK)/q' requirements.lock > $(VENV)/demo.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/demo.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@echo "installing the development tools into $(VENV) (about a minute)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.demo
