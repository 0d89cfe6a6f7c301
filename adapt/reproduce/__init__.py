"""Studies that compare methods on the embedded model: `perennial reproduce NAME`."""
