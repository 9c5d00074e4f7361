"""Measurements; see __main__.py."""

import pilothouse as pilothouse  # Before Arrow, as in our programs: it chooses how Arrow's memory is had.
