"""What an author in another language gets: the contract's image, and the page about it."""

import pathlib
import re

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from deploy import check_contract
from provider_sdk import registration_settings
from provider_sdk.conformance import catalog

PAGE = (check_contract.ROOT / "docs" / "provider-protocol.md").read_text()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pb2.FileDescriptorSet:
    """The image as `protos/generate.py --image` writes it."""
    path: pathlib.Path = tmp_path_factory.mktemp("image") / "contract.binpb"
    assert check_contract.write_image(check_contract.ROOT, path) == []
    return descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())


def test_the_image_names_all_that_travels_beside_the_contract(
    image: descriptor_pb2.FileDescriptorSet,
) -> None:
    """A plugin is built from the image alone: error details and the health service are in it."""
    pool = descriptor_pool.DescriptorPool()
    for file in image.file:  # refuses a file that is there twice or comes before its imports
        pool.AddSerializedFile(file.SerializeToString())

    for name in ("Status", "ErrorInfo", "BadRequest", "RetryInfo"):
        assert pool.FindMessageTypeByName(f"google.rpc.{name}")
    served = re.findall(r'image\["([\w.]+)"\]', PAGE)
    assert len(served) == 3
    for name in served:
        assert pool.FindServiceByName(name)


def test_the_page_names_reasons_and_checks_that_exist(
    image: descriptor_pb2.FileDescriptorSet,
) -> None:
    """What it tells authors to answer is in the contract; what it says proves it is a check."""
    enums = [enum for file in image.file for enum in file.enum_type]
    values = {value.name for enum in enums for value in enum.value}
    reasons = {
        value.name.partition("REASON_")[2]
        for enum in enums
        if enum.name.endswith("Reason")
        for value in enum.value
    }
    others = {"EFFECT_UNKNOWN", "FAILURE_REASON_", registration_settings.CORE_ENDPOINT}
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})`", PAGE))
    assert named - values - reasons - others == set()

    listed = re.findall(r"\[(\d+[a-z]?(?:, \d+[a-z]?)*)\]", PAGE)
    checks = frozenset(one for group in listed for one in group.split(", "))
    assert len(checks) > 20
    assert catalog.unknown(checks) == []
