"""Profiles and drift measures against SciPy on planted data."""
