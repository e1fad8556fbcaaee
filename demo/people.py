"""Invented people, one for each virtual device, put into the record by the product's own commands."""

from collections.abc import Iterator

from demo import processes
from demo.house import House
from demo.judge import device_ids
from demo.processes import Say
from demo.truth import devices

PEOPLE = (
    ("Wang Fang", "1955-03-02"),
    ("Chen Wei", "1968-07-19"),
    ("Li Guang", "1946-11-30"),
    ("Sun Min", "1960-01-12"),
    ("Zhao Lan", "1971-09-05"),
    ("Zhou Jie", "1963-04-21"),
    ("Wu Ping", "1958-12-08"),
    ("Xu Hong", "1979-06-14"),
    ("He Jun", "1966-02-27"),
    ("Gao Mei", "1951-10-11"),
)
CONDITIONS = {
    "blood_pressure": "Hypertension",
    "glucose": "Diabetes",
    "continuous_glucose": "Diabetes",
    "body_weight": "Heart failure",
}


def bind_everybody(house: House, say: Say = processes.say) -> Iterator[tuple[str, str]]:
    """One person for each device that the agent has met; gives (name, serial number) as each is bound."""
    settings = ("--settings", str(house.cloud))
    kinds = {device.serial: device.kind for device in devices(house.ward)}
    for number, (serial, device) in enumerate(sorted(device_ids(house, say).items())):
        name, born = PEOPLE[number % len(PEOPLE)]
        about = ("--name", name, "--born", born, "--condition", CONDITIONS[kinds[serial]])
        patient = say("record", "patient", "add", *about, *settings).split()[0]
        say("record", "patient", "bind", patient, device, "--from", "always", *settings)
        house.note_wearer(serial, patient)
        yield name, serial
