"""Publishing what a run has made."""
