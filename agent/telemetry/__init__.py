"""What is told of what happens: metrics, traces, logs. Nothing leaves the machine by itself."""
