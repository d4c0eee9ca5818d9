"""What answers, online and in batch: engines, the HTTP face and the Ray Serve application."""
