"""A ward that measures steadily, and everything that runs around it; what tests of restarts and failures have in common."""

STEADY = ("--scenario", "kill", "--cuffs", "2", "--meters", "1", "--every", "2")


def everything(whole, *options: str) -> None:
    whole.start_broker("iotcore")
    whole.start_ward(*options)
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()


def everything_on_the_box(whole) -> bool:
    """Whether the box has numbered all that was measured."""
    return bool(whole.status()["issued"] >= len(whole.truth().measured))
