"""`vitalgate edge`: what status says, in JSON and in sentences, and how garbage in the settings is refused."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge import running
from edge.cli import app
from edge.outbox.records import OutboxStatus, ParkedRow, Running, WindowFigures
from edge.outbox.store import Outbox
from edge.running import RunningNote
from edge.settings import EdgeSettings, load
from edge.status import Standing, document, words
from gateway.cli import main
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import SystemClock, iso

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
FILE = """
agent = "box-1"
tenant = "demo"
data_dir = "data"
zone = "Asia/Shanghai"
[mqtt]
port = 18831
[[device]]
profile = "aandd/ua-651ble"
address = "C0:11:22:33:44:55"
[[device]]
profile = "lifescan/onetouch-ultra2"
port = "/dev/ttyUSB0"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "box.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def settings(file: Path) -> EdgeSettings:
    return load(file)


def outbox(**changes: object) -> OutboxStatus:
    told: dict[str, object] = {
        "agent": "box-1",
        "epoch": "00ff",
        "issued": 7,
        "pending": 0,
        "pending_bytes": 0,
        "used": 0.0,
        "oldest_pending": None,
        "aside": 0,
        "last_receipt": None,
        "running": Running(NOW, connected=True, window=WindowFigures(), counters={"a.b": 1}),
    }
    return OutboxStatus(**{**told, **changes})  # type: ignore[arg-type]


def standing(settings: EdgeSettings, held: OutboxStatus, note: RunningNote | None) -> Standing:
    return Standing(settings, held, note, NOW)


def waiting(counters: Mapping[str, int]) -> OutboxStatus:
    told = Running(NOW, connected=True, window=WindowFigures(), counters=counters)
    return outbox(pending=9, oldest_pending=NOW - timedelta(minutes=5), running=told)


WELL = RunningNote(at=NOW)
AWAY = Running(NOW, connected=False, window=WindowFigures(), counters={})
EARLIER = NOW - timedelta(minutes=5)


def test_where_all_is_well_there_are_no_words(settings: EdgeSettings) -> None:
    assert list(words(standing(settings, outbox(), WELL))) == []


@pytest.mark.parametrize(
    ("held", "note", "said"),
    [
        (outbox(), None, "The agent is not running: no device is read."),
        (outbox(), RunningNote(at=EARLIER), "not running since 2026-03-14T11:55:00.000Z"),
        (
            outbox(running=AWAY, pending=3),
            RunningNote(at=NOW, away_since=EARLIER),
            "The broker at 127.0.0.1:18831 is away since 2026-03-14T11:55:00.000Z; 3 readings wait",
        ),
        (outbox(pending=9, oldest_pending=EARLIER), WELL, "The outbox grows: 9 readings"),
        (waiting({}), WELL, "look whether the ingester runs"),
        (waiting({"mqtt.refused": 2}), WELL, "has refused messages of this box: look at its ACL"),
        (waiting({"envelopes.oversize": 1}), WELL, "look at its limit on the size of messages"),
        (waiting({"envelopes.unreceipted": 1}), WELL, "look at its limit on the size of messages"),
        (outbox(used=0.9), WELL, "The outbox is 90% full"),
        (outbox(parked=(ParkedRow("e", 4, "k", "d", "no such unit"),)), WELL, "no such unit"),
        (outbox(damaged=("e:5",)), WELL, "damaged rows, which are not sent: e:5"),
        (outbox(), RunningNote(at=NOW, radio="no radio"), "The radio is away, and is tried again"),
        (
            outbox(),
            RunningNote(at=NOW, clock_off_s=90_061.2),
            "This box's clock is 1 d 1 h behind the cloud's",
        ),
        (outbox(), RunningNote(at=NOW, clock_off_s=-31.0), "is 31 s ahead of the cloud's"),
        (
            outbox(),
            RunningNote(at=NOW, places={"/dev/ttyUSB0": "it is absent"}),
            "Device /dev/ttyUSB0 (lifescan/onetouch-ultra2): it is absent.",
        ),
        (
            outbox(running=Running(NOW, connected=True, window=WindowFigures(p99=400.0), counters={})),
            WELL,
            "400.0 ms (p99)",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(
    settings: EdgeSettings, held: OutboxStatus, note: RunningNote | None, said: str
) -> None:
    sentences = list(words(standing(settings, held, note)))
    assert len(sentences) == 1
    assert said in sentences[0]


def test_an_agent_that_was_killed_is_not_said_to_be_connected(settings: EdgeSettings) -> None:
    told = document(standing(settings, outbox(), RunningNote(at=EARLIER)))
    assert not told["connected"]
    assert not told["running"]


def observation(device: str) -> Observation:
    moment = Moment(utc=iso(NOW), method=TimeMethod.CORRECTED)
    return Observation(
        key="20260314-c-" + "0" * 32,
        device=device,
        kind="glucose",
        parts={"value": Part(unit="mg/dL", value="100")},
        time=moment,
        content="00",
        source=Source.PUSHED,
        accepted=iso(NOW),
        driver="d",
        profile="lifescan/onetouch-ultra2",
        transport="serial",
    )


def test_status_as_json_is_read_beside_a_running_agent(file: Path, settings: EdgeSettings) -> None:
    settings.data_dir.mkdir()
    held = Outbox.open(settings.data_dir / running.OUTBOX_FILE, "box-1", SystemClock())
    held.enrol("/dev/ttyUSB0", "dev1", "lifescan/onetouch-ultra2", {"serial_number": "C571SA-A"})
    held.accept("dev1", [observation("dev1")], live=[True])
    held.note_running(connected=True, window=WindowFigures(p50=1.5, count=2), counters={"a.b": 1})
    running.write(settings.data_dir, RunningNote(at=SystemClock().now()))
    result = CliRunner().invoke(app, ["status", "--settings", str(file), "--json"])
    held.close()
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["agent"], told["tenant"], told["connected"]) == ("box-1", "demo", True)
    assert (told["issued"], told["pending"]) == (1, 1)
    assert told["window_ms"]["p50"] == 1.5
    assert told["counters"] == {"a.b": 1}
    cuff, meter = told["devices"]
    assert (cuff["place"], cuff["device"], cuff["link"]) == ("C0:11:22:33:44:55", None, "ble")
    assert (meter["device"], meter["serial"]) == ("dev1", "C571SA-A")
    assert (meter["link"], meter["readings"]) == ("serial", 1)


def test_status_for_people_has_devices_figures_and_words(
    file: Path, settings: EdgeSettings
) -> None:
    settings.data_dir.mkdir()
    Outbox.open(settings.data_dir / running.OUTBOX_FILE, "box-1", SystemClock()).close()
    result = CliRunner().invoke(app, ["status", "--settings", str(file)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for said in ("box-1", "not running", "not visited yet", "/dev/ttyUSB0", "last receipt: never"):
        assert said in result.stdout


def test_status_before_the_first_run_says_so_in_one_line(file: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--settings", str(file)])
    assert result.exit_code == 75
    assert result.output.count("\n") == 1


@pytest.fixture
def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str]]:
    def call(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["vitalgate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("command", ["run", "status"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe garbage", "is not TOML"),
        (b"agent = 3", "agent"),
        (FILE.replace('tenant = "demo"', 'tenant = "a/b"').encode(), "tenant"),
        (FILE.replace("[mqtt]", "[mqqt]").encode(), "mqqt"),
        (b"", "agent"),
    ],
)
def test_garbage_settings_are_one_clear_sentence_and_exit_78(
    file: Path, called: Callable[..., tuple[object, str]], command: str, content: bytes, said: str
) -> None:
    file.write_bytes(content)
    code, told = called("edge", command, "--settings", str(file))
    assert code == 78
    assert told.count("\n") == 1
    assert said in told
    assert str(file) in told
