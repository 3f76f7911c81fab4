"""Conformance reports: what a plugin has proven, by version and schema.

Owns reading and storing them. Called by the API; what is stored is looked at before a
version is enabled. Never runs a check.
"""

import json
from typing import Any

from payment_service.db import versions
from payment_service.domain import plugins
from payment_service.usecases.plugins import plugin_changes, plugin_events
from servicekit import errors, storage

FORMAT = "payhub.conformance/1"
REPORTS_MAX = 100
_PATH = "report_json"


class Reports(plugin_changes.Changes):
    """The use cases of reports."""

    async def store(
        self,
        plugin_id: str,
        version: str,
        schema_digest: str,
        report_json: str,
        *,
        why: plugin_events.Why,
    ) -> plugins.Report:
        """Keeps a report in place of an earlier one on the same version and schema.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN; INVALID_FIELD if it is none of the suite, or
                is about something else.
        """
        named = {
            "plugin_id": plugin_id,
            "plugin_version": version,
            "schema_digest": schema_digest,
        }
        passed = read(report_json, named)

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> plugins.Report:
            before = plugin_changes.locked(conn, plugin_id)
            report = plugins.Report(
                plugin_id=plugin_id,
                version=version,
                schema_digest=schema_digest,
                passed=passed,
                report=report_json,
                actor=why.actor,
                stored_us=now_us,
            )
            known = versions.load_report(conn, plugin_id, version, schema_digest)
            if known is not None and known.report == report_json:
                return known
            versions.save_report(conn, report)
            versions.prune_reports(conn, plugin_id, keep=REPORTS_MAX)
            plugin_events.write(
                conn,
                before,
                before,
                event_type="plugin.report_stored",
                why=why,
                event_id=ids(),
                now_us=now_us,
                version=version,
            )
            return report

        return await self._change(keep)


def read(report_json: str, named: dict[str, str]) -> bool:
    """Returns whether a report says that every required check passed.

    Args:
        report_json: The report as the suite wrote it.
        named: What it must be about, by the names of its members.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    try:
        report: Any = json.loads(report_json)
    except (ValueError, RecursionError):
        raise errors.invalid_field(_PATH, "is not JSON") from None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        text = f"is no report of the conformance suite: its format must be {FORMAT}"
        raise errors.invalid_field(_PATH, text)
    for name, wanted in named.items():
        found = str(report.get(name, ""))[:80]
        if found != wanted:
            text = f"its {name} is {found!r}, and the request names {wanted!r}"
            raise errors.invalid_field(_PATH, text)
    passed, partial = report.get("passed"), report.get("partial")
    if not isinstance(passed, bool) or not isinstance(partial, bool):
        raise errors.invalid_field(_PATH, "does not say whether it passed and is whole")
    # A run of some checks proves nothing of the others.
    return passed and not partial
