"""What a cleaned data set consists of: words, tokens, lengths, shares and the funnel, counted a shard at a time."""
