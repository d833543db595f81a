# The developer's commands: `make` lists them. Building and running need Go and
# make and nothing else.

GO ?= go
TOOL = $(GO) tool -modfile=tools.mod

# No C compiler is needed for anything but `make race`.
export CGO_ENABLED = 0

# The document's version and, where git knows it, the commit: 1.2.0+4f1c2ab-dirty.
VERSION = $(shell sed -n 's/^  version: *["'\'']\{0,1\}\([^"'\'' ]*\).*/\1/p' openapi.yaml | head -n 1)
COMMIT = $(shell git describe --always --dirty --exclude='*' 2>/dev/null)
STAMP = $(VERSION)$(addprefix +,$(COMMIT))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build run test check contract released generate generated scalar lint format race bench chaos clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/campaigns
	$(GO) build -trimpath -buildvcs=false -ldflags '-X main.version=$(STAMP)' -o bin/campaigns ./cmd/campaigns

run: build ## Build it and serve on 127.0.0.1:8080, with made-up data in an SQLite file under data/
	bin/campaigns serve --dev

# Locally, a missing PostgreSQL, libfaketime or Chromium only skips tests, which `go test` does
# without a word: the last lines say so. With CI set they fail.
test: ## Run every test, on SQLite and on PostgreSQL
	$(GO) test ./...
	@$(GO) test -v -run '^TestEachRunsOncePerDatabase$$' ./store/storetest | sed -n 's/.*\(no PostgreSQL:.*\)/Tested on SQLite alone. There is \1/p'
	@$(GO) test -v -run '^TestClockIsSteppedForAllSessions$$' ./store/storetest | sed -n "s/.*\(no libfaketime.*\)/PostgreSQL's clock was not stepped. There is \1/p"
	@$(GO) test -v -run '^TestThereIsABrowser$$' ./tests | sed -n 's/.*\(no Chromium.*\)/No page was looked at. There is \1/p'

check: test generated lint contract race ## Everything CI checks

# Tools that others wrote, each pinned: Redocly (Node.js), Schemathesis (Python) and
# oasdiff (Go). They install themselves into ignored folders when their list changed.
# It takes about three minutes and at most twelve.
CONTRACT = tests/contract
REDOCLY = $(CONTRACT)/node_modules/.bin/redocly
RELEASE = $(shell git describe --tags --abbrev=0 2>/dev/null)
contract: export REDOCLY_TELEMETRY = off
contract: export REDOCLY_SUPPRESS_UPDATE_NOTICE = true
contract: $(CONTRACT)/node_modules/installed $(CONTRACT)/.venv/installed ## Hold openapi.yaml and the running server to each other with others' tools (needs Node.js and Python)
	$(REDOCLY) lint --config $(CONTRACT)/redocly.yaml openapi.yaml $(CONTRACT)/stories/*.arazzo.yaml
	$(TOOL) oasdiff breaking --fail-on ERR $(if $(RELEASE),$(RELEASE):openapi.yaml,$(CONTRACT)/released.openapi.yaml) openapi.yaml
	$(if $(shell command -v timeout),timeout -k 10s 12m) $(GO) test -tags contract -count 1 -timeout 11m -v -run '^TestServerKeepsTheContractAsOthersReadIt$$' ./tests

$(CONTRACT)/node_modules/installed: $(CONTRACT)/package-lock.json
	@command -v npm >/dev/null && node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || \
	{ echo "make contract needs Node.js 20 or later, with npm (Debian 13: apt install nodejs npm)"; exit 1; }
	npm ci --prefix $(CONTRACT) --no-audit --no-fund
	@touch $@

$(CONTRACT)/.venv/installed: $(CONTRACT)/requirements.txt
	@command -v python3 >/dev/null || { echo "make contract needs Python 3.10 or later (Debian: apt install python3-venv)"; exit 1; }
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

released: ## At a release: keep openapi.yaml as what later ones must not break
	cp openapi.yaml $(CONTRACT)/released.openapi.yaml

generate: ## Write gen/ anew from openapi.yaml
	$(GO) generate ./gen/...

generated: generate ## Check that gen/ is what openapi.yaml generates, with nothing left to add to git
	git --no-pager diff --exit-code -- gen
	@new=$$(git ls-files --others --exclude-standard -- gen) && \
	test -z "$$new" || { echo "generated, but unknown to git:"; echo "$$new"; exit 1; }

# The version of /docs' script. npm verifies what it takes; the tests hold the
# file to a checksum, which changes with the version.
SCALAR = 1.72.1

scalar: ## Take the script that draws /docs from its npm package anew (needs npm)
	rm -f server/docs/scalar-*.js.gz
	dir=$$(mktemp -d) && trap 'rm -r "$$dir"' EXIT && \
	npm pack --silent --pack-destination "$$dir" @scalar/api-reference@$(SCALAR) && \
	tar -xzf "$$dir"/*.tgz -C "$$dir" && \
	gzip -9n <"$$dir/package/dist/browser/standalone.js" >server/docs/scalar-$(SCALAR).js.gz

lint: ## Read the code with the linters of .golangci.yaml
	$(GO) mod tidy -diff
	$(TOOL) golangci-lint run
	$(GO) vet -modfile=tools.mod docs/bench/plot.go

format: ## Format the code the way lint wants it
	$(TOOL) golangci-lint fmt

race: export CGO_ENABLED = 1
race: ## Run every test under the race detector, property tests with a fifth of their draws and each fault once (needs a C compiler)
	$(GO) test -race -short -timeout 30m ./...

# BENCH_HISTORY= leaves the history as it is: for a run that is not for the record.
BENCH_HISTORY = docs/bench/history.jsonl

bench: build ## Measure import, audience and sending on both databases (BENCH_ARGS="--runs 3" for the record)
	BENCH_PROGRAM=$(CURDIR)/bin/campaigns BENCH_ARGS="$(BENCH_ARGS) --history=$(abspath $(BENCH_HISTORY))" \
	$(GO) test ./tests -run '^$$' -bench '^BenchmarkProgram$$' -benchtime 1x -timeout 120m
	$(if $(BENCH_HISTORY),$(GO) run -modfile=tools.mod docs/bench/plot.go $(BENCH_HISTORY) $(basename $(BENCH_HISTORY)).svg)

# From its own folder, as `go test` then shows what a test prints.
chaos: ## Hold the crash contract for long: 50 kills and as many other faults (CHAOS_ARGS="-seed 42" to do it again)
	cd tests && $(GO) test -run '^TestNothingIsLostAndRepeatsAreFew$$' -count 1 -timeout 90m -parallel 3 -args -chaos $(CHAOS_ARGS)

clean: ## Remove what was built (data/ stays)
	rm -rf bin
