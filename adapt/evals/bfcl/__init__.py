"""BFCL's conversations in a confined process, and our marks beside those of its own checker."""
