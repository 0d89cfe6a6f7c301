"""How Perennial learns: gather, synthesise, attribute, implant, compose, evaluate, gate, swap."""
