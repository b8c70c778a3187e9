"""The checker that the import hook in conftest.py puts on every function of the package."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

#: As mypy does, an int is taken where a float is expected (PEP 484's numeric tower).
checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
