"""One interface, several engines: token ids in, tokens and log-probabilities out; and model loading."""
