# make demo: the paper's main experiment on real handwritten digits. make all: all its tables and figures on them.
# make compare: all methods on forget sets that are easy and that are not, by all judges, on digits; at most an hour, and as
# often more as REPLICATES says.
# make ensemble: a few methods by 100 unlearned and 100 retrained models of each forget set, on digits; at most an hour.
# make report: what make all makes in one HTML file. make fashion: all methods on Fashion-MNIST, two hours.
# make bench: what this costs beside other packages and code, into benchmarks/README.md; 8 to 20 minutes.
# make plan: what CONFIG will cost, before it runs. make test: the tests, a file on each core.
# make faults: the workflow killed KILLS times.
# make mutants: whether the tests notice wrong science, two edits side by side. Each installs what it needs.
CORES ?= $(shell nproc)
KILLS ?= 50
CONFIG ?= config/config.yaml
VENV := .venv
BIN := $(VENV)/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --quiet host

.PHONY: demo all compare ensemble report fashion plan bench test faults mutants lint format

demo: $(VENV)/.installed
	$(SNAKEMAKE) --configfile config/quickstart.yaml -- $(patsubst %,results/tables/table%.csv,1 2 10 11)
	@cat results/tables/table1.md results/tables/table2.md
	@ls results/tables/*.csv results/tables/*.md results/tables/*.tex

all: $(VENV)/.installed
	$(SNAKEMAKE) --configfile config/quickstart.yaml
	@ls results/claims.csv results/tables/*.md results/figures/*.pdf

compare: $(VENV)/.installed
	$(SNAKEMAKE) --configfile config/compare.yaml $(if $(REPLICATES),--config replicates=$(REPLICATES)) -- all results/compare/report.html
	@cat results/compare/tables/random10.md
	@ls results/compare/*.csv results/compare/report.html

ensemble: $(VENV)/.installed
	$(SNAKEMAKE) --configfile config/ensemble.yaml -- all results/ensemble/report.html
	@cat results/ensemble/judges.md
	@ls results/ensemble/*.csv results/ensemble/report.html

report: $(VENV)/.installed
	$(SNAKEMAKE) --configfile config/quickstart.yaml -- all results/report.html
	@ls results/report.html

fashion: $(VENV)/.installed
	$(SNAKEMAKE) --configfile config/fashion.yaml -- all results/fashion/report.html
	@cat results/fashion/tables/table1.md results/fashion/tables/table2.md
	@ls results/fashion/*.csv results/fashion/report.html

plan: $(VENV)/.installed
	@$(BIN)/amun plan $(CONFIG)

bench: $(VENV)/.peers
	$(BIN)/python benchmarks/bench.py

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

faults: $(VENV)/.installed
	KILLS=$(KILLS) $(BIN)/python -m pytest tests/test_faults.py tests/test_slurm.py

mutants: CORES = 2
mutants: $(VENV)/.installed
	CORES=$(CORES) $(BIN)/python tests/mutants.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint --configfile config/quickstart.yaml

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

$(VENV)/.installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The peers alone: they want a requests of 2021 and a visdom that does not build any more, and use neither here.
$(VENV)/.peers: $(VENV)/.installed
	$(BIN)/pip install --quiet --no-deps $$(sed -n 's/^bench = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",')
	touch $@
