"""Data sets, one file each, found by their name in the config: a module has `read(**parameters)` -> images
(N, channels, height, width) uint8, labels (N,) int and train (N,) bool.

`read` raises `amun_steps.steps.InputError` when the files are not what they should be, naming the one that is not.
"""
