"""Runs that are kept: whom to ask, the folder of a run, and what is shown of it."""
