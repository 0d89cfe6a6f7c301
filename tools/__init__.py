"""What the agent can call, and the world that it is tested in."""
