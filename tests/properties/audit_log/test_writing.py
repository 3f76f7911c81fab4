"""No change of the audit log's file goes unnoticed."""

import pathlib
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from tests.integration.audit_log import logs


def test_a_change_anywhere_is_found() -> None:
    """Any byte changed, any stretch cut out, and any end cut off is found with the anchor; the
    line is named.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        content = logs.fill(folder, 1, 4)

        @given(data=st.data())
        def prove(data: st.DataObject) -> None:
            at = data.draw(st.integers(0, len(content) - 1))
            until = data.draw(st.integers(at + 1, len(content)))
            byte = data.draw(st.integers(0, 255).filter(lambda each: each != content[at]))
            altered = content[:at] + bytes([byte]) + content[at + 1 :]
            found = logs.verdict(altered, folder)
            assert not found.valid
            if at < len(content) - 1:
                assert found.line == content[:at].count(b"\n") + 1
            assert not logs.verdict(content[:at] + content[until:], folder).valid

        prove()
