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

rules: ## the alert rules, with promtool
	promtool check rules otelx/dashboards/prometheus-rules.yaml
	promtool test rules otelx/dashboards/prometheus-rules_test.yaml

versions: ## what stands on PostgreSQL, on 14, 16, 17 and 18
	.ci/postgres-versions

cover: ## coverage by package
	go test -cover ./...

.PHONY: help test race lint fuzz bench load rules versions cover
