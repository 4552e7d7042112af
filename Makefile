# The few commands that people type. Each installs what it needs and is not there.

VERSION := $(shell cat erlang/c_src/VERSION)
VENV := .venv
# Laboratories that tests use side by side; a test mostly waits.
LANES ?= 2
PYTHON := $(VENV)/bin/python
APT_PACKAGES := ejabberd erlang-base erlang-dev erlang-eunit erlang-dialyzer erlang-proper erlang-meck erlang-mnesia \
	erlang-common-test erlang-tools rebar3 iproute2 make gcc libc6-dev git python3-venv
# Where rustup puts cargo, for who has not logged in again since.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

.PHONY: help build test test-releases test-faults fuzz-journal check demo bench module clean packages python nextest
help:
	@echo "make demo     two real ejabberd nodes become one cluster, before your eyes"
	@echo "make build    everything; Erlang code in _build/default/lib/easy_cluster/ebin, the program target/release/easy-cluster"
	@echo "make test     all tests: Rust, Erlang, and the lab of real ejabberd nodes"
	@echo "make test-releases   the laboratory with ejabberd 24.12 and 26.07, which it downloads first"
	@echo "make test-faults  each operation, killed at its changes, also its member; prints the table of docs/reliability.md"
	@echo "make fuzz-journal   random changes to journals for SECONDS=300: a start has an answer to each, and nothing is lost"
	@echo "make check    format, clippy, xref, rooms, dialyzer, documentation"
	@echo "make bench    the measurements of docs/performance.md"
	@echo "make module   _build/easy_cluster-$(VERSION).tar.gz, for machines without Rust"

build: packages
	rebar3 compile
	cargo build --release --locked -p easy_cluster_cli

test: packages nextest python
	cargo nextest run --workspace --locked
	rebar3 eunit
	rebar3 ct --dir tests/erlang
	rebar3 compile
	$(PYTHON) -m pytest tests/lab -n $(LANES)

test-releases: APT_PACKAGES += debootstrap
test-releases: packages python
	rebar3 compile
	$(PYTHON) -m pytest tests/lab -n $(LANES) -m releases

test-faults: packages python
	rebar3 compile
	$(PYTHON) -m pytest tests/lab -n $(LANES) -m faults
	$(PYTHON) tests/lab/faults $(FAULTS)
	$(PYTHON) tests/lab/faults/chance.py $(CHANCE)

# Journals with wrong bytes beside directories at each stage of an exchange.
SECONDS ?= 300
fuzz-journal: packages
	rebar3 as test compile
	erl -noshell -pa _build/test/lib/easy_cluster/ebin \
		_build/test/lib/easy_cluster/tests/erlang -eval "halt(case easy_cluster_salvage_tests:fuzz($(SECONDS)) of true -> 0; false -> 1 end)."

check: packages
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	rebar3 xref
	escript tests/rooms.escript _build/default/lib/easy_cluster/ebin src
	rebar3 dialyzer

demo: packages python
	rebar3 compile
	$(PYTHON) tests/lab/demo.py

bench: packages python
	rebar3 compile
	cargo bench --locked
	escript benches/scheduler.escript
	escript benches/digest.escript
	$(PYTHON) tests/lab/bench.py
	$(PYTHON) tests/lab/bench_probe.py
	$(PYTHON) tests/lab/bench_diff.py
	$(PYTHON) tests/lab/bench_scrub.py

# A folder for ejabberd's sources folder, with the library built already.
module: packages
	rebar3 compile
	rm -rf _build/module && mkdir -p _build/module/easy_cluster
	cp -rL erlang/. _build/module/easy_cluster/
	rm -rf _build/module/easy_cluster/ebin _build/module/easy_cluster/include
	tar -czf _build/easy_cluster-$(VERSION).tar.gz -C _build/module --owner=0 --group=0 easy_cluster
	@echo "_build/easy_cluster-$(VERSION).tar.gz"

clean:
	rm -rf _build target erlang/priv erlang/ebin erlang/include $(VENV)

# Asked of dpkg, so that nothing is downloaded when nothing is missing.
packages:
	@missing=""; \
	for package in $(APT_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ]; then echo "missing packages:$$missing"; echo "run as root, or install them"; exit 1; fi; \
		echo "installing:$$missing"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; \
	fi
	@command -v cargo >/dev/null || { echo "a Rust toolchain (cargo) is needed: https://rustup.rs"; exit 1; }

nextest:
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest

python: $(VENV)/.installed
$(VENV)/.installed: tests/lab/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@
