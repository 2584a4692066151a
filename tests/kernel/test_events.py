"""Events are rendered by whoever knows their objects."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from florin.kernel.events import instant, public_event, register

ROW = {
    "id": UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    "type": "toaster.burnt.twice",
    "occurred_at": datetime(2026, 11, 20, 13, 0, tzinfo=UTC),
    "data": {"slices": 2},
}


def test_an_event_shows_its_object_by_the_registered_renderer() -> None:
    register("toaster", lambda row: {"object": "toaster", "slices": row["slices"]})
    assert public_event(ROW) == {
        "id": "evt_01h455vb4pex5vsknk084sn02q",
        "object": "event",
        "type": "toaster.burnt.twice",
        "created_at": "2026-11-20T13:00:00Z",
        "data": {"object": {"object": "toaster", "slices": 2}},
    }


def test_an_event_of_an_unknown_object_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError, match="kettle"):
        public_event(ROW | {"type": "kettle.boiled"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("2026-11-20T13:07:41.123456+00:00", "2026-11-20T13:07:41.123456Z"),
        ("2026-11-20T14:07:41+01:00", "2026-11-20T13:07:41Z"),
    ],
)
def test_instants_are_shown_in_utc(text: str | None, expected: str | None) -> None:
    assert instant(text) == expected
