"""Moments as a person reads them: in one zone, with the date where it is not today. Pure: "now" is given."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import ceil
from zoneinfo import ZoneInfo

from cloud_ingest.console.words import Words

ZONE_NAME_MAX = 64
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """The moment of so many microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def zone_named(name: str | None) -> ZoneInfo:
    """The zone that a viewer's cookie names; UTC for none, or for one that does not exist."""
    if name and len(name) <= ZONE_NAME_MAX:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError below
            pass
        except KeyError:
            pass
    return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Times:
    """Wording of moments for one page."""

    now: datetime
    zone: tzinfo
    words: Words

    @property
    def now_us(self) -> int:
        """When the page was made."""
        return micros(self.now)

    @property
    def day(self) -> str:
        """Today as a key begins: YYYYMMDD."""
        return f"{self.now.astimezone(self.zone):%Y%m%d}"

    @property
    def midnight_us(self) -> int:
        """When today began."""
        local = self.now.astimezone(self.zone)
        return micros(local.replace(hour=0, minute=0, second=0, microsecond=0))

    def at(self, us: int, *, seconds: bool = False) -> str:
        """`10:32`, `yesterday 22:10`, `14 Mar 22:10`, `14 Mar 2025 22:10`."""
        local = moment(us).astimezone(self.zone)
        today = self.now.astimezone(self.zone).date()
        clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
        match (local.date() - today).days:
            case 0:
                return clock
            case -1:
                return self.words("time.yesterday", clock=clock)
            case 1:
                return self.words("time.tomorrow", clock=clock)
            case _:
                return f"{self._date(local, with_year=local.year != today.year)} {clock}"

    def by(self, us: int) -> str:
        """A time to come, with its weekday: `Tue 12:00`."""
        local = moment(us).astimezone(self.zone)
        if 0 <= us - self.now_us < 6 * DAY_S * 1_000_000:
            weekday = self.words(f"weekday.{local.weekday()}")
            return f"{weekday} {local:%H:%M}"
        return self.at(us)

    def age(self, seconds: float) -> str:
        """`4 s`, `12 min`, `9 h`, `3 d`: the largest whole unit."""
        unit, size = _unit(seconds)
        return self.words(f"span.{unit}", n=max(0, int(seconds)) // size)

    def at_most(self, seconds: float) -> str:
        """An age that is a limit, in the same unit: rounded up, since it may be more than the whole ones."""
        unit, size = _unit(seconds)
        return self.words(f"span.{unit}", n=ceil(seconds / size))

    def ago(self, us: int) -> str:
        """How long since then."""
        return self.words("time.ago", span=self.age((self.now_us - us) / 1e6))

    def _date(self, local: datetime, *, with_year: bool) -> str:
        form = "time.date_year" if with_year else "time.date"
        month = self.words(f"month.{local.month}")
        return self.words(form, day=local.day, month=month, year=local.year)


def _unit(seconds: float) -> tuple[str, int]:
    for unit, size in (("d", DAY_S), ("h", HOUR_S), ("min", MINUTE_S)):
        if int(seconds) >= size * (2 if unit in {"d", "h"} else 1):
            return unit, size
    return "s", 1


def age_in_years(born: str | None, now: datetime) -> int | None:
    """Whole years since a date of birth (YYYY-MM-DD); None where it is absent or no date."""
    try:
        birth = datetime.fromisoformat(born or "").date()
    except ValueError:
        return None
    today = now.date()
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
