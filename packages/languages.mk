# npm packages, and the examples in other languages with their tests. The Makefile includes this.

.PHONY: test-all test-languages test-ray

test: test-languages

test-all: test test-ray

# A step of `packages`: npm tarballs of the parts that all packages are made of. Without npm the others are made.
ARM64_PARTS := $(wildcard target/packages/parts-aarch64)
NPM_PACK = if scripts/setup.sh node; \
	then node packages/node/pack.mjs --dist target/packages/parts --into dist $(if $(ARM64_PARTS),--arm64 $(ARM64_PARTS)); \
	else echo "no npm tarballs were made"; fi

# A language that is missing here and cannot be had does not stop the others: the tests skip it, and name it.
test-languages: packages model .venv/.ready
	@for need in node go jdk maven cc libsqlite3 rust binutils; do scripts/setup.sh $$need || true; done
	@echo "running the tests of other languages"
	@$(PYTHON) -m pytest -q tests/packages -m "not slow"

# Installs 600 MB and embeds 5,000 texts with two workers, one of which is killed.
test-ray: packages model .venv/.ready
	@scripts/setup.sh loading_python
	@$(PYTHON) -m pytest -q tests/packages/test_ray.py
