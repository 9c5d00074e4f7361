"""Measures against independent implementations: on flights and on planted data, with the largest difference of each."""
