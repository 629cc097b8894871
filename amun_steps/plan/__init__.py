"""From a config to stages, to jobs and to what they cost."""
