"""Invented people, one for each virtual device, put into the record by the product's own commands."""

from collections.abc import Iterator

from demo import processes
from demo.house import House
from demo.judge import device_ids

PEOPLE = (
    ("Wang Fang", "1955-03-02", "Hypertension"),
    ("Chen Wei", "1968-07-19", "Hypertension"),
    ("Li Guang", "1946-11-30", "Hypertension"),
    ("Sun Min", "1960-01-12", "Hypertension"),
    ("Zhao Lan", "1971-09-05", "Hypertension"),
    ("Zhou Jie", "1963-04-21", "Diabetes"),
    ("Wu Ping", "1958-12-08", "Diabetes"),
    ("Xu Hong", "1979-06-14", "Diabetes"),
    ("He Jun", "1966-02-27", "Heart failure"),
    ("Gao Mei", "1951-10-11", "Diabetes"),
)


def bind_everybody(house: House) -> Iterator[tuple[str, str]]:
    """One person for each device that the agent has met; gives (name, serial number) as each is bound."""
    settings = ("--settings", str(house.cloud))
    for number, (serial, device) in enumerate(sorted(device_ids(house).items())):
        name, born, condition = PEOPLE[number % len(PEOPLE)]
        about = ("--name", name, "--born", born, "--condition", condition)
        patient = processes.say("record", "patient", "add", *about, *settings).split()[0]
        processes.say("record", "patient", "bind", patient, device, "--from", "always", *settings)
        yield name, serial
