"""A box whose tenant's key is lost: its devices are not met as strangers, whose whole memory would be told once more for nobody."""

from pathlib import Path

import pytest

from gateway.runtime.errors import ConfigError
from tests.unit.edge.empty_home import start_and_stop


async def test_without_its_key_the_agent_does_not_start_and_with_it_it_does(tmp_path: Path) -> None:
    await start_and_stop(tmp_path)
    key = tmp_path / "data" / "tenant.key"
    kept = key.rename(tmp_path / "backup.key")

    with pytest.raises(ConfigError, match="under the key with the mark"):
        await start_and_stop(tmp_path)
    with pytest.raises(ConfigError, match="the old key back from its backup"):
        await start_and_stop(tmp_path)
    kept.replace(key)
    await start_and_stop(tmp_path)
