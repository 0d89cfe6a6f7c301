"""The skill of using what the weights know (PaST, arXiv 2601.11258): learned once, added anywhere.

`environment` is the world of one episode, `rollout` plays many at once, `train` improves the
policy (GRPO), `vector` is the adapter that comes out of it, with its card.
"""
