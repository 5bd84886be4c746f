# `make check` is the one door for developers: lint and all tests.
python := .venv/bin/python

.PHONY: check lint test native docs clean

check: lint test

lint:
	$(python) -m ruff check .

test:
	bin/test

native:  # rebuild the C kernels after a change
	$(python) setup.py -q build_ext --inplace

docs:  # the pages of docs/programs, after a change of flags
	$(python) docs/pages.py

clean:  # what building and testing leave behind; runs in results/ stay
	rm -rf build *.egg-info .pytest_cache .hypothesis .ruff_cache mpiedge/kernels/*.so
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
