"""tieout: pull, certify and reconcile the betting and rebate reports of game providers, slice by slice."""

__version__ = "0.1.0"
