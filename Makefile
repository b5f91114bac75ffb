# Every target works as the first command ever typed: it creates .venv on the way.
PYTHON ?= python3
PORT ?= 5000

ENVIRONMENT := .venv
RUN := $(ENVIRONMENT)/bin/python
INSTALLED := $(ENVIRONMENT)/.installed
COMPILED := $(ENVIRONMENT)/.compiled

# The tests that start databases, Ray clusters and servers, and run a campaign of faults.
CLUSTER := tests/test_chaos.py tests/test_storages.py tests/test_tracking_server.py tests/test_winner.py \
	tests/commands/test_promote_on_server.py tests/serving/test_server.py tests/search/test_database.py \
	tests/search/test_patient_storage.py tests/workers/test_ray_pool.py tests/workers/test_ray_sweeps.py

# The tests of the extras that `make venv` leaves out, for their size.
EXTRAS := tests/data/test_hugging_face.py tests/model/test_hub.py

# The tests that start commands, train networks, search at length or simulate thousands of studies.
SLOW := tests/test_bad_input.py tests/test_begun_before.py tests/test_benchmarks.py tests/test_engine.py \
	tests/test_faults.py tests/test_packaging.py tests/test_scale.py tests/test_sweep_end_to_end.py \
	tests/test_migration.py tests/test_tutorial.py \
	tests/api tests/commands tests/handover tests/model tests/multirun tests/serving tests/training tests/trial tests/workers \
	tests/config/test_compose.py tests/config/test_composition.py tests/report/test_ranking.py \
	tests/report/test_claims.py tests/search/test_poor_trials.py tests/search/test_propose.py \
	tests/search/test_samplers.py tests/sweep/test_view.py tests/tracking/test_client.py

.PHONY: venv compile sweep test cluster extras quick ui lint

venv: $(INSTALLED)

compile: $(COMPILED)

# The stamp is written last, so an interrupted installation is repeated.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "kerasweep needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
		"Name another interpreter, as in: make venv PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "kerasweep needs Python's modules venv and ensurepip, but $(PYTHON) lacks them." \
		"Install them, as in: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(ENVIRONMENT)
	$(RUN) -m pip install --quiet --disable-pip-version-check \
		--config-settings editable_mode=compat -c constraints.txt --no-compile -e '.[tests]'
	@touch $@

# The commands that tests start compile nothing. Some packages carry files for other Pythons, which fail.
$(COMPILED): $(INSTALLED)
	@$(RUN) -m compileall -qq -j 0 -x '/tests?/' $(ENVIRONMENT)/lib || true
	@touch $@

sweep: $(INSTALLED)
	$(RUN) -m src.train -m

test: $(COMPILED)
	$(RUN) -m pytest -n 2 --dist worksteal $(addprefix --ignore=,$(CLUSTER))
	@echo "left out, see make cluster: $(CLUSTER)"

cluster: $(COMPILED)
	$(RUN) -m pytest -n 2 --dist worksteal $(CLUSTER)

extras: $(COMPILED)
	$(RUN) -m pip install --quiet --disable-pip-version-check \
		--config-settings editable_mode=compat -c constraints.txt -e '.[datasets,hub]'
	$(RUN) -m pytest $(EXTRAS)

# For work in progress.
quick: $(COMPILED)
	$(RUN) -m pytest -n 2 --dist worksteal -q $(addprefix --ignore=,$(SLOW) $(CLUSTER))
	@echo "left out, see make test and make cluster: $(SLOW) $(CLUSTER)"

ui: $(INSTALLED)
	@mkdir -p mlruns
	$(RUN) -m mlflow ui --host 127.0.0.1 --port $(PORT) --backend-store-uri sqlite:///mlruns/mlflow.db

lint: $(INSTALLED)
	$(RUN) -m ruff format --check
	$(RUN) -m ruff check
	$(RUN) -m mypy src
