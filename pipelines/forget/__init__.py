"""What somebody wants to be forgotten: taken out of every artifact of a run, and kept out."""
