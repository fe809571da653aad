# What to type: `make help`.

PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
TEST_THREADS ?= 4
# a part of test names: `make test ONLY=proxy`
ONLY ?=

ifeq ($(shell id -u),0)
DECAMP_CACHE ?= /var/cache/pg_decamp
else
DECAMP_CACHE ?= $(HOME)/.cache/pg_decamp
endif
export DECAMP_CACHE

TEST_PG_CONFIG := /usr/lib/postgresql/15/bin/pg_config
OTHER_MAJORS := 16 18

.NOTPARALLEL:
.PHONY: help setup build install demo bench test lint install-for-tests run-tests clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo "  PG_CONFIG=$(PG_CONFIG)"
	@echo "  DECAMP_CACHE=$(DECAMP_CACHE)"
	@echo "  for bench: BENCH_ONLY=many,pgbench,mixed,cut,latency,writes,overhead,catchup,lag,idle,switchover"
	@echo "             BENCH_CONTENDERS=decamp,pgcopydb,pg_dump,subscription,bucardo"
	@echo "             BENCH_JOBS=2 BENCH_ROUNDS=3 BENCH_SCALE=1 BENCH_REPORT=target/bench.md"

setup: ## get all that building and testing needs: Debian packages, cargo-pgrx, servers of other majors
	@pgrx-tests/setup.sh all

build: ## build the extension for the server of PG_CONFIG
	@pgrx-tests/setup.sh build
	@pgrx-tests/install.sh build $(PG_CONFIG)

install: ## build and install the extension into the server of PG_CONFIG
	@pgrx-tests/setup.sh build
	@pgrx-tests/install.sh install $(PG_CONFIG)

demo: ## set up, build, install, then migrate a live database before your eyes
	@pgrx-tests/setup.sh build
	@pgrx-tests/install.sh install $(TEST_PG_CONFIG)
	@cargo run --quiet --package decamp-tests --bin demo

bench: ## measure copy and replay beside its peers, for about two hours (or BENCH_ONLY=part,...)
	@pgrx-tests/setup.sh build
	@pgrx-tests/setup.sh bench
	@pgrx-tests/install.sh install $(TEST_PG_CONFIG)
	@cargo run --quiet --release --package decamp-tests --bin bench

test: setup lint install-for-tests run-tests ## set up, check format and lints, install, run every test (or ONLY=part-of-name)

lint:
	cargo fmt --all --check
	PGRX_PG_CONFIG_PATH=$(TEST_PG_CONFIG) cargo clippy --workspace --all-targets -- -D warnings

install-for-tests:
	@pgrx-tests/install.sh install $(TEST_PG_CONFIG)
	@for major in $(OTHER_MAJORS); do \
		pg_config=$(DECAMP_CACHE)/target/$$major/bin/pg_config; \
		if [ -x $$pg_config ]; then pgrx-tests/install.sh install $$pg_config || exit 1; \
		else echo "SKIPPED: no PostgreSQL $$major to install the extension into" >&2; fi; \
	done

# the pure modules first, in a binary of their own; then all that needs servers, in one binary, so that the topics overlap
# in time and there is one summary, at the very end
run-tests:
	cargo test --package decamp-tests --lib --test unit -- $(ONLY)
	cargo test --package decamp-tests --test servers -- --test-threads=$(TEST_THREADS) $(ONLY)

clean: ## remove what was built here (not the cache, not what was installed)
	cargo clean
