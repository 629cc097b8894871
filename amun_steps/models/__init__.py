"""Networks, one file each, found by their name in the config: a module has `build(shape, classes, **parameters)`,
where `shape` is that of an image: channels, height, width, and all parameters are keyword-only."""
