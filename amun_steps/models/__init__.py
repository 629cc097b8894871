"""Networks, one file each, found by their name in the config: a module has `build(channels, classes, **parameters)`."""
