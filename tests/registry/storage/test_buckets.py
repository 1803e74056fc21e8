"""`manage.py create_bucket`, and what is said about buckets that it did not make."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from mlserve.errors import Unavailable
from registry.storage import buckets
from registry.storage.bucket_settings import RULES
from tests.stand_ins.aws import StandIn
from tests.stand_ins.interference import Asked, between

Out = pytest.CaptureFixture[str]


@pytest.fixture
def name(aws: StandIn) -> str:
    """Under which there is no bucket yet."""
    return aws.new_queue_name()


def test_it_makes_a_bucket_with_every_setting(aws: StandIn, name: str, capsys: Out) -> None:
    call_command("create_bucket", name)

    s3 = aws.client("s3")
    assert capsys.readouterr().out.startswith(f"Bucket {name} (eu-central-1): made.\n")
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-central-1"
    assert set(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert "AES256" in str(s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"])
    assert "BucketOwnerEnforced" in str(s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"])
    assert buckets.problems_of(name) == []


def test_it_lets_browsers_send_parts(aws: StandIn, name: str) -> None:
    call_command("create_bucket", name)

    (rule,) = aws.client("s3").get_bucket_cors(Bucket=name)["CORSRules"]
    assert rule["AllowedMethods"] == ["PUT"]
    assert rule["AllowedOrigins"] == ["*"]
    assert rule["ExposeHeaders"] == ["ETag"]


def test_it_lets_browsers_of_the_given_sites_only_send_parts(aws: StandIn, name: str) -> None:
    call_command("create_bucket", name, "--origin", "https://a.example", "--origin", "https://b.example:8443")
    call_command("create_bucket", name)

    (rule,) = aws.client("s3").get_bucket_cors(Bucket=name)["CORSRules"]
    assert rule["AllowedOrigins"] == ["https://a.example", "https://b.example:8443"]


def test_it_drops_what_uploads_left_behind(aws: StandIn, name: str) -> None:
    call_command("create_bucket", name)

    rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    unfinished, uploads, predictions, versions = rules
    assert unfinished["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2
    assert (uploads["Filter"]["Prefix"], uploads["Expiration"]["Days"]) == ("uploads/", 2)
    assert predictions["Filter"]["Prefix"] == "predictions/"
    assert predictions["NoncurrentVersionExpiration"]["NoncurrentDays"] == 1  # deleted means deleted
    assert "Expiration" not in predictions
    assert versions["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert "Days" not in versions["Expiration"]  # or artifacts would go


def test_it_makes_a_bucket_in_another_region(aws: StandIn, name: str) -> None:
    call_command("create_bucket", name, "--region", "eu-west-3")

    assert aws.client("s3").get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-3"


def test_it_makes_a_bucket_in_the_region_that_has_no_name(aws: StandIn, name: str, capsys: Out) -> None:
    call_command("create_bucket", name, "--region", "us-east-1")
    call_command("create_bucket", name, "--region", "us-east-1")

    assert "(us-east-1): yours already, as it should be." in capsys.readouterr().out
    assert aws.client("s3").get_bucket_location(Bucket=name)["LocationConstraint"] is None


def test_it_changes_nothing_the_second_time(aws: StandIn, name: str, capsys: Out) -> None:
    call_command("create_bucket", name)
    capsys.readouterr()

    call_command("create_bucket", name)

    assert capsys.readouterr().out.startswith(f"Bucket {name} (eu-central-1): yours already, as it should be.\n")


def test_it_says_which_variable_names_the_bucket(name: str, capsys: Out, settings: Any) -> None:
    call_command("create_bucket", name)
    assert f"Set MLSERVE_BUCKET={name}" in capsys.readouterr().out

    settings.MLSERVE_BUCKET = name
    call_command("create_bucket", name)
    assert "MLSERVE_BUCKET" not in capsys.readouterr().out


def test_it_corrects_a_bucket_that_is_yours_already(aws: StandIn, capsys: Out) -> None:
    name = aws.new_bucket()
    before = buckets.problems_of(name)

    call_command("create_bucket", name)

    said = capsys.readouterr().out
    assert f"{name} does not keep versions" in before
    assert len(before) == len(RULES) - 1  # all but TLS, which the stand-in does not speak
    assert all(problem.removeprefix(name) in said for problem in before)
    assert buckets.problems_of(name) == []


def test_it_keeps_what_others_added(aws: StandIn) -> None:
    name, s3 = aws.new_bucket(), aws.client("s3")
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 7}}
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [theirs]})
    by_default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [by_default]})

    call_command("create_bucket", name)

    assert theirs in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert "aws:kms" in str(s3.get_bucket_encryption(Bucket=name))


def test_it_refuses_a_bucket_of_another_account(aws: StandIn, name: str) -> None:
    stranger = boto3.Session().client("sts", endpoint_url=aws.endpoint_url)
    role = stranger.assume_role(RoleArn="arn:aws:iam::999999999999:role/stranger", RoleSessionName="stranger")
    names = {"AccessKeyId": "aws_access_key_id", "SecretAccessKey": "aws_secret_access_key"}
    theirs = boto3.Session(**{names[key]: value for key, value in role["Credentials"].items() if key in names})
    s3 = theirs.client("s3", endpoint_url=aws.endpoint_url)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    stranger.close(), s3.close()

    with pytest.raises(CommandError, match=f"bucket {name} belongs to somebody else.*Choose another one"):
        call_command("create_bucket", name)


def test_it_refuses_a_bucket_in_another_region(name: str) -> None:
    call_command("create_bucket", name, "--region", "eu-west-3")

    with pytest.raises(CommandError, match="but in eu-west-3, not in eu-central-1"):
        call_command("create_bucket", name)


@pytest.mark.parametrize("wrong", ["ab", "a" * 64, "Capitals", "dots.break.tls", "-begins", "ends-", "under_score", ""])
def test_it_refuses_a_name_that_cannot_be(wrong: str) -> None:
    with pytest.raises(CommandError, match="cannot be the name of a bucket"):
        call_command("create_bucket", "--", wrong)


@pytest.mark.parametrize("wrong", ["a.example", "https://", "https://a.example/", "ftp://a.example"])
def test_it_refuses_what_is_no_origin(wrong: str) -> None:
    with pytest.raises(CommandError, match="is no origin"):
        call_command("create_bucket", "a-name", "--origin", wrong)


def test_it_says_that_there_is_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(CommandError, match="Say in which region"):
        call_command("create_bucket", "a-name")


def test_it_says_that_there_are_no_credentials(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(CommandError, match="there are no credentials"):
        call_command("create_bucket", name)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "no address"])
def test_it_says_that_nothing_answers(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)

    with pytest.raises(CommandError, match=address):
        call_command("create_bucket", "a-name")
    with pytest.raises(Unavailable, match=address):
        buckets.problems_of("a-name")


def test_it_says_which_bucket_is_not_there(name: str) -> None:
    with pytest.raises(Unavailable, match=f"there is no bucket {name}"):
        buckets.problems_of(name)


@pytest.mark.parametrize(
    ("setting", "answer", "fault"),
    [
        # MinIO allows any site.
        pytest.param("?cors", (501, "NotImplemented"), "does not let browsers send", id="cors"),
        # The Versity S3 Gateway, when it has no folder for versions.
        pytest.param("?versioning", (409, "VersioningNotConfigured"), "does not keep versions", id="versions"),
    ],
)
def test_it_leaves_out_what_a_storage_does_not_offer(
    aws: StandIn,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Out,
    setting: str,
    answer: tuple[int, str],
    fault: str,
) -> None:
    def without_it(asked: Asked) -> tuple[int, str] | None:
        return answer if asked.path.endswith(setting) else None

    with between(aws.endpoint_url) as interference:
        interference.before = without_it
        monkeypatch.setenv("AWS_ENDPOINT_URL", interference.endpoint_url)

        call_command("create_bucket", name)

        assert f"does not offer everything: the bucket {fault}" in capsys.readouterr().out
        assert buckets.problems_of(name) == []


# --- With TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture
def with_tls(aws: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-in behind a certificate that this test's clients trust."""
    certificate, key = certify(tmp_path)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=(str(certificate), str(key)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    yield
    server.shutdown()
    server.server_close()
    thread.join(10)


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, for an hour, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.usefixtures("with_tls")
def test_it_demands_tls(aws: StandIn, name: str, capsys: Out) -> None:
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketAcl", "Resource": "*"}
    call_command("create_bucket", name)
    assert "does not offer" not in capsys.readouterr().out
    aws.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps({"Statement": theirs}))
    assert buckets.problems_of(name) == [f"{name} lets itself be used without TLS"]

    call_command("create_bucket", name)

    kept, ours = json.loads(aws.client("s3").get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert kept == theirs
    assert (ours["Effect"], ours["Principal"], ours["Action"]) == ("Deny", "*", "s3:*")
    assert ours["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    assert ours["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert buckets.problems_of(name) == []
