# The house's commands. GNU make 4.3 or newer; `make` alone lists them.
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

BIN := node_modules/.bin
# In one process: Ctrl-C reaches the program itself, not a wrapper.
TSX := exec node --import tsx
# Empty, or e.g. SUITES="unit perl" for `make test`.
SUITES ?=
# Directory with clones of Proxmox's repositories; `make test` takes the suite in when it is set.
PVE_SRC ?=
export PVE_SRC
# Empty, or a word that is in the name or file of the lab's tests that `make test-lab` is to run.
ONLY ?=
export ONLY
# File for the log of all API calls of `make demo`.
WIRE_LOG ?=

.PHONY: help setup build deb demo test lint format bench test-pve lab test-lab lab-sh lab-clean clean distclean node-releases

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  make test SUITES="unit perl"          only these suites'
	@echo '  make test-lab ONLY=resize             only tests whose name or file has the word'
	@echo '  make demo WIRE_LOG=FILE               keep the log of all API calls'
	@echo '  make test-pve PVE_SRC=DIR             clones of pve-storage, pve-common, qemu-server, ... are in DIR'

demo: build ## the whole road against the built-in simulator, with real LUNs
	@$(TSX) tools/demo/main.ts $(if $(WIRE_LOG),--wire-log "$(WIRE_LOG)")

test: build node-releases ## all test suites; ends with one line `N passed, N failed`
	@$(TSX) tools/suites/run.ts $(SUITES)

build: setup ## bundle daemon, command line and simulator into dist/
	@$(TSX) tools/build/bundle.ts

deb: build ## the Debian package: dist/pve-truenas_VERSION_all.deb
	@node --import tsx tools/man/main.ts
	@tools/build/deb.sh

lint: setup ## types, lint rules, format, arrows, dead code, generated files, Perl syntax
	@$(TSX) tools/suites/run.ts lint

format: setup ## rewrite all TypeScript and JSON in the house's format
	@$(BIN)/biome format --write

bench: build ## times of status, list and alloc with 2000 volumes on the array
	@$(TSX) tools/bench/main.ts

test-pve: build ## the life cycle of real pvesm and qm; needs PVE_SRC=DIR and root
	@$(TSX) tools/suites/run.ts pve

lab: ## build the lab: a VM with real ZFS, targets and initiators (test/lab/README.md); needs root
	@test/lab/machine/lab build --install

test-lab: build ## the tests on real kernels in the lab, which is built first if it is not there; needs root
	@$(TSX) tools/suites/run.ts lab

lab-sh: ## a root shell in the lab's VM
	@test/lab/machine/lab up && test/lab/machine/lab sh

lab-clean: ## stop and remove the lab; the built kernel modules stay cached
	@test/lab/machine/lab clean

setup: ## npm packages, and by apt the programs that tests and demo use
	@tools/build/setup.sh

node-releases: setup ## the Node.js releases that the bundles are tested on
	@$(TSX) tools/build/node-releases.ts

clean: ## remove what was built and the logs
	rm -rf dist coverage .cache/logs .cache/suites

distclean: clean ## also the npm packages, and what all clones have downloaded (Node.js releases, promtool)
	rm -rf node_modules .cache "$${XDG_CACHE_HOME:-$$HOME/.cache}/pve-truenas-downloads"
