"""How often the gate errs: updates of known effect, drawn and judged by the gate's own rules."""
