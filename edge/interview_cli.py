"""`vitalgate edge interview`: one device's advertisements, GATT table and facts as JSON, for `vitalgate profile draft`."""

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.runtime import log
from gateway.runtime.errors import ConfigError, LinkError

if TYPE_CHECKING:  # `vitalgate edge status` loads no radio
    from edge.links.ble_radio import Heard

FAILED_EXIT = 1
FIND_S = 120.0
GATHER_S = 2.0  # a device tells its name, services and maker in several advertisements
INTERVIEW = 1
_ADDRESS = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}|[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def interview(
    address: Annotated[str, typer.Argument(help="as `vitalgate edge nearby --all` shows it")],
    *,
    radio: Annotated[str, typer.Option(help="bluez, or hci-tcp")] = "bluez",
    radio_address: Annotated[str, typer.Option(help="HOST:PORT for hci-tcp")] = "",
    out: Annotated[Path | None, typer.Option(help="a new file; the terminal without it")] = None,
) -> None:
    """Ask a device what it is: nothing is subscribed to, so that it forgets nothing. Its serial number is not asked."""
    log.configure(json=False)
    if not _ADDRESS.fullmatch(address.upper()):
        raise ConfigError(
            "vitalgate edge interview", "ADDRESS", f"{address!r}", "one like AA:BB:CC:DD:EE:FF"
        )
    if out is not None and out.exists():
        raise _there(out)
    try:
        told = asyncio.run(_interviewed((radio, radio_address), address.upper()))
    except LinkError as fault:
        typer.echo(f"vitalgate: {fault}", err=True)
        raise typer.Exit(FAILED_EXIT) from None
    text = json.dumps(told, indent=1, ensure_ascii=False)
    if out is None:
        typer.echo(text)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except FileExistsError as error:
        raise _there(out) from error
    except OSError as error:
        raise ConfigError(
            str(out), "--out", f"{error.strerror}", "a file that can be written"
        ) from error


def _there(out: Path) -> ConfigError:
    return ConfigError(str(out), "--out", "is there already", "a new file")


async def _interviewed(radio: tuple[str, str], address: str) -> dict[str, object]:
    from edge.links.ble_radio import BleRadio  # noqa: PLC0415 see above
    from edge.links.interview import interview as ask  # noqa: PLC0415 the same
    from edge.nearby import Neighbourhood  # noqa: PLC0415 the same

    adapter, here = BleRadio(*radio), Neighbourhood({})
    met: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
    data: set[str] = set()

    def hear(heard: "Heard") -> None:
        if heard.address != address:
            return
        here.hear(heard)
        data.update(heard.service_data)
        if not met.done():
            met.set_result(heard)

    try:
        await adapter.open()
        await adapter.listen(hear)
        try:
            async with asyncio.timeout(FIND_S):
                heard = await met
        except TimeoutError as late:
            raise LinkError(
                f"{address} was not heard within {FIND_S:g} s: measure, near this machine"
            ) from late
        await asyncio.sleep(GATHER_S)
        table, facts = await ask(heard)
    finally:
        await adapter.close()
    (one,) = here.devices()
    return {
        "interview": INTERVIEW,
        "lasting": one.lasting,
        "name": one.seen.name,
        "services": sorted(one.seen.services),
        "companies": sorted(one.seen.companies),
        "service_data": sorted(data),
        "gatt": [list(row) for row in table],
        "facts": facts,
    }
