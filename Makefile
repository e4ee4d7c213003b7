# Two commands for a newcomer: `make demo` and `make test`. Both install PostgreSQL and Redis
# when they are missing, start private throw-away servers and stop what they started.

CARGO ?= cargo
FLAGS ?= --locked

.PHONY: help demo test test-faults test-death soak lint doc packages bench-gc bench-queue

help: ## Shows this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

packages: ## Installs PostgreSQL and Redis if they are missing; starts nothing
	@scripts/packages

demo: packages ## Fills a registry with garbage, collects it through the daemon, checks the result
	$(CARGO) build $(FLAGS) --bin quayhand
	$(CARGO) run --quiet $(FLAGS) --bin quayhand -- demo

test: packages ## Runs every test against real servers
	@[ -d ../shared ] || echo "SKIPPED: ../shared is missing, the tests that compare with it do nothing"
	$(CARGO) test $(FLAGS) --workspace -- --show-output

test-faults: packages ## Plays every fault of docs/faults.md (QUAYHAND_FAULT_JOBS, QUAYHAND_FAULT_KILLS=200)
	QUAYHAND_FAULT_JOBS=$${QUAYHAND_FAULT_JOBS:-100000} \
		QUAYHAND_FAULT_KILLS=$${QUAYHAND_FAULT_KILLS:-50} \
		CARGO="$(CARGO)" scripts/test-faults $(FLAGS)

test-death: packages ## Kills the program 20 times at each step (QUAYHAND_DEATH_ROUNDS)
	QUAYHAND_DEATH_ROUNDS=$${QUAYHAND_DEATH_ROUNDS:-20} \
		$(CARGO) test $(FLAGS) --test endurance -- death --nocapture

soak: packages ## Pushes, pulls, collects and kills for two minutes (QUAYHAND_SOAK_SECONDS)
	QUAYHAND_SOAK_SECONDS=$${QUAYHAND_SOAK_SECONDS:-120} \
		$(CARGO) test $(FLAGS) --test endurance -- soak --nocapture

lint: ## Checks the formatting of every file and every lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(FLAGS) --workspace --all-targets -- -D warnings

doc: ## Builds the documentation, without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(FLAGS) --workspace --no-deps

bench-gc: packages ## Times collecting beside one hand-written transaction (QUICK=1: small, one run)
	$(if $(QUICK),QUAYHAND_BENCH_SIZES=small QUAYHAND_BENCH_RUNS=1) $(CARGO) bench $(FLAGS) --bench gc

bench-queue: packages ## Times the queue beside a loop by hand and apalis-redis (QUICK=1: one short run)
	$(if $(QUICK),QUAYHAND_BENCH_RUNS=1 QUAYHAND_BENCH_JOBS=5000 QUAYHAND_BENCH_BACKLOG=50000) \
		$(CARGO) bench $(FLAGS) --bench queue
