"""The pages: chat, learning, sources, evals, for browsers."""
