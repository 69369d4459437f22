# make demo   a complete run with simulated providers (ONCE=1: exits by itself)
# make test   the whole test suite
# make distributed  docker-compose.yaml without Docker: two Celery workers, one is killed (needs redis-server)
# make chaos  faults, kills and crashes, then every row against the truth (SEED=n repeats a run)
# make bench  benchmarks against their goals, ten minutes on two cores (ONLY=name selects one; a backfill, 20 million rows and
#             ten seeds only run with FULL=1; JSON=file and MARKDOWN=file keep the figures)
# make docs   the pages of docs/ that are made from the code
# make screenshots  pictures of the pages in Airflow, into docs/images (needs chromium)
# make lint   ruff, mypy, sqlfluff
# make lock   resolve requirements-dev.txt into requirements.lock again

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := uv==0.13.8

# The image's packages and nothing else (see Dockerfile): what docker-compose.yaml runs is run from here.
IMAGE  := .venv-celery

.PHONY: setup demo distributed chaos bench screenshots test docs lint lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "tieout needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $(UV)
	@$(BIN)/uv pip sync --quiet --system-certs --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup
	@PYTHONPATH=include $(BIN)/python -m demo $(if $(ONCE),--once)

$(IMAGE)/.ready: $(VENV)/.ready requirements.txt requirements-celery.txt requirements.lock
	@echo "Setting up $(IMAGE) …"
	@$(PYTHON) -m venv --without-pip $(IMAGE)
	@$(BIN)/uv pip install --quiet --system-certs --python $(IMAGE)/bin/python --require-hashes \
		--requirement requirements.txt --requirement requirements-celery.txt --constraint requirements.lock
	@$(BIN)/uv pip install --quiet --system-certs --python $(IMAGE)/bin/python --no-deps --editable .
	@touch $@

distributed: $(IMAGE)/.ready
	@PYTHONPATH=include $(BIN)/python -m distributed

chaos: setup
	@PYTHONPATH=include $(BIN)/python -m chaos $(if $(SEED),--seed $(SEED))

bench: setup
	@PYTHONPATH=include $(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(FULL),--full) $(if $(JSON),--json $(JSON)) $(if $(MARKDOWN),--markdown $(MARKDOWN))

screenshots: setup
	@PYTHONPATH=include $(BIN)/python -m demo.screenshots

test: setup
	@$(BIN)/python -m pytest $(ARGS)

docs: setup
	@PYTHONPATH=include $(BIN)/python -m pages.dags

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy plugins include
	@$(BIN)/sqlfluff lint --disable-progress-bar plugins

lock: setup
	@$(BIN)/uv pip compile requirements-dev.txt --system-certs --universal --python-version 3.11 --no-emit-index-url --no-header \
		--generate-hashes --quiet -o requirements.lock

clean:
	rm -rf $(VENV) $(IMAGE) .demo .distributed .pytest_cache .mypy_cache .ruff_cache
