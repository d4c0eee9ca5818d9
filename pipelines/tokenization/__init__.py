"""From text to Arrow token sequences."""
