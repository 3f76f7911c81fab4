"""Writes gen/ from protos/, checks that it is current, or writes the image buf lints.

Called by `make gen` and `make check`. Never edits a generated file: path under
`protos/` = package = Python import, so protoc's output is used as it is.
protovalidate ships no validate.proto, nor grpcio-health-checking its health.proto, so
their descriptors are taken from the installed packages and given to protoc.
"""

import argparse
import filecmp
import importlib.resources
import pathlib
import shutil
import sys
import tempfile

import google.rpc
import protobuf
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"
VALIDATE = "buf/validate/validate.proto"
# No file of the contract imports these, and who speaks it needs them: error details, health.
BESIDE = (health_pb2.DESCRIPTOR.name, "google/rpc/error_details.proto", "google/rpc/status.proto")


def sources() -> list[str]:
    """Returns the proto files of the contract, relative to protos/, sorted."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def run_protoc(*arguments: str) -> None:
    """Runs the protoc of grpcio-tools; exits if it fails, after its own message."""
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit("protoc failed; its message is above")


def installed_descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Returns validate.proto, what it imports and health.proto, as they are installed."""
    files = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: protobuf.DescFile) -> None:
        if file.proto.name in seen:
            return
        seen.add(file.proto.name)
        for dependency in file.dependencies:
            add(dependency)
        files.file.append(descriptor_pb2.FileDescriptorProto.FromString(file.proto.to_binary()))

    add(validate_pb.desc())
    health_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    return files


def write_image(target: pathlib.Path) -> None:
    """Writes the contract, its imports and what travels beside it as one descriptor set."""
    include = importlib.resources.files("grpc_tools") / "_proto"
    googleapis = pathlib.Path(google.rpc.__path__[0]).parent.parent
    with tempfile.TemporaryDirectory() as scratch:
        installed = pathlib.Path(scratch) / "installed.binpb"
        installed.write_bytes(installed_descriptors().SerializeToString())
        run_protoc(
            f"--proto_path={PROTOS}",
            f"--proto_path={include}",
            f"--proto_path={googleapis}",
            f"--descriptor_set_in={installed}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={target}",
            *sources(),
            *BESIDE,
        )


def generate(target: pathlib.Path) -> None:
    """Writes all generated code below *target*, an empty folder."""
    with tempfile.TemporaryDirectory() as scratch:
        image = pathlib.Path(scratch) / "all.binpb"
        write_image(image)
        run_protoc(
            f"--descriptor_set_in={image}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            VALIDATE,
            *sources(),
        )
        run_protoc(
            f"--descriptor_set_in={image}",
            f"--grpc_python_out={target}",
            f"--mypy_grpc_out=quiet:{target}",
            *[name for name in sources() if name.endswith("_service.proto")],
        )
    for package in ("payhub", "buf"):
        (target / package / "py.typed").touch()


def differences(fresh: pathlib.Path, current: pathlib.Path) -> list[str]:
    """Returns the files that differ between two folders, relative, sorted."""

    def files(folder: pathlib.Path) -> set[str]:
        found = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return {str(path.relative_to(folder)) for path in found}

    both = files(fresh) & files(current)
    changed = {n for n in both if not filecmp.cmp(fresh / n, current / n, shallow=False)}
    return sorted(changed | (files(fresh) ^ files(current)))


def main() -> None:
    """Writes gen/; with --check compares it instead; with --image writes a descriptor set."""
    parser = argparse.ArgumentParser(description="Generate code from the contract.")
    parser.add_argument("--check", action="store_true", help="exit 1 if gen/ is not current")
    parser.add_argument(
        "--image", type=pathlib.Path, help="write a descriptor set with all imports"
    )
    options = parser.parse_args()
    if options.image:
        write_image(options.image)
        return
    with tempfile.TemporaryDirectory() as scratch:
        fresh = pathlib.Path(scratch)
        generate(fresh)
        if options.check:
            stale = differences(fresh, GEN)
            if stale:
                sys.exit("gen/ is not current; run `make gen`:\n  " + "\n  ".join(stale))
            return
        shutil.rmtree(GEN, ignore_errors=True)
        shutil.copytree(fresh, GEN)


if __name__ == "__main__":
    main()
