"""The same frames through Sluice and through Linux conntrack, verdict by verdict. See ../run.py."""
