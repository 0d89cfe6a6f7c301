"""The scorers themselves examined: gold, spoiled gold, and agents that look at no question."""
