# `make` lists what can be made; each target is a command or two of the README.
.DEFAULT_GOAL := help
.PHONY: help setup lint test check docs golden generated audit demo up down env compose kind dev delete

help: ## this list
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET\n"} /^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

setup: ## Python packages, and the programs that the tests start (redis-server, prometheus, chromium, helm, actionlint)
	python3 -m pip install -q uv
	uv sync
	.ci/tools

lint: ## ruff, codespell and mypy
	uv run ruff check .
	uv run codespell
	uv run ruff format --check .
	uv run mypy

test: ## all tests, the minutes-long ones too
	uv run pytest -n 2

check: lint ## lint, and the tests without the minutes-long ones
	uv run pytest -n 2 -m "not flow and not cluster"

docs: ## the documentation as a site, in site/
	uv run mkdocs build --strict

golden: ## render the charts again; review the diff
	FRAUD_UPDATE_GOLDEN=1 uv run pytest tests/charts/test_charts.py -k committed

generated: golden ## everything that is generated: renderings, dashboards, FEATURES.md, READMEs of the charts
	uv run python -m fraud.tools.dashboards.main
	uv run fraud features docs --out fraud/features/FEATURES.md
	uv run python -m fraud.tools.docs.charts

audit: ## known vulnerabilities of the locked packages
	uv audit --locked --preview-features audit-command

demo: ## run the whole platform on this machine, and account for every record
	uv run fraud demo

up: ## start the platform on this machine
	uv run fraud up

down: ## stop it
	uv run fraud down

env: ## .env for Compose, once, with random passwords and keys
	.ci/env

compose: env ## the platform in containers on this machine (Docker with Compose 2.23 or newer)
	docker compose up --build --detach --wait

kind: ## a cluster on this machine with everything in it (Docker, kind, kubectl, helm, skaffold)
	.ci/readme kind | bash -euo pipefail -x

dev: ## on that cluster: copy every edit into the running pods
	skaffold dev -m platform --port-forward

delete: ## delete that cluster with all its data
	kind delete cluster --name fraud
