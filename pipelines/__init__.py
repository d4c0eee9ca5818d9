"""What is done to data and models, offline: one package per step."""
