# Every target first brings .venv up to its lock (nothing happens when it is).
.PHONY: help install demo test check format lock clean distclean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

install:  ## make .venv: the gpu lock where nvidia-smi lists a GPU, else the cpu lock
	@requirements/install.sh

demo: install  ## learn new APIs and facts end to end; the last line is the result as JSON
	@.venv/bin/perennial demo

test: install  ## all tests; ARGS="tests/store -k name" picks some
	@.venv/bin/python -m pytest $(ARGS)

check: install  ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright

format: install  ## mend what ruff can mend
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: install  ## remake requirements/*.lock from pyproject.toml; ARGS=--upgrade takes newer versions
	@requirements/compile.sh $(ARGS)

clean:  ## remove caches and build output (.perennial, your data, stays)
	rm -rf build dist .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove .venv
	rm -rf .venv
