# The commands of mlserve; `make` alone lists them. Needs make, Python 3.11 or newer and a network once.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
export HOST PORT

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--require-hashes --only-binary :all: --requirement
# Each stamp is as new as the last installation, so that nothing is installed twice.
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench
# Without a Python that still exists (an upgrade can remove it), everything is made anew.
NEW_VENV := $(shell test -x $(BIN)/python || echo new-venv)
# What goes to Lambda comes from an environment of its own, whose Python is that of the function: PYTHON when it is given,
# else the newest of those that both Lambda and this machine have (pyenv's too, whichever is selected).
DEPLOY_VENV := .venv-deploy
DEPLOY := $(DEPLOY_VENV)/.installed
PYENV := "$$HOME"/.pyenv/versions
DEPLOY_PYTHON := $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 \
	$(PYENV)/3.13.*/bin/python $(PYENV)/3.12.*/bin/python python3,"$(PYTHON)")
# Tests write models by MLflow in an environment of its own, with the scikit-learn of .venv.
MLFLOW_VENV := .venv-mlflow
MLFLOW := $(MLFLOW_VENV)/.installed
# And they generate clients of the API, in Python and, where npm is there, TypeScript.
CLIENTS_VENV := .venv-clients
CLIENTS := $(CLIENTS_VENV)/.installed
CLIENTS_LOCK := tests/flows/clients/package.json tests/flows/clients/package-lock.json
NEW_DEPLOY_VENV := $(shell test -x $(DEPLOY_VENV)/bin/python || echo new-deploy-venv)
ifneq (file,$(origin PYTHON))
VERSION_OF := -c 'import sys; print(sys.version_info[:2])'
NEW_DEPLOY_VENV := $(shell test "$$($(DEPLOY_VENV)/bin/python $(VERSION_OF) 2>&1)" = "$$("$(PYTHON)" $(VERSION_OF) 2>&1)" \
	|| echo new-deploy-venv)
endif

.DEFAULT_GOAL := help
.PHONY: help serve compose test test-unit test-long check bench torture package deploy rollback undeploy admin lock clean
.PHONY: new-venv new-deploy-venv

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(RUNTIME) ## run web and worker at HOST:PORT (127.0.0.1:8000) until Ctrl-C
	@test -f .env || $(BIN)/python -m mlserve.conf.dotenv
	@exec $(BIN)/python manage.py serve --prepare

# The variables are written once; docs/deploy-containers.md says what to set for a server.
COMPOSE := docker compose --env-file compose.env
compose: ## run it in containers, with PostgreSQL, Redis and S3 (DOMAIN=models.example.com: behind a proxy)
	@docker compose version >/dev/null 2>&1 || { echo "This needs Docker with Compose 2.17 or newer." >&2; exit 1; }
	@test -f compose.env -a -z "$(DOMAIN)" \
		|| "$(PYTHON)" -m deployment.compose_variables $(if $(DOMAIN),--domain "$(DOMAIN)")
	@$(COMPOSE) up --build --detach --wait
	@echo "mlserve is at http://$$(sed -n 's/^PUBLISH=//p' compose.env)/ and stops with: $(COMPOSE) down"
	@echo "To make an administrator: $(COMPOSE) exec web python manage.py make_admin NAME"

# The tests of a file stay in one process, so that what they share is made once. Files come in the order of
# tests/selection.py, which says how many processes there are, too; xdist would begin with files of many short tests.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 15
# Both runs happen, whatever the first one says; the second takes what meets a database (tests/selection.py).
test: $(DEV) $(DEPLOY) $(MLFLOW) $(CLIENTS) ## run the suite, on SQLite and then on PostgreSQL
	@status=0; \
	$(PYTEST) -m "not long" || status=$$?; \
	$(PYTEST) -m "not long" --database postgres || status=$$?; \
	exit $$status

# What differs between versions of Python and of libraries shows without services; in the Python of .venv.
test-unit: $(DEV) ## run the part of the suite that starts no service, on SQLite
	@$(PYTEST) -m "not long" --unit

# Measuring branches slows the suite down, so it is done here; the holes are listed at the end.
test-long: $(DEV) $(DEPLOY) $(MLFLOW) $(CLIENTS) ## run the suite and its long tests, measure branch coverage (an hour)
	@status=0; \
	$(PYTEST) --cov || status=$$?; \
	$(PYTEST) -m long --database postgres || status=$$?; \
	exit $$status

# Django is checked as a server would start it, whatever this machine's .env says.
check: export SECRET_KEY = $(shell head -c 48 /dev/urandom | base64)
check: export DEBUG := 0
check: export ALLOWED_HOSTS := mlserve.example
check: export MLSERVE_NEW_MODELS := private
check: export DATABASE_URL := sqlite://:memory:
check: $(DEV) ## lint, formatting, types, Django's deployment checks, migrations, architecture
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m pytest tests/test_architecture.py -q

# An option is given when its variable is neither empty nor 0.
bench: $(BENCH) ## measure mlserve beside hand-written servers (QUICK=1, DATABASE=postgres, STORED=1000000: also with so many stored)
	@exec $(BIN)/python -m benchmark $(if $(filter-out 0,$(QUICK)),--quick) \
		$(if $(DATABASE),--database "$(DATABASE)") \
		$(if $(filter-out 0,$(STORED)),--stored "$(STORED)") $(if $(MARKDOWN),--markdown "$(MARKDOWN)")

# As root also with a full disk.
torture: $(DEV) ## harm the service under load, and count (MINUTES=10 DATABASE=postgres SEED=1 FAULTS=kill-web,disk-full)
	@exec $(BIN)/python -m tests.torture $(if $(MINUTES),--minutes "$(MINUTES)") \
		$(if $(DATABASE),--database "$(DATABASE)") $(if $(SEED),--seed "$(SEED)") \
		$(if $(FAULTS),--faults "$(FAULTS)") $(if $(MARKDOWN),--markdown "$(MARKDOWN)")

PACKAGE ?= var/package.zip
package: $(DEPLOY) ## build and try the Lambda package (PACKAGE=var/package.zip)
	@VIRTUAL_ENV="$$PWD/$(DEPLOY_VENV)" exec $(DEPLOY_VENV)/bin/python -m deployment.package "$(PACKAGE)"

# Settings and credentials come from the environment; docs/deploy-aws.md says which.
DEPLOYMENT := VIRTUAL_ENV="$$PWD/$(DEPLOY_VENV)" exec $(DEPLOY_VENV)/bin/python -m deployment
deploy: $(DEPLOY) ## bring both functions to AWS, migrate, check (URL=https://…: where clients reach it)
	@$(DEPLOYMENT) deploy $(if $(URL),--url "$(URL)")

rollback: $(DEPLOY) ## bring both functions back to the package that ran before (TO=digest: to that one)
	@$(DEPLOYMENT) rollback $(if $(TO),--to "$(TO)")

undeploy: $(DEPLOY) ## remove functions, API, schedule and roles; bucket, queue and database stay (YES=1: do not ask)
	@$(DEPLOYMENT) undeploy $(if $(filter-out 0,$(YES)),--yes)

admin: $(DEPLOY) ## make an administrator of the deployed service, or give one a new password (NAME=you)
	@$(DEPLOYMENT) admin "$(NAME)"

# As few versions as possible for all platforms and Python versions; wheels only, never a compiler. (Zappa's placebo has
# no wheel, and nothing to compile.) Extras stay in the pins: without them, pip 23 takes `coverage[toml]` for another
# package than the pinned `coverage`, and refuses to install as soon as a newer one is released.
LOCKED := --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --only-binary :all: --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"
COMPILE := $(BIN)/uv pip compile pyproject.toml $(LOCKED)
COMPILE_GROUP := $(BIN)/uv pip compile $(LOCKED)
lock: $(DEV) ## resolve requirements*.txt anew (UPGRADE=1: to the newest versions)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --output-file requirements.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group dev --constraints requirements.txt \
		--output-file requirements-dev.txt
	$(COMPILE) --no-binary placebo $(if $(UPGRADE),--upgrade) --group deploy --constraints requirements-dev.txt \
		--output-file requirements-deploy.txt
	$(COMPILE_GROUP) $(if $(UPGRADE),--upgrade) --group pyproject.toml:mlflow --constraints requirements-dev.txt \
		--output-file requirements-mlflow.txt
	$(COMPILE_GROUP) $(if $(UPGRADE),--upgrade) --group pyproject.toml:clients --output-file requirements-clients.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group bench --constraints requirements-dev.txt \
		--output-file requirements-bench.txt

clean: ## remove .venv, .venv-deploy, .venv-mlflow, .venv-clients and caches; .env and var/ hold your data and stay
	rm -rf $(VENV) $(DEPLOY_VENV) $(MLFLOW_VENV) $(CLIENTS_VENV) .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

new-venv:
	@echo "Making $(VENV) …"
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "mlserve needs Python 3.11 or newer: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV)

$(RUNTIME): requirements.txt $(NEW_VENV)
	@echo "Installing what mlserve needs …"
	@$(INSTALL) requirements.txt
	@touch $@

# A superset of the runtime at the same versions.
$(DEV): requirements.txt requirements-dev.txt $(NEW_VENV)
	@echo "Installing what mlserve and its tests need …"
	@$(INSTALL) requirements-dev.txt
	@touch $(RUNTIME) $@

# A superset of the runtime, too; it agrees with the development environment, so that both fit into one .venv.
$(BENCH): requirements.txt requirements-bench.txt $(NEW_VENV)
	@echo "Installing what mlserve and the servers beside it need …"
	@$(INSTALL) requirements-bench.txt
	@touch $(RUNTIME) $@

new-deploy-venv:
	@python=$$(for each in $(DEPLOY_PYTHON); do "$$each" -c 'import ensurepip' 2>/dev/null && echo "$$each" && break; done); \
	test -n "$$python" || { echo "There is no Python to build for Lambda with: make PYTHON=/path/to/python3.13 …" >&2; exit 1; }; \
	echo "Making $(DEPLOY_VENV) with $$python …"; \
	"$$python" -m venv --clear $(DEPLOY_VENV)

# Zappa's placebo has no wheel, and nothing to compile.
$(DEPLOY): requirements-deploy.txt $(NEW_DEPLOY_VENV)
	@echo "Installing what goes to Lambda …"
	@$(DEPLOY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: --no-binary placebo --requirement requirements-deploy.txt
	@touch $@

$(MLFLOW): requirements-mlflow.txt $(NEW_VENV)
	@echo "Installing MLflow for the tests …"
	@$(BIN)/python -m venv --clear $(MLFLOW_VENV)
	@$(MLFLOW_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: --requirement requirements-mlflow.txt
	@touch $@

$(CLIENTS): requirements-clients.txt $(CLIENTS_LOCK) $(NEW_VENV)
	@echo "Installing generators of clients for the tests …"
	@$(BIN)/python -m venv --clear $(CLIENTS_VENV)
	@$(CLIENTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: --requirement requirements-clients.txt
	@mkdir $(CLIENTS_VENV)/node && cp $(CLIENTS_LOCK) $(CLIENTS_VENV)/node
	@if command -v npm >/dev/null; then cd $(CLIENTS_VENV)/node && npm ci --silent --ignore-scripts; fi
	@touch $@
