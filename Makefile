# Two commands for newcomers: `make demo` and `make test`. Both set up everything they need.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench wheels torture drop-large docs site clean

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: ## Install uv (if missing) and the project's environment
	@scripts/setup

demo: setup ## The main job end to end on real servers, narrated, ending in a report
	@scripts/servers demo
	@scripts/uv run --frozen moatbridge demo

test: setup ## The whole test suite, with every server it needs
	@scripts/servers test
	@scripts/uv run --frozen scripts/tests

check: setup ## Lint, types, layers, dependencies, security rules
	@scripts/check

# A trial with fewer rounds or records does not touch the page; WRITE=1 says that it shall.
BENCH_KEPT = $(if $(or $(filter 1,$(WRITE)),$(if $(ROUNDS)$(SIZE),,1)),--write,--out benchmarks/.results/trial)

bench: setup ## Side by side with scripts and peers (hours); ONLY=sql-http ROUNDS=3 SIZE=0.1 WRITE=1
	@scripts/servers test
	@scripts/uv run --frozen --group bench python benchmarks/run.py $(BENCH_KEPT) $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SIZE),--size $(SIZE))

wheels: setup ## Build all wheels and try them in a fresh environment
	@scripts/wheels

torture: setup ## The long proofs: 10,000 kills, every crash point, zombies, big sizes (hours)
	@scripts/servers test
	@scripts/uv run --frozen pytest tests/torture --timeout 14400 --log-cli-level WARNING
	@scripts/uv run --frozen python benchmarks/million.py

drop-large: setup ## A 1 GiB drop through the whole bridge, killed half way (half an hour)
	@scripts/uv run --frozen python benchmarks/sftp_large.py
	@scripts/uv run --frozen python benchmarks/sftp_bridge.py

docs: setup ## Write the generated reference pages
	@scripts/uv run --frozen python scripts/reference.py

site: setup ## Build the documentation as a site, with search, to read without a network
	@NO_MKDOCS_2_WARNING=1 scripts/uv run --frozen mkdocs build --strict
	@echo "Open $(CURDIR)/site/index.html in a browser; it needs no server."

clean: ## Remove the environment and caches
	@rm -rf .venv .tools .mypy_cache .ruff_cache dist site
