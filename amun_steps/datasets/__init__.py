"""Data sets, one file each, found by their name in the config: a module has `read(**parameters)` -> images
(N, channels, height, width) uint8, labels (N,) int and train (N,) bool."""
