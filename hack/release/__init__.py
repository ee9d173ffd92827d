"""Builds what a release is made of, and checks it."""
