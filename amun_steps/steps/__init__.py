"""The steps: one file for each rule of the workflow."""
