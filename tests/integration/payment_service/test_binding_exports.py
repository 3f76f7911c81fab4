"""Bindings that leave an installation, and bindings that come in, through the API."""

import uuid

from tests.integration.payment_service import binding_rig, conftest, rig

CANARY = b"sk_live_canary_0816"


async def test_exports_come_back_whole_or_not_at_all(
    service: conftest.Service, admin: binding_rig.Admin
) -> None:
    """With secrets only if asked, sealed; an import passes the same gates."""
    one, two = [f"t-{uuid.uuid4().hex[:12]}" for _ in range(2)]
    secret = binding_rig.secret("api_key", CANARY)
    options = binding_rig.Options(limits=[binding_rig.limit(max_minor=7)])
    made = [
        await admin.create(one, {"latency_ms": 3}, options=options, secrets=[secret]),
        await admin.create(two, {"force": "decline"}),
    ]
    plain = [(await admin.export(tenant_id=tenant)).bindings[0] for tenant in (one, two)]
    assert not plain[0].sealed_secrets
    phrase = {"include_secrets": True, "passphrase": "correct horse battery"}
    sealed = [(await admin.export(tenant_id=tenant, **phrase)).bindings[0] for tenant in (one, two)]
    assert CANARY not in b"".join(each.SerializeToString() for each in sealed)
    assert not sealed[1].sealed_secrets
    unchanged = await admin.take_in(sealed, passphrase=phrase["passphrase"])
    assert binding_rig.outcomes(unchanged) == ["UNCHANGED", "UNCHANGED"]
    for binding in made:
        await admin.delete(binding)
    refused = await rig.refusal(admin.take_in(sealed, passphrase="wrong horse battery"))
    assert refused.reason == "SEAL_INVALID"
    broken = [sealed[0], type(sealed[1])()]
    broken[1].CopyFrom(sealed[1])
    broken[1].config_json = '{"force": "explode"}'
    answer = await admin.take_in(broken, passphrase=phrase["passphrase"])
    assert binding_rig.outcomes(answer) == ["CREATED", "REFUSED"]
    assert answer.results[1].diagnostics[0].json_pointer == "/force"
    assert not answer.applied
    rehearsed = await admin.take_in(sealed, passphrase=phrase["passphrase"], dry_run=True)
    assert (binding_rig.outcomes(rehearsed), rehearsed.applied) == (["CREATED", "CREATED"], False)
    assert not (await admin.list(tenant_id=one)).bindings
    answer = await admin.take_in(sealed, passphrase=phrase["passphrase"])
    assert (binding_rig.outcomes(answer), answer.applied) == (["CREATED", "CREATED"], True)
    back = (await admin.get(made[0].id)).binding
    assert (back.options, [each.slot for each in back.secrets]) == (options, ["api_key"])
    assert back.generation == 3
    plain[1].config_json = "{}"
    refused_one = await admin.take_in(plain)
    assert binding_rig.outcomes(refused_one) == ["UNCHANGED", "REFUSED"]
    answer = await admin.take_in(plain, overwrite=True)
    assert binding_rig.outcomes(answer) == ["UNCHANGED", "UPDATED"]
    assert [each.slot for each in (await admin.get(made[0].id)).binding.secrets] == ["api_key"]
    stored = service.records.of_binding(made[0].id)
    assert made[0].id.encode() in stored
    assert CANARY not in stored
    assert CANARY.decode() not in service.log()


async def test_exports_refuse_what_would_leak_or_could_not_be_read(
    admin: binding_rig.Admin, caller: rig.Caller
) -> None:
    """A passphrase too short, or one for nothing; the same binding twice."""
    short = admin.export(include_secrets=True, passphrase="short")
    for call in (short, admin.export(include_secrets=True), admin.export(passphrase="x" * 20)):
        assert (await rig.refusal(call)).fields == ["passphrase"]
    await admin.create(caller.tenant)
    (exported,) = (await admin.export(tenant_id=caller.tenant)).bindings
    refused = await rig.refusal(admin.take_in([exported, exported]))
    assert refused.fields == ["bindings[1]"]
    page = await admin.export(page_size=1)
    assert page.next_page_token
    sealing = {"include_secrets": True, "passphrase": "correct horse battery"}
    first = await admin.export(page_size=1, **sealing)
    second = await admin.export(page_size=1, page_token=first.next_page_token, **sealing)
    assert second.bindings[0].tenant_id != first.bindings[0].tenant_id


async def test_an_import_that_is_nested_without_end_is_refused(
    admin: binding_rig.Admin, caller: rig.Caller
) -> None:
    """Like any other configuration that can't be read, and told so."""
    await admin.create(caller.tenant)
    (exported,) = (await admin.export(tenant_id=caller.tenant)).bindings
    exported.config_json = '{"a":' * 20_000 + "1" + "}" * 20_000
    answer = await admin.take_in([exported], overwrite=True)
    assert binding_rig.outcomes(answer) == ["REFUSED"]
    assert "nested too deep" in str(answer.results[0].diagnostics)
