"""Suites of items with deterministic scores, and the runner that asks an agent."""
