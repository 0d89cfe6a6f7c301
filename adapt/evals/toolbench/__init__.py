"""ToolBench and StableToolBench: queries, ToolLLaMA's protocol, virtual API server, scores, judge.

`queries` and `functions` read what is asked, `chain` and `tree` are the two ways of asking (ReAct
and DFSDT), `server` answers the calls, `scores` and `judge` say how it went. `play` joins them.
"""
