"""The objects on the bus and their properties; tells every change by the signals that BlueZ sends. Knows no radio."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbus_fast import Message, Variant

from drivers.sim.world.bluez.words import (
    OBJECT_MANAGER,
    PROPERTIES,
    Interfaces,
    Properties,
    unknown_object,
)


class ObjectTree:
    """What `GetManagedObjects` gives. `emit` sends a signal."""

    def __init__(self, emit: Callable[[Message], None]) -> None:
        self._emit = emit
        self._objects: dict[str, Interfaces] = {}

    @property
    def objects(self) -> dict[str, Interfaces]:
        """Everything, for reading only."""
        return self._objects

    def add(self, path: str, interfaces: Interfaces) -> None:
        """Put an object there, and say so."""
        self._objects[path] = interfaces
        self._signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", path, interfaces)

    def remove(self, path: str) -> None:
        """Take an object away with all below it, the lowest first."""
        below = f"{path}/"
        for gone in sorted(
            (p for p in self._objects if p == path or p.startswith(below)), reverse=True
        ):
            interfaces = self._objects.pop(gone)
            self._signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", gone, list(interfaces))

    def change(
        self, path: str, interface: str, changed: Properties, lost: Sequence[str] = ()
    ) -> None:
        """Set properties, drop those that are `lost`; nothing happens where the object is gone."""
        held = self._objects.get(path, {}).get(interface)
        if held is None:
            return
        held.update(changed)
        gone = [name for name in lost if held.pop(name, None) is not None]
        if changed or gone:
            body = (interface, changed, gone)
            self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", *body)

    def properties(self, path: str, interface: str) -> Properties:
        """The properties of one interface. Raises BluezError where there is no such object."""
        held = self._objects.get(path, {}).get(interface)
        if held is None:
            raise unknown_object(path)
        return held

    def get(self, path: str, interface: str, name: str) -> Variant | None:
        """One property, or None."""
        return self._objects.get(path, {}).get(interface, {}).get(name)

    def _signal(
        self, path: str, interface: str, member: str, signature: str, *body: object
    ) -> None:
        self._emit(Message.new_signal(path, interface, member, signature, list(body)))
