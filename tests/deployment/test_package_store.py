"""Packages in the bucket, by their digest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployment import package_store
from deployment.account import Account
from deployment.package_store import Package, package_of_code

Client = Callable[[str], Any]


@pytest.fixture
def bucket(client: Client) -> str:
    client("s3").create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return "packages"


def made(folder: Path, content: str) -> tuple[Path, Package]:
    path = folder / f"{content}.zip"
    path.write_text(content, encoding="utf-8")
    return path, package_store.read(path)


def keys(client: Client) -> list[str]:
    return [each["Key"] for each in client("s3").list_objects_v2(Bucket="packages").get("Contents", [])]


def test_it_uploads_a_package_once(account: Account, bucket: str, client: Client, tmp_path: Path) -> None:
    path, package = made(tmp_path, "one")

    assert package_store.upload(account, bucket, path, package)
    assert not package_store.upload(account, bucket, path, package)
    assert keys(client) == [package.key]


def test_it_names_a_package_as_lambda_does(tmp_path: Path) -> None:
    _, package = made(tmp_path, "one")

    assert package.code == "dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z/0Me0="
    assert package_of_code(package.code).key == package.key


def test_it_uploads_again_what_has_another_size(account: Account, bucket: str, client: Client, tmp_path: Path) -> None:
    path, package = made(tmp_path, "one")
    client("s3").put_object(Bucket=bucket, Key=package.key, Body=b"half")

    assert package_store.upload(account, bucket, path, package)


def test_it_keeps_the_newest_and_what_runs(account: Account, bucket: str, client: Client, tmp_path: Path) -> None:
    every = [made(tmp_path, f"package {number}") for number in range(8)]
    for path, package in every:
        package_store.upload(account, bucket, path, package)
        client("s3").head_object(Bucket=bucket, Key=package.key)
    oldest = sorted(client("s3").list_objects_v2(Bucket=bucket)["Contents"], key=lambda each: each["LastModified"])[0]
    runs = Package(oldest["Key"].removeprefix("packages/").removesuffix(".zip"), 0)

    package_store.forget_old(account, bucket, in_use=[runs])

    assert runs.key in keys(client)
    assert len(keys(client)) in (5, 6)  # six where the one that runs is not among the newest
