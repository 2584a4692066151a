"""The search in a list of breached passwords."""

from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from florin.access.signin.breached import BreachedList, BreachedListUnusable
from florin.access.signin.password_rules import broken_rule


def digest(password: str) -> str:
    return sha1(password.encode()).hexdigest().upper()


def write(path: Path, passwords: list[str], end: str) -> BreachedList:
    lines = sorted(digest(one) for one in passwords)
    path.write_bytes("".join(f"{line}:{n * 7919}{end}" for n, line in enumerate(lines)).encode())
    return BreachedList(path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=80, unique=True),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_password_of_the_list_is_found_and_no_other(
    tmp_path: Path, passwords: list[str], end: str
) -> None:
    found = write(tmp_path / "list.txt", passwords, end)
    assert all(one in found for one in passwords)
    assert not any(one + "!" in found for one in passwords if one + "!" not in passwords)
    found.close()


def test_hashes_without_counts_and_without_a_last_line_end_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(sorted(digest(one).lower() for one in ("a", "b", "c"))))
    found = BreachedList(path)
    assert [one in found for one in ("a", "b", "c", "d")] == [True, True, True, False]


def test_a_breached_password_is_refused_by_name(tmp_path: Path) -> None:
    found = write(tmp_path / "list.txt", ["violet harbour stapler 41", "x", "y"], "\n")
    broken = broken_rule("violet harbour stapler 41", [], found)
    assert broken is not None
    assert broken.rule == "breached"
    assert broken_rule("violet harbour stapler 42", [], found) is None


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00" * 200, b"F" * 40 + b"\n" + b"0" * 40 + b"\n"])
def test_a_file_that_is_no_such_list_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(BreachedListUnusable, match=r"list\.txt"):
        BreachedList(path)
    with pytest.raises(BreachedListUnusable):
        BreachedList(tmp_path / "nothing")
