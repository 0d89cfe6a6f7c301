"""A procedural, seeded universe of ToolBench-shaped APIs with real behaviour.

`catalogue` makes the tools, `executor` runs them, `tasks` writes questions with checkable answers,
`server` answers over HTTP in StableToolBench's shape. Everything follows from seeds.
"""
