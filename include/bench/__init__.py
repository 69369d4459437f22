"""Benchmarks with goals: ``PYTHONPATH=include python -m bench``; one module each, see README.md."""
