"""How the demo model is built and trained: tokenizer, architecture, forward pass, batches, stages, depth growth."""
