"""Measurements: ratios inside one run, against a bare limit and against peers.

Owns nothing that ships. Called by `make bench`. Never asserts a time.
"""
