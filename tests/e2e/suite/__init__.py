"""End-to-end tests: functions that take a Bench, in modules by subject. See ../run.py."""
