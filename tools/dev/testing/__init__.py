"""Runs the suites and adds up. See ../../test."""
