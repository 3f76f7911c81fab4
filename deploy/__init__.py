"""Runs Payhub's processes on one machine and checks how they are packaged."""
