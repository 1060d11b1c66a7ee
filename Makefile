# Thin targets; each sets up what it needs, so none has to be typed before another. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help engine hosts demo test languages check lint mypy pyright prose codespell ruff bench docs dist soak

READY := .venv/ready
PYTHON := .venv/bin/python
# A file at a time, whose tests share plugins and packages, and the longest first: see tests/conftest.py.
SPREAD := --dist loadfile --no-loadscope-reorder
PIP_OPTIONS := --quiet --disable-pip-version-check
UV := .venv/bin/uv pip install --quiet --system-certs --python $(PYTHON)
UV_VERSION := $(shell grep '^uv==' requirements/dev.txt)
# Tests start thousands of Python processes: each would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1  /p' Makefile

engine: ## find the Pulumi CLI, or obtain it; the last line is the folder to put on PATH
	@# What is there already is found without .venv.
	@python3 tools/engine/engine.py --find 2>/dev/null || { $(MAKE) --no-print-directory $(READY) && $(PYTHON) tools/engine/engine.py; }

hosts: ## find a Pulumi CLI that runs programs in Go and Java too, or build it, which takes minutes
	@$(MAKE) --no-print-directory $(READY) && $(PYTHON) -m tools.languages.hosts

demo: $(READY) ## share a backup, lose the share, get it back, with the real CLI and a simulated cloud
	@$(PYTHON) tools/demo/demo.py

test: $(READY) ## all tests, on the real engine too
	@engine=$$($(PYTHON) tools/engine/engine.py) && PATH="$$engine:$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m pytest -n 4 $(SPREAD)

languages: $(READY) ## programs in Go and Java on the real engine: compiles large SDKs, ten minutes the first time
	@hosts=$$($(PYTHON) -m tools.languages.hosts) && PATH="$$hosts:$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m pytest tests/engine/languages.py

check: $(READY) ## the quick round for a changed line: ruff, mypy and the unit tests
	@.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy
	@$(PYTHON) -m pytest -n 4 $(SPREAD) tests/unit --ignore tests/unit/test_documents.py

lint: $(READY) ## ruff, mypy, spelling, the rules of writing, and pyright on the public types
	@# The longest first, two at a time; all of them, if one fails too.
	@$(MAKE) --no-print-directory --jobs 2 --keep-going mypy pyright prose codespell ruff

mypy:
	.venv/bin/mypy

pyright:
	@# It looks for `pulumi` beside the first `python` on PATH.
	PATH="$(CURDIR)/.venv/bin:$$PATH" PYTHONPATH=provider pyright --verifytypes pulumi_cbr --ignoreexternal

prose:
	$(PYTHON) tools/prose.py

codespell:
	.venv/bin/codespell

ruff:
	.venv/bin/ruff check
	.venv/bin/ruff format --check

soak: $(READY) ## the slow round: more generated responses, and thousands of operations with faults, a hundred kills, a month of backups
	@engine=$$($(PYTHON) tools/engine/engine.py) && PATH="$$engine:$(CURDIR)/.venv/bin:$$PATH" SOAK=1 RESPONSE_FUZZER_CASES=3000 \
		$(PYTHON) -m pytest -n 4 tests/unit/api/test_response_fuzzer.py tests/contract/test_simulator_openapi.py $(addprefix tests/engine/,test_window.py test_shares_command.py test_operations.py test_with_simulator.py) $(addprefix tests/faults/,test_matrix.py test_operations_at_random.py test_two_stacks.py test_soak.py test_at_once.py kills.py)

docs: $(READY) ## the documentation site, into build/docs
	@rm -rf build/docs  # pages that are no more
	$(PYTHON) -m sphinx --fresh-env --doctree-dir build/doctrees --fail-on-warning --keep-going --quiet --jobs auto docs build/docs
	@echo "Open build/docs/index.html"

dist: $(READY) ## sdist, wheel and archives of the plugin, into dist/
	$(PYTHON) -m build
	$(PYTHON) tools/release.py dist

bench: $(READY) ## what the package costs above the engine's own floor; wants a machine with nothing else to do
	@$(PYTHON) -m bench

# To standard error, so that standard output is the target's own.
$(READY): pyproject.toml requirements/dev.txt requirements/otcextensions.txt
	@echo "Setting up .venv: once, half a minute..." >&2
	@# uv installs in seconds what takes pip a minute. It is to trust the certificates that the system trusts, as pip does.
	@# The caller's pip installs uv, and uv installs pip: ensurepip takes eight seconds.
	@python3 -m venv --without-pip .venv >&2
	@python3 -m pip --python $(PYTHON) install $(PIP_OPTIONS) $(UV_VERSION) >&2 2>/dev/null || \
		{ $(PYTHON) -m ensurepip && $(PYTHON) -m pip install $(PIP_OPTIONS) $(UV_VERSION); } >&2
	@$(UV) -r requirements/dev.txt -e '.[clouds,simulator]' >&2
	@$(UV) --target .venv/otcextensions --no-deps -r requirements/otcextensions.txt >&2
	@# Where the language host looks for what an installed package says of its plugin; an editable one has it elsewhere, and
	@# is taken for one that needs the plugin `cbr`.
	@site=$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && mkdir -p "$$site/pulumi_cbr" && \
		cp provider/pulumi_cbr/pulumi-plugin.json "$$site/pulumi_cbr"
	@touch $@
