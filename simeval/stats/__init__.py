"""Statistics of success rates and of paired drops: arrays in, one frozen value out."""
