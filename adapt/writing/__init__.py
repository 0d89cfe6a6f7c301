"""Examples that a model writes from documents: asked for, checked, kept, and paid for by budget."""
