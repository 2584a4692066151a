"""What an API process does before it serves."""

import resource

import pytest

from florin.app.serve import make_room_for

Limit = tuple[int, int]
ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        ((1024, 524_288), (4512, 524_288)),
        ((1024, 4096), (4096, 4096)),
        ((20_000, 20_000), None),
        ((1024, ENDLESS), (4512, ENDLESS)),
        ((ENDLESS, ENDLESS), None),
    ],
)
def test_a_process_may_open_as_many_files_as_it_may_have_connections(
    monkeypatch: pytest.MonkeyPatch, present: Limit, wanted: Limit | None
) -> None:
    asked: list[Limit] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: present)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    make_room_for(4000)
    assert asked == ([] if wanted is None else [wanted])
