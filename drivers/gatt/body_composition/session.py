"""A visit to a scale that measures body composition: the same as to any scale; its profile names the channels. Pure."""

from drivers.gatt.weight_scale.session import visit
from gateway.sdk import FlowDriver

DRIVER = FlowDriver("gatt.body_composition", visit)
