"""What a person got wrong."""


class InputError(ValueError):
    """Something that a person gave is wrong. The message says what and what to do; a command line prints it alone."""
