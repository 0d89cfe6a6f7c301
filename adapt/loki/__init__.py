"""LoKI (arXiv 2505.22120): which rows of each `down_proj` may move, and their training.

A knowledge vector is a row of W_down (d_model rows of length d_ff). Attribution scores rows,
selection picks the same number in every layer, implanting trains them as an exact LoRA. These
modules need torch and run in child processes only; `selection` and `settings` alone are light.
"""
