.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION)
LINT    := go tool -modfile=tools.mod golangci-lint

## help: list the targets
help:
	@sed -n 's/^## //p' Makefile

## check: what CI runs, and all that must pass before a commit
check: fmt-check lint test

## build: the binary, static, in bin/
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/weir .

## run: the server on ./weir-data
run: build
	bin/weir serve

## demo: everything at work on generated traffic
demo:
	go run . demo

## test: every test, under the race detector
test:
	go test -race -shuffle=on -timeout 15m ./...
	go -C internal/icuregex test -race ./...
	go -C bench test -race ./...

## quick: the tests without the race detector
quick:
	go test ./...

## crash: kill -9 the server again and again, at every point that could matter, and account for every event
crash:
	go test -run Crash -count 10 -timeout 60m $$(go list ./... | grep -v /e2e$$)
	go test ./e2e -run 'Crash(RealData|During|Around)' -count 3 -timeout 60m -crashes 24
	go test ./e2e -run 'Crash(Deliveries|Points)' -v -timeout 60m -visits 3 -kills 200

## differ: generated SELECTs on weir and on MariaDB, 50,000 of them with a new seed; any difference that is not listed fails
differ:
	go test ./e2e -run 'Differ$$' -v -timeout 60m -differ 50000 -differ-seed 0

## fuzz: each fuzz target for a minute
fuzz:
	@for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
			go test -run '^$$' -fuzz "^$$f$$" -fuzztime 1m $$p || exit 1; \
		done; \
	done

## bench: weir beside its ceilings and beside MariaDB, PostgreSQL, ClickHouse and DuckDB, as far as they are installed
bench:
	go -C bench run . all

## bench-quick: the same, small: under three minutes, for the ratios
bench-quick:
	go -C bench run . quick

## bench-queries: what reading a view costs, beside the same rows elsewhere
bench-queries:
	go -C bench run . queries

## bench-docs: measure everything on this machine, and write the tables and pictures of docs/performance.md
bench-docs:
	go -C bench run . docs --out results
	go -C bench run . report

## microbench: the benchmarks beside the code
microbench:
	go test -run '^$$' -bench . -benchmem -count 6 ./...

## lint: static checks
lint:
	go vet ./...
	go -C internal/icuregex vet ./...
	go -C bench vet ./...
	$(LINT) run ./...
	cd bench && go tool -modfile=../tools.mod golangci-lint run ./...

## fmt: format the code
fmt:
	$(LINT) fmt ./...

fmt-check:
	@$(LINT) fmt --diff ./... || { echo 'run make fmt'; exit 1; }

.PHONY: help check build run demo test quick crash differ fuzz bench bench-quick bench-queries bench-docs microbench lint fmt fmt-check
