"""The steps of the AMUN workflow: each module is one stage, from files and parameters to files."""
