"""The product's HTTP interface as an outsider uses it: in by a one-time link, then readings and alerts page by page."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

PAGE = 500
PAGES_MAX = 10_000
PATIENCE_S = 30.0


class Console:
    """A session on a running console."""

    def __init__(self, link: str) -> None:
        """Use a one-time link. Raises httpx.HTTPError where it doesn't let us in."""
        parts = urlsplit(link)
        self._http = httpx.Client(
            base_url=f"{parts.scheme}://{parts.netloc}", timeout=PATIENCE_S, trust_env=False
        )
        try:
            self._http.get(parts.path, follow_redirects=True).raise_for_status()
        except httpx.HTTPError:
            self._http.close()
            raise

    def readings(self) -> list[dict[str, Any]]:
        """Every reading, as each store holds it."""
        return list(self._pages())

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert."""
        return list(self._get("/api/alerts")["alerts"])

    def _pages(self) -> Iterator[dict[str, Any]]:
        after: str | None = None
        for _ in range(PAGES_MAX):
            told = self._get(
                "/api/readings", limit=str(PAGE), **({"after": after} if after else {})
            )
            yield from told["readings"]
            after = told["next"]
            if after is None:
                return
        raise RuntimeError(f"over {PAGES_MAX} pages of readings")

    def _get(self, path: str, **query: str) -> Any:  # noqa: ANN401 JSON of another program
        answer = self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def close(self) -> None:
        """Let the connection go."""
        self._http.close()
