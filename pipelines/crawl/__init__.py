"""From URLs to stored pages, politely."""
