"""The assistant over HTTP: OpenAI-compatible chat, the models there are, administration."""
