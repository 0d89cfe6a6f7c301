"""The deployed assistant: settings, the engine and its process, the graph, HTTP and pages.

Imports `store` and `tools`, never `adapt`. vLLM runs in a child process; nothing here imports it.
"""
