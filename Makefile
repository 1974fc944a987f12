# Builds the extension, gets its parts, shows it and tests it. `make help` lists the targets.
#
# Every target does its own set-up on a machine with git, make, Rust and apt (scripts/setup.sh
# installs what is missing when root, else says what to run), and is quick the second time.

MODEL ?= bge-small-en-v1.5
# The newest official build of ONNX Runtime without telemetry; see docs/decisions/08-onnx-runtime.md.
ORT ?= 1.28.0
# Not empty: the library for NVIDIA GPUs. A target that is made without it brings the other one back.
GPU ?=

PYTHON := .venv/bin/python
SOURCES := $(shell find src sql -type f 2>/dev/null) Cargo.toml Cargo.lock
PACKAGE_SOURCES := $(shell find packages -type f -not -name '*.pyc' 2>/dev/null) $(wildcard LICENSE-*)
CARGO_FLAGS := --release --features loadable

export BGE_COMMIT := $(shell git describe --always --dirty 2>/dev/null)
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help build model demo demo-packages packages packages-aarch64 test test-all test-rust test-hosts test-packages test-packages-all \
        lint bench bench-peers clean runtime

help:
	@echo "make demo           set up everything and search a help desk by meaning and words"
	@echo "make demo-packages  the same on Debian's package descriptions; QUERY='...'"
	@echo "make build          dist/: the extension and ONNX Runtime; ORT=1.28.0, GPU=1 for NVIDIA GPUs"
	@echo "make model          dist/models/: a BGE model; MODEL=$(MODEL)"
	@echo "make packages       dist/: wheels, npm tarballs and a tar.gz for other machines, and manifest.json"
	@echo "make test           set up everything and run the tests"
	@echo "make test-all       the same and those that take long or need a browser"
	@echo "make bench          timings against ONNX Runtime in Python and other indexes (some 30 minutes)"
	@echo "make bench-peers    what make bench compares with besides: fastembed, sentence-transformers, fasttextembed"
	@echo "make lint           rustfmt and clippy, warnings are errors"
	@echo "make clean          remove dist/, target/ and .venv/"

# ---- the parts -------------------------------------------------------------------------------

build: dist/libbge.so runtime

dist/libbge.so: $(SOURCES)
	@scripts/setup.sh rust cc libclang binutils
	@echo "building the extension (a first build takes some 3 minutes)"
	@cargo build $(CARGO_FLAGS)
	@mkdir -p dist
	@strip --strip-all -o dist/libbge.so.new target/release/libbge.so
	@mv dist/libbge.so.new dist/libbge.so

runtime: $(PYTHON)
	@scripts/get_runtime.py --version $(ORT) --into dist --python $(PYTHON) $(if $(GPU),--gpu)

model: .venv/.model-tools
	@mkdir -p dist/models
	@$(PYTHON) scripts/get_model.py $(MODEL) --into dist/models
	@scripts/pack_model.sh $(MODEL)

$(PYTHON):
	@scripts/setup.sh python3 venv
	@echo "making a Python environment in .venv"
	@python3 -m venv .venv

# Without huggingface_hub only Maven is tried, which is no reason to stop.
.venv/.model-tools: scripts/requirements-model.txt $(PYTHON)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r scripts/requirements-model.txt || \
		echo "huggingface_hub could not be installed: models can come from Maven alone"
	@touch $@

.venv/.ready: requirements-test.txt $(PYTHON)
	@echo "installing the test tools into .venv"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

# ---- packages --------------------------------------------------------------------------------

# Built apart from dist/libbge.so: against an old glibc, for other people's machines.
TOOLS := target/packages/tools
PACKAGED := target/packages/libbge.so

packages: dist/manifest.json

# The runtime's marker is new only when the runtime is.
dist/.runtime-version: runtime ;

dist/manifest.json: $(PACKAGED) dist/.runtime-version $(PACKAGE_SOURCES) src/engine/catalog.json Cargo.toml
	@echo "making the packages"
	@$(TOOLS)/bin/python packages/build.py --library $(PACKAGED) --runtime dist --into dist
	@$(NPM_PACK)
	@$(TOOLS)/bin/python packages/manifest.py dist

# On demand: downloads 250 MB and compiles for minutes. The next `make packages` then has an npm package more.
packages-aarch64: $(TOOLS)/.ready $(PYTHON) model
	@scripts/setup.sh rust libclang
	@packages/aarch64.sh $(TOOLS)/bin $(PYTHON)

$(PACKAGED): $(SOURCES) packages/zigbuild.sh $(TOOLS)/.ready
	@scripts/setup.sh rust libclang binutils
	@echo "building the extension for other machines (a first build takes some 2 minutes)"
	@packages/zigbuild.sh $(TOOLS)/bin $@

$(TOOLS)/.ready: packages/requirements-build.txt
	@scripts/setup.sh python3 venv
	@echo "installing the package tools into $(TOOLS)"
	@python3 -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r packages/requirements-build.txt
	@touch $@

# ---- shows -----------------------------------------------------------------------------------

demo: build model
	@scripts/setup.sh sqlite3
	@mkdir -p target
	@cd examples/helpdesk && sqlite3 -batch ../../target/demo.db < demo.sql

demo-packages: build model
	@scripts/setup.sh sqlite3
	@examples/packages/search.sh target/packages.db $(if $(QUERY),"$(QUERY)")

# ---- tests -----------------------------------------------------------------------------------

test: test-rust test-hosts test-packages

test-all: test test-packages-all

test-rust: build model
	@echo "building and running the Rust tests"
	@cargo test $(CARGO_FLAGS) --no-run
	@cargo test --quiet $(CARGO_FLAGS)
	@cargo check --quiet --release --no-default-features

test-hosts: build model .venv/.ready target/oldest-host/release/oldest-host
	@scripts/setup.sh sqlite3 libsqlite3 strace binutils cc maven
	@scripts/setup.sh qemu || true
	@echo "running the tests in SQLite hosts"
	@BGE_TEST_OLDEST_HOST=$(CURDIR)/target/oldest-host/release/oldest-host \
		$(PYTHON) -m pytest -q tests/setup tests/hosts

# The Python tools load extensions and have the packaged wheels installed; pytest runs inside.
HOSTS := target/python-hosts

test-packages: packages model $(HOSTS)/.ready
	@scripts/setup.sh sqlite3 binutils
	@$(HOSTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@echo "running the tests of the Python packages"
	@$(HOSTS)/bin/python -m pytest -q -m "not slow" tests/python

test-packages-all: packages model $(HOSTS)/.ready
	@scripts/setup.sh chromium || true
	@$(HOSTS)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/python/requirements-slow.txt
	@$(HOSTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@$(HOSTS)/bin/python -m pytest -q -m slow -o asyncio_mode=auto tests/python

$(HOSTS)/.ready: tests/python/requirements.txt
	@scripts/setup.sh loading_python
	@echo "installing the Python hosts into $(HOSTS)"
	@$$(scripts/loading_python.sh) -m venv $(HOSTS)
	@$(HOSTS)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt
	@touch $@

target/oldest-host/release/oldest-host: tests/oldest-host/Cargo.toml tests/oldest-host/Cargo.lock tests/oldest-host/src/main.rs
	@scripts/setup.sh rust cc
	@echo "building the oldest supported SQLite as a test host"
	@cargo build --release --manifest-path tests/oldest-host/Cargo.toml --target-dir target/oldest-host
	@touch $@

# A `Cargo.lock` that its `Cargo.toml` has outgrown is an error only where somebody builds with --locked: all are tried.
lint:
	@scripts/setup.sh rust cc libclang
	@for lock in $$(git ls-files '*Cargo.lock'); do \
	    cargo metadata --locked --format-version 1 --manifest-path "$$(dirname "$$lock")/Cargo.toml" > /dev/null || exit 1; \
	done
	@cargo fmt --check
	@cargo clippy --quiet $(CARGO_FLAGS) --all-targets -- -D warnings
	@cargo clippy --quiet --release --no-default-features -- -D warnings

bench: build model .venv/.ready
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r benches/requirements.txt
	@$(PYTHON) benches/single.py
	@$(PYTHON) benches/bulk.py
	@$(PYTHON) benches/passes.py
	@$(PYTHON) benches/index.py
	@$(PYTHON) benches/side_by_side

# What the side-by-side figures are measured beside: 6 GB, most of it PyTorch's. Without it `make bench` leaves
# those peers out by name.
bench-peers: target/peers/.ready

target/peers/.ready: benches/requirements-peers.txt
	@scripts/setup.sh python3 venv
	@echo "installing the peers of the benches into target/peers (some 3 minutes)"
	@python3 -m venv target/peers
	@target/peers/bin/python -m pip install --quiet --disable-pip-version-check -r benches/requirements-peers.txt
	@touch $@

clean:
	rm -rf dist target .venv

# ---- npm packages and other languages -------------------------------------------------------

include packages/languages.mk
