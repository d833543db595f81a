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
.PHONY: help build run test check generate generated scalar lint format race bench clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/campaigns
	$(GO) build -trimpath -buildvcs=false -ldflags '-X main.version=$(STAMP)' -o bin/campaigns ./cmd/campaigns

run: build ## Build it and serve on 127.0.0.1:8080, with made-up data in an SQLite file under data/
	bin/campaigns serve --dev

# Locally, a missing PostgreSQL or Chromium only skips tests, which `go test` does
# without a word: the last lines say so. With CI set they fail.
test: ## Run every test, on SQLite and on PostgreSQL
	$(GO) test ./...
	@$(GO) test -v -run '^TestEachRunsOncePerDatabase$$' ./store/storetest | sed -n 's/.*\(no PostgreSQL:.*\)/Tested on SQLite alone. There is \1/p'
	@$(GO) test -v -run '^TestThereIsABrowser$$' ./tests | sed -n 's/.*\(no Chromium.*\)/No page was looked at. There is \1/p'

check: test generated lint race ## Everything CI checks

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

format: ## Format the code the way lint wants it
	$(TOOL) golangci-lint fmt

race: export CGO_ENABLED = 1
race: ## Run every test under the race detector, property tests with a fifth of their draws (needs a C compiler)
	$(GO) test -race -short -timeout 20m ./...

bench: ## Measure import, audience and sending on both databases (BENCH_ARGS for more)
	$(GO) test ./tests -run '^$$' -bench '^BenchmarkProgram$$' -benchtime 1x -timeout 60m

clean: ## Remove what was built (data/ stays)
	rm -rf bin
