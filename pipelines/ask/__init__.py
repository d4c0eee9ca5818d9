"""One question to the served model, as a caller of the endpoint asks it."""
