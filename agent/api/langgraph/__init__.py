"""The LangGraph protocol: what `langgraph-sdk`, the JavaScript SDK and agent-chat-ui call.

Assistants are the versions; threads, state, history, runs and items are as LangGraph's own server
has them. Scheduled runs (crons), webhooks and subgraphs are not there. Built into the application
by `agent.api.app`; docs/threads.md says what each call does.
"""
