"""Data sets, one file each, found by their name in the config: a module has `read(**parameters)` -> images
(N, channels, height, width) uint8, labels (N,) int from 0 and train (N,) bool. All parameters are keyword-only; one
called `folder` is in no address. A module may have SHAPE, (training samples, test samples, channels, height, width,
classes), so that `amun_steps.plan` need not read the data.

`read` raises `amun_steps.steps.InputError` when the files are not what they should be, naming the one that is not.
"""
