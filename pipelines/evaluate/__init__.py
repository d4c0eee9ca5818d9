"""Tests of a model: multiple choice, perplexity, free-form answers and a judge."""
