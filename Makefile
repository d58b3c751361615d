.DEFAULT_GOAL := help
FUZZTIME ?= 30s

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

test: ## every test
	go test ./...

race: ## every test under the race detector, in random order
	go test -race -shuffle=on ./...

lint: ## formatting, vet, linters, module files
	.ci/lint

fuzz: ## each fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) .ci/fuzz

bench: ## every benchmark, with allocations
	go test -run '^$$' -bench . -benchmem ./...

load: ## the numbers of the README, on this machine
	go run ./examples/loadtest

cover: ## coverage by package
	go test -cover ./...

.PHONY: help test race lint fuzz bench load cover
