"""A visit to a Beurer BM cuff: as to any cuff, with frames of its own. Pure."""

from drivers.gatt.blood_pressure.session import MEASUREMENT, visiting
from drivers.vendor.beurer_bm.codec import reading
from gateway.sdk import FlowDriver

DRIVER = FlowDriver("beurer.bm", visiting({MEASUREMENT: reading}))
