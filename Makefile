PYTHON ?= python3
LATEST_TORCH ?= torch

# What the reader's shell tells Python, Jupyter and the libraries beneath the chapters does not reach
# them: MPLBACKEND=Agg would take every figure from the book, PYTHONOPTIMIZE every assertion, and
# another DROPOUT_SEED_SHIFT would draw other masks.
unexport $(filter-out PYTHON,$(filter PYTHON% JUPYTER% IPYTHON% MPL% MATPLOTLIB%,$(.VARIABLES)))
unexport DOCUTILSCONFIG DROPOUT_SEED_SHIFT NUMBA_DEBUG NUMBA_DISABLE_JIT TORCH_LOGS
# The reader's home is neither read nor written: it may not be writable, and start-up files in it
# could change what the book prints.
export IPYTHONDIR := $(CURDIR)/_build/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/_build/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/_build/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CURDIR)/_build/jupyter
export MPLCONFIGDIR := $(CURDIR)/_build/matplotlib
# Threads that spin while they wait slow each other tenfold on a busy machine.
export OMP_WAIT_POLICY := PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help book pdf test test-fast lab notebooks robust bench gpu-check test-latest lint pins clean
# Under -j too: `make test` must not look at a book that `make book` is still writing.
.NOTPARALLEL:
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

# ---- environment ----------------------------------------------------------------------------

need_python = $(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("PYTHON=$(PYTHON) \
	is Python %d.%d; 3.11 or newer is needed: make PYTHON=python3.11" % sys.version_info[:2])'

# The copy of requirements.txt is made last: where it stands, all that it names is installed.
.venv/requirements.txt: requirements.txt
	@if cmp -s $< $@; then touch $@; else set -e; $(need_python); rm -f $@; \
	echo "Setting up .venv from requirements.txt: once, a few minutes"; \
	$(PYTHON) -m venv --clear .venv; \
	.venv/bin/python -m pip install --quiet -r $<; cp $< $@; fi

# ---- book -----------------------------------------------------------------------------------

# Checksums and not dates say what changed: they see deleted files, and overlook a git checkout.
sums = find $(1) -type f ! -path '*/.*' ! -path '*/__pycache__/*' -exec cksum {} + | LC_ALL=C sort

.PHONY: FORCE
_build/pages.sum: FORCE
	@mkdir -p _build; $(call sums,_config.yml _toc.yml book chapters lib/dropout tests/test_mask.py) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The cache of executed notebooks looks at their cells only: what these import or read empties it.
results = $(filter-out %/robust.json,$(wildcard book/results/*.json))
_build/.jupyter_cache/code.sum: FORCE
	@mkdir -p $(@D); $(call sums,requirements.txt $(results) lib/dropout) >_build/code.new
	@if cmp -s _build/code.new $@; then rm _build/code.new; \
	else rm -rf $(@D) && mkdir $(@D) && mv _build/code.new $@; fi

# --all, since Sphinx is silent on the pages it does not read again, and a broken book would pass
# at the second try. The warnings come last, where they are seen, less ipykernel's on local sockets.
# One thread: the chapters' networks are so small that a second one slows them down.
_build/book.done: _build/pages.sum _build/.jupyter_cache/code.sum | .venv/requirements.txt
	@rm -rf $@ _build/html _build/jupyter_execute
	@OMP_NUM_THREADS=1 .venv/bin/jupyter-book build . --all -n -W --keep-going 2>_build/warnings.txt; \
	status=$$?; grep -v 'Kernel is running over TCP' _build/warnings.txt >&2; exit $$status
	@touch $@

book: _build/book.done ## execute the chapters and build the book
	@echo "The book: $(CURDIR)/_build/html/index.html"

pdf: _build/book.done ## print the built book into one PDF, with Chromium
	@.venv/bin/python book/pdf.py _build/html _build/dropout.pdf

lab: .venv/requirements.txt ## open JupyterLab on the chapters
	@.venv/bin/python -m jupyterlab --LabApp.default_url=/lab/tree/chapters --LabApp.news_url=None \
	--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

notebooks: .venv/requirements.txt ## execute the chapters and store their text outputs
	@.venv/bin/python tests/notebooks/normalise.py

robust: .venv/requirements.txt ## run the chapters on 20 fresh seeds and store what held
	@.venv/bin/python -m tests.notebooks.robust --store

# ---- tests ----------------------------------------------------------------------------------

# A worker a core, so a thread a worker.
pytest = OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -n logical --dist loadscope --no-loadscope-reorder
# The shapes in signatures are checked at run time, except where users' errors are tested and in
# the kernels, which Numba and Triton compile.
shapes = $(foreach m,mask shard reference op noise seeding kernels.portable layers theory bayes training figures,dropout.$(m),)
# A worker takes a file at a time: first the longest, or one would be left alone with it.
longest = tests/notebooks/test_rivals.py tests/test_torch_private.py
unchecked = $(longest) $$(grep -rlw --include='test_*.py' unchecked tests | LC_ALL=C sort)
run_tests = \
	$(pytest) -m 'not unchecked' --jaxtyping-packages=$(subst $() ,,$(shapes))beartype.beartype; checked=$$?; \
	$(pytest) -m unchecked $(unchecked); exit $$((checked + $$?))

test: .venv/requirements.txt ## library, notebooks, built book
	@$(MAKE) --no-print-directory book; book=$$?; ($(call run_tests,.venv)); exit $$((book + $$?))

test-latest: ## the same with the newest releases that pyproject.toml allows
	@$(need_python)
	@$(PYTHON) -m venv .venv-latest
	@.venv-latest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
	-e '.[book,lab,test]' '$(LATEST_TORCH)'
	@$(call run_tests,.venv-latest)

elsewhere = book browser gpu notebooks kernels/test_engines_agree.py
test-fast: .venv/requirements.txt ## the library alone, without Triton's interpreter
	@$(call pytest,.venv) $(addprefix --ignore=tests/,$(elsewhere)) tests lib/dropout README.md

pins: ## resolve anew what the direct pins in requirements.txt need
	@$(need_python)
	@mkdir -p _build; sed '/^# Transitive/q' requirements.txt >_build/pins.txt
	@sed -n 's/^\([^#=]*\)==.*/^\1==/p' _build/pins.txt >_build/direct.txt
	@$(PYTHON) -m venv --clear .venv-pins
	@.venv-pins/bin/python -m pip install --quiet -r _build/pins.txt
	@.venv-pins/bin/python -m pip freeze --all --exclude pip | grep -viE '^(nvidia|cuda)' | \
	grep -vif _build/direct.txt >>_build/pins.txt
	@echo '-e .' >>_build/pins.txt; mv _build/pins.txt requirements.txt

gpu-check: ## tests, chapters and benchmark on a CUDA machine; needs no .venv and no network
	@PYTHONPATH=lib $(PYTHON) -m tests.gpu.check

# In the environment that users have, who set no such thing.
bench: .venv/requirements.txt ## time the library beside PyTorch's own dropout
	@env -u OMP_WAIT_POLICY .venv/bin/python -m dropout bench

lint: .venv/requirements.txt ## ruff and mypy
	@.venv/bin/ruff check .; a=$$?; .venv/bin/ruff format --check .; b=$$?; \
	.venv/bin/mypy; exit $$((a + b + $$?))

clean: ## delete what was built; .venv stays
	@rm -rf _build .hypothesis .mypy_cache .pytest_cache .ruff_cache
