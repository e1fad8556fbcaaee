"""The names in a new package, all made from three: the driver's id, the maker and the model. Pure."""

import keyword
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway.model.observation import WORD_CHARS_MAX
from gateway.runtime.errors import ConfigError

WHERE = "vitalgate driver new"
RESERVED = frozenset({"gateway", "drivers", "device_profiles", "edge", "cloud_ingest", "tests"})
_ID = re.compile(r"[a-z][a-z0-9_]{0,30}(\.[a-z][a-z0-9_]{0,30})+")
# They stand in Python, TOML, JSON and globs: no sign that means something there.
_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .+&-]{0,59}")


@dataclass(frozen=True, slots=True)
class Names:
    """`driver` as in `acme.glu`; `maker` and `model` as they stand on the label."""

    driver: str
    maker: str
    model: str

    @property
    def package(self) -> str:
        """What is imported: `acme_glu`."""
        return self.driver.replace(".", "_")

    @property
    def distribution(self) -> str:
        """What is installed: `acme-glu`."""
        return self.package.replace("_", "-")

    @property
    def profile(self) -> str:
        """The profile's id, which is its place."""
        return f"{slug(self.maker)}/{slug(self.model)}"

    def words(self, vitalgate: str) -> Mapping[str, str]:
        """What stands between two @ in a template. `vitalgate`: the version that it is made with."""
        return {
            "driver": self.driver,
            "package": self.package,
            "distribution": self.distribution,
            "maker": self.maker,
            "model": self.model,
            "profile": self.profile,
            "maker_slug": slug(self.maker),
            "model_slug": slug(self.model),
            "vitalgate": vitalgate,
        }


def slug(text: str) -> str:
    """As the folders of profiles are named: lower case, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def names(driver: str, maker: str, model: str, taken: Collection[str]) -> Names:
    """Names that fit everywhere. Empty `maker` and `model` are made from the id. Raises ConfigError.

    `taken`: ids of drivers and profiles that are installed.
    """
    if not _ID.fullmatch(driver):
        raise ConfigError(
            WHERE, "ID", f"{driver!r} is no driver's id", "two words in lower case, as in acme.glu"
        )
    if driver in taken:
        raise ConfigError(WHERE, "ID", f"{driver!r} is installed already", "another one")
    first, *rest = driver.split(".")
    made = Names(driver, maker or first.title(), model or " ".join(rest).replace("_", " ").title())
    for option, text in (("--maker", made.maker), ("--model", made.model)):
        if not _TEXT.fullmatch(text) or not slug(text):
            raise ConfigError(
                WHERE, option, f"{text!r}", "letters, digits, blanks and . + & - alone"
            )
    if made.profile in taken:
        why = f"the profile {made.profile!r} is installed already"
        raise ConfigError(WHERE, "--model", why, "another one: no box starts with both")
    if len(made.profile) > WORD_CHARS_MAX:
        why = f"the profile {made.profile!r} has {len(made.profile)} characters"
        raise ConfigError(WHERE, "--model", why, f"{WORD_CHARS_MAX} at most, with the maker's")
    if keyword.iskeyword(made.package) or made.package in sys.stdlib_module_names | RESERVED:
        raise ConfigError(WHERE, "ID", f"{made.package!r} is taken", "another one")
    return made
