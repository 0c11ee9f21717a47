"""What policies hold inside: probes of hidden layers, similarity to a start, attention against the true masks."""
