"""Loaders of published benchmarks, one module each. Found by adapt.evals.benchmarks."""
