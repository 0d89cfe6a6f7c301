"""How replies are scored: marks, and the rules of each kind of check and benchmark."""
