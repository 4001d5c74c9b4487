import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["anthropic", "aiohttp", "uvloop"])
def test_peers_with_an_environment_of_their_own_use_the_same_versions(package: str) -> None:
    locks = (ROOT / "requirements-dev.lock", ROOT / "bench" / "peers" / "requirements.lock")
    versions = [re.findall(rf"^{package}==(\S+)", lock.read_text(), re.MULTILINE) for lock in locks]
    assert versions[0] == versions[1] != []
