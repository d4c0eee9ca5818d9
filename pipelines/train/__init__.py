"""Two stages of LoRA training on Ray Train and DeepSpeed, each merged at its end."""
