import importlib
import pkgutil
from collections.abc import Iterator

import api
from api.http.errors import STATUS, codes, status_of
from domain.errors import PerdureError


def subclasses(of: type[PerdureError]) -> Iterator[type[PerdureError]]:
    for found in of.__subclasses__():
        yield found
        yield from subclasses(found)


def test_the_table_knows_every_error_the_gateway_can_load() -> None:
    for module in pkgutil.walk_packages(api.__path__, "api."):
        importlib.import_module(module.name)
    ours = [e for e in subclasses(PerdureError) if not e.__module__.startswith("tests")]
    missing = [e for e in ours if not any(c in STATUS for c in e.__mro__)]
    assert not missing


def test_codes_are_stable_and_distinct() -> None:
    ours = [e for e in subclasses(PerdureError) if 400 <= status_of(e) < 500]
    assert len({e.code for e in ours}) == len(ours)
    assert {e.code for e in ours} <= codes().keys()
