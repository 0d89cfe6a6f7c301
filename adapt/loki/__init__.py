"""LoKI (arXiv 2505.22120): which rows of each `down_proj` may move, and their training.

A knowledge vector is a row of W_down (d_model rows of length d_ff). Attribution scores rows, a rule
selects from the scores, implanting trains the rows as an exact LoRA; the methods that it is
compared with train in the same loop. What needs torch runs in child processes and commands of its
own: `scores`, `selection`, `definitions` and `settings` are light.
"""
