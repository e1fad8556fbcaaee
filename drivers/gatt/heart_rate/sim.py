"""The strap's side: what it notifies while somebody wears it. Pure: the one who asks brings the time."""

from collections.abc import Iterator

from drivers.gatt.heart_rate.codec import RR_UNITS_A_SECOND, Measurement, encode_measurement

OFF_BODY = encode_measurement(Measurement(0, contact=False))
SECONDS_A_MINUTE = 60


def beats(rate: int, *, seconds: int, energy_kj: int | None = None) -> Iterator[bytes]:
    """One notification a second of a heart that beats evenly, with the intervals that ended in that second."""
    interval = round(RR_UNITS_A_SECOND * SECONDS_A_MINUTE / rate)
    due = interval
    for second in range(1, seconds + 1):
        ended: list[int] = []
        while due <= second * RR_UNITS_A_SECOND:
            ended.append(interval)
            due += interval
        told = Measurement(rate, contact=True, energy_kj=energy_kj, rr=tuple(ended))
        yield encode_measurement(told)
