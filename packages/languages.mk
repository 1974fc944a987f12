# npm packages, and the examples in other languages with their tests. The Makefile includes this.

.PHONY: npm-packages test-all test-languages test-ray

test: test-languages

test-all: test test-ray

# The library that the packages carry: the one for other people's machines where it was built, else dist/'s.
NPM_PARTS ?= $(if $(wildcard target/packages/parts/libbge.so),target/packages/parts,dist)
# The same for aarch64, where somebody has built it.
NPM_PARTS_ARM64 ?= $(wildcard target/packages/parts-aarch64)

npm-packages: build
	@scripts/setup.sh node
	@node packages/node/pack.mjs --dist $(NPM_PARTS) --into dist $(if $(NPM_PARTS_ARM64),--arm64 $(NPM_PARTS_ARM64))

# A language that is missing here and cannot be had does not stop the others: the tests skip it, and name it.
test-languages: build model .venv/.ready
	@for need in node go jdk maven cc sqlite3_dev rust binutils; do scripts/setup.sh $$need || true; done
	@if scripts/setup.sh node 2>/dev/null; then $(MAKE) --no-print-directory npm-packages; fi
	@echo "running the tests of other languages"
	@$(PYTHON) -m pytest -q tests/packages -m "not slow"

# Installs 600 MB and embeds 5,000 texts with two workers, one of which is killed.
test-ray: build model .venv/.ready
	@$(PYTHON) -m pytest -q tests/packages/test_ray.py
