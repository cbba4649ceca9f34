"""Figures of attention and its landmark approximation, for the app and for notebooks: results in, pictures out."""
