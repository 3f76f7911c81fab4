"""What the allowlist admits: versions, endpoints, permissions."""

import pytest

from payment_service.domain import admission


@pytest.mark.parametrize(
    ("specifier", "version", "fits"),
    [
        ("", "1.0.0", True),
        ("", "not a version", True),
        (">=1.4,<2", "1.4.0", True),
        (">=1.4,<2", "2.0.0", False),
        (">=1.4,<2", "1.10.0", True),
        (">=1.4", "1.5.0-rc.1", True),
        ("==1.4.*", "1.4.7+build.3", True),
        (">=1", "latest", False),
        ("newest", "1.0.0", False),
    ],
)
def test_versions_are_compared_as_pep_440_says(specifier: str, version: str, fits: bool) -> None:
    """Pre-releases count, and what can't be compared never fits."""
    assert admission.version_matches(specifier, version) is fits


def test_versions_are_ordered_as_numbers() -> None:
    """1.10 is newer than 1.9; what is no version is older than everything."""
    shuffled = ["1.10.0", "latest", "1.9.0", "2.0.0rc1", "2.0.0"]
    assert sorted(shuffled, key=admission.version_order) == [
        *("latest", "1.9.0", "1.10.0", "2.0.0rc1", "2.0.0")
    ]


@pytest.mark.parametrize(
    ("pattern", "endpoint", "fits"),
    [
        ("", "127.0.0.1:50061", False),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:50061", True),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:50061.evil.example:1", False),
        (r"mock-[0-9]+\.internal:50061", "mock-7.internal:50061", True),
        (r"mock-[0-9]+\.internal:50061", "mock-7.internal:50061\n", False),
        (r"mock-[0-9]+\.internal:50061", "evil-mock-7.internal:50061", False),
        (r"one:1|two:2", "two:2", True),
        (r"one:1|two:2", "two:22", False),
        (r"\[::1\]:.*", "[::1]:50061", True),
        (".*", "127.0.0.1:0", False),
        (".*", "127.0.0.1:70000", False),
        (".*", "user@host:50061", False),
        (".*", "host:50061/path", False),
        (".*", "unix:///run/mock.sock", False),
        ("(", "127.0.0.1:50061", False),
    ],
)
def test_an_endpoint_must_match_its_pattern_as_a_whole(
    pattern: str, endpoint: str, fits: bool
) -> None:
    """Core dials nothing else: what merely begins or ends right is somebody else's."""
    assert admission.endpoint_matches(pattern, endpoint) is fits


@pytest.mark.parametrize("pattern", ["(", "[", r"(a)\1", "(?=a)b", "a{2000}"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    """The refusal shows how one is written; nothing in RE2 takes exponential time."""
    assert "write it like" in admission.pattern_problem(pattern)


@pytest.mark.parametrize(
    "permission",
    ["events:publish:user.*", "events:read:payment.succeeded", "events:read:plugin.*"],
)
def test_permissions_are_for_types_and_namespaces(permission: str) -> None:
    """Reading may be granted of everything, publishing of what is not core's own."""
    assert admission.permission_problem(permission) == ""


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        ("events:publish:payment.*", "core alone"),
        ("events:publish:payment.succeeded", "core alone"),
        ("events:publish:consumer.*", "core alone"),
        ("events:publish:*", "write it like"),
        ("events:publish:user", "write it like"),
        ("events:publish:User.*", "write it like"),
        ("events:delete:user.*", "write it like"),
        ("everything", "write it like"),
    ],
)
def test_nobody_else_tells_what_core_tells(permission: str, text: str) -> None:
    """A plugin that could publish `payment.succeeded` could make services ship for nothing."""
    assert text in admission.permission_problem(permission)


def test_permissions_say_which_events_a_key_may_publish_and_read() -> None:
    """Words that mean something else are left alone."""
    granted = ("events:publish:user.*", "events:read:payment.succeeded", "hooks:guard")
    types = admission.event_types(granted)
    assert types == admission.EventTypes(publish=("user.*",), read=("payment.succeeded",))


def test_a_wider_grant_covers_a_narrower_wish() -> None:
    """So the status can say what a plugin asked for and did not get."""
    granted = ("events:publish:user.*", "events:read:payment.succeeded")
    assert admission.covers(granted, "events:publish:user.created")
    assert admission.covers(granted, "events:publish:user.*")
    assert not admission.covers(granted, "events:publish:users.created")
    assert not admission.covers(granted, "events:read:payment.*")
