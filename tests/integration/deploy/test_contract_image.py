"""What an author in another language gets from `protos/generate.py --image`."""

import pathlib

from google.protobuf import descriptor_pb2, descriptor_pool

from deploy import check_contract


def test_the_image_names_all_that_travels_beside_the_contract(tmp_path: pathlib.Path) -> None:
    """A plugin is built from the image alone: error details and the health service are in it."""
    image = tmp_path / "contract.binpb"
    assert check_contract.write_image(check_contract.ROOT, image) == []
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:  # refuses a file that is there twice or comes before its imports
        pool.AddSerializedFile(file.SerializeToString())

    for name in ("Status", "ErrorInfo", "BadRequest", "RetryInfo"):
        assert pool.FindMessageTypeByName(f"google.rpc.{name}")
    assert pool.FindServiceByName("grpc.health.v1.Health")
    assert pool.FindServiceByName("payhub.plugin.v1.PluginService")
