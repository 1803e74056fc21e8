"""Versions in the admin: the upload form, the page of a version, promotion, rollback and retirement, deletion."""

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from registry.models import Model, ModelVersion, Promotion
from registry.models.golden_check import GoldenCheck, Verdict
from registry.pipelines.environment import environment
from registry.publishing.publish import Published, promote
from tests import pipelines
from tests.conftest import EXAMPLE

UPLOAD = "/admin/registry/modelversion/add/"


def file_of(path: Path) -> SimpleUploadedFile:
    return SimpleUploadedFile(path.name, path.read_bytes())


def page_of(version: ModelVersion, name: str = "change") -> str:
    return reverse(f"admin:registry_modelversion_{name}", args=[version.pk])


def allow(user: User, *codenames: str) -> None:
    user.is_staff = True
    user.save()
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def text_of(page: Any) -> str:
    """What the page says, in one line."""
    return " ".join(strip_tags(page.content.decode()).replace("&#x27;", "'").split())


@pytest.fixture
def staff(client: Client, reader: User) -> Client:
    """Signed in with an account that may look and nothing else."""
    allow(reader, "view_modelversion", "view_model", "view_promotion")
    client.force_login(reader)
    return client


@pytest.fixture
def upload(penguins_artifact: Path) -> Callable[..., dict[str, Any]]:
    """The fields of the form with the example's files; open files can be sent only once."""

    def fields(**changes: Any) -> dict[str, Any]:
        return {
            "model": "penguins",
            "tag": "1.0",
            "artifact": file_of(penguins_artifact),
            "schema": file_of(EXAMPLE / "validation.py"),
            "schema_class": "RawData",
            "sample": file_of(EXAMPLE / "sample.csv"),
            "expected": file_of(EXAMPLE / "expected.csv"),
            "form": file_of(EXAMPLE / "form.json"),
            **changes,
        }

    return fields


@pytest.fixture
def second(penguins: ModelVersion, publish_penguins: Callable[..., Published]) -> ModelVersion:
    """Version 1.1 of the model, registered and not promoted."""
    return publish_penguins("1.1", by="owner").version


def test_it_shows_the_upload_form_with_the_models_that_exist(admin_client: Client, penguins: ModelVersion) -> None:
    page = admin_client.get(UPLOAD, {"model": "penguins"})

    assert page.status_code == 200
    assert '<option value="penguins">' in page.text
    assert 'enctype="multipart/form-data"' in page.text
    assert page.context["form"]["model"].value() == "penguins"


def test_it_registers_a_good_artifact(admin_client: Client, upload: Callable[..., dict[str, Any]]) -> None:
    answer = admin_client.post(UPLOAD, upload(title="Penguins", is_public="true", promote="on"), follow=True)

    version = ModelVersion.objects.get()
    assert answer.redirect_chain == [(page_of(version), 302)]
    assert "penguins 1.0 registered, 12 of 12 checks passed." in answer.text
    assert (version.is_live, version.uploaded_by) == (True, "owner")
    assert (version.model.title, version.model.is_public) == ("Penguins", True)
    messages = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert sorted(messages) == ["Promoted with its upload.", "Uploaded, 12 of 12 checks passed."]


def test_it_shows_answers_that_are_not_the_trainers(
    admin_client: Client, upload: Callable[..., dict[str, Any]]
) -> None:
    answers = (EXAMPLE / "expected.csv").read_text().replace("Gentoo", "Adelie", 1)

    answer = admin_client.post(UPLOAD, upload(expected=SimpleUploadedFile("expected.csv", answers.encode())))

    assert 'row 7: the trainer saw "Adelie", here it is "Gentoo"' in unescape(answer.text)
    assert not ModelVersion.objects.exists()


def test_it_shows_a_report_with_fewer_checks_of_an_earlier_release(
    admin_client: Client, penguins: ModelVersion
) -> None:
    report = penguins.report
    report["checks"] = [check for check in report["checks"] if check["name"] not in ("answers", "nulls")]
    ModelVersion.objects.update(report=report)

    page = admin_client.get(page_of(penguins))

    assert page.text.count("✓ passed") == 10
    assert "10 of 10 checks passed" in admin_client.get(reverse("admin:registry_modelversion_changelist")).text


def test_it_reads_the_named_class_of_the_schema_file(
    admin_client: Client, upload: Callable[..., dict[str, Any]]
) -> None:
    source = (EXAMPLE / "validation.py").read_text("utf-8").replace("RawData", "Penguin")
    schema = SimpleUploadedFile("validation.py", source.encode())

    answer = admin_client.post(UPLOAD, upload(schema=schema, schema_class="Penguin"))

    assert answer.status_code == 302
    assert ModelVersion.objects.get().record_schema.json_schema["title"] == "Penguin"


def test_it_shows_the_whole_report_of_a_refused_artifact_and_stores_nothing(
    admin_client: Client, upload: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    answer = admin_client.post(UPLOAD, upload(tag="7.7", artifact=SimpleUploadedFile("model.pkl", b"no pickle")))

    assert answer.status_code == 200
    assert "✗ failed" in answer.text
    assert answer.text.count("– skipped") == 11
    assert 'value="7.7"' in answer.text
    assert not Model.objects.exists()
    assert not (tmp_path / "artifacts").exists()


def test_it_refuses_other_bytes_under_a_taken_tag(
    admin_client: Client,
    penguins: ModelVersion,
    upload: Callable[..., dict[str, Any]],
    save: Callable[..., Path],
) -> None:
    other = save(pipelines.mixed_classifier())

    answer = admin_client.post(UPLOAD, upload(artifact=file_of(other)))

    assert "upload under a new tag" in answer.context["form"].errors["tag"][0]
    assert ModelVersion.objects.get() == penguins


def test_it_says_that_the_same_bytes_are_there_already(
    admin_client: Client, penguins: ModelVersion, upload: Callable[..., dict[str, Any]]
) -> None:
    answer = admin_client.post(UPLOAD, upload(), follow=True)

    assert "penguins 1.0: the same bytes were registered already." in answer.text
    assert ModelVersion.objects.get() == penguins
    assert not LogEntry.objects.exists()


def test_it_refuses_a_form_that_asks_for_an_unknown_column(
    admin_client: Client, upload: Callable[..., dict[str, Any]]
) -> None:
    form = SimpleUploadedFile("form.json", b'{"sections": [{"fields": [{"name": "wingspan"}]}]}')

    answer = admin_client.post(UPLOAD, upload(form=form))

    assert "names wingspan, which the schema lacks" in answer.text
    assert not Model.objects.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "pen guins"}, "cannot be a model name"),
        ({"schema_class": "a b"}, "not the name of a Python class"),
        ({"sample": SimpleUploadedFile("rows.xlsx", b"PK")}, "must end in .csv, .tsv"),
        ({"artifact": ""}, "This field is required"),
    ],
)
def test_it_names_what_is_wrong_with_a_field(
    admin_client: Client, upload: Callable[..., dict[str, Any]], changes: dict[str, Any], sentence: str
) -> None:
    answer = admin_client.post(UPLOAD, upload(**changes))

    assert answer.status_code == 200
    assert sentence in answer.text
    assert not Model.objects.exists()


def test_it_says_that_the_storage_is_unreachable(
    admin_client: Client, upload: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")

    answer = admin_client.post(UPLOAD, upload())

    assert answer.status_code == 200
    assert answer.context["form"].non_field_errors()
    assert not Model.objects.exists()


def test_it_lets_staff_look_but_neither_upload_nor_promote(
    staff: Client, penguins: ModelVersion, second: ModelVersion, upload: Callable[..., dict[str, Any]]
) -> None:
    assert staff.get(page_of(second)).status_code == 200
    assert "Promote…" not in staff.get(page_of(second)).text
    assert staff.get(UPLOAD).status_code == 403
    assert staff.post(UPLOAD, upload(tag="2.0")).status_code == 403
    assert staff.post(page_of(second, "promote")).status_code == 403
    assert staff.post(page_of(penguins, "rollback")).status_code == 403
    assert list(ModelVersion.objects.live()) == [penguins]


def test_it_sends_who_is_no_staff_to_the_login(client: Client, reader: User, second: ModelVersion) -> None:
    client.force_login(reader)

    for name in ("change", "promote", "rollback", "retire", "compare"):
        assert client.post(page_of(second, name)).status_code == 302
    assert not second.model.versions.get(pk=second.pk).is_live


def test_it_promotes_nothing_for_an_uploader_without_the_permission(
    client: Client, reader: User, upload: Callable[..., dict[str, Any]]
) -> None:
    allow(reader, "add_modelversion", "view_modelversion")
    client.force_login(reader)

    answer = client.post(UPLOAD, upload(promote="on"))

    assert answer.status_code == 302
    assert not ModelVersion.objects.get().is_live


def test_it_lets_an_uploader_change_no_existing_model(
    client: Client, reader: User, penguins: ModelVersion, upload: Callable[..., dict[str, Any]]
) -> None:
    allow(reader, "add_modelversion")
    client.force_login(reader)

    answer = client.post(UPLOAD, upload(tag="2.0", is_public="false"))

    assert "lacks registry.change_model" in answer.context["form"].errors["is_public"][0]
    assert Model.objects.get().is_public


def test_it_asks_before_it_promotes(admin_client: Client, second: ModelVersion) -> None:
    page = admin_client.get(page_of(second, "promote"))

    assert "1.0 is retired by it" in page.text
    assert not ModelVersion.objects.get(pk=second.pk).is_live


def test_it_promotes(admin_client: Client, second: ModelVersion) -> None:
    answer = admin_client.post(page_of(second, "promote"), follow=True)

    assert "penguins 1.1 is live." in answer.text
    assert ModelVersion.objects.live().get() == second
    assert Promotion.objects.first().promoted_by == "owner"  # type: ignore[union-attr]
    assert LogEntry.objects.get().get_change_message() == "Promoted."


def test_it_rolls_back(admin_client: Client, penguins: ModelVersion, second: ModelVersion) -> None:
    promote("penguins", "1.1")

    page = admin_client.get(page_of(second, "rollback"))
    answer = admin_client.post(page_of(second, "rollback"), follow=True)

    assert "penguins 1.0 answers every request again" in page.text
    assert "penguins 1.0 is live." in answer.text
    assert ModelVersion.objects.live().get() == penguins


def test_it_does_not_roll_back_from_a_version_that_is_no_longer_live(
    admin_client: Client, penguins: ModelVersion, second: ModelVersion
) -> None:
    answer = admin_client.post(page_of(second, "rollback"), follow=True)

    assert "penguins 1.1 is not live" in answer.text
    assert ModelVersion.objects.live().get() == penguins


def test_it_offers_no_rollback_when_nothing_was_live_before(admin_client: Client, penguins: ModelVersion) -> None:
    page = admin_client.get(page_of(penguins))
    answer = admin_client.post(page_of(penguins, "rollback"), follow=True)

    assert "Roll back…" not in page.text
    assert "had no other live version" in answer.text


def test_it_shows_everything_about_a_version(admin_client: Client, penguins: ModelVersion) -> None:
    page = admin_client.get(page_of(penguins))

    for part in ("✓ passed", "≥ 20, ≤ 80", "one of Biscoe, Dream, Torgersen", "&quot;$schema&quot;", "scikit-learn"):
        assert part in page.text
    assert len(page.context["sample"]["rows"]) == len(penguins.sample_rows)
    assert penguins.golden_outputs["predictions"][0] in page.context["sample"]["rows"][0]


def test_it_shows_what_each_environment_answered(admin_client: Client, penguins: ModelVersion) -> None:
    penguins.golden_checks.update(environment="0" * 64, packages={**environment(), "numpy": "1.0"}, verdict="differs")
    GoldenCheck.objects.record(penguins, Verdict.SAME, now=timezone.now())

    page = text_of(admin_client.get(page_of(penguins)))

    assert "this server's ✓ answers as inspected" in page
    assert "numpy 1.0 ✗ answers differently" in page
    assert "Admitted: it passed the inspection" in page


def test_it_shows_that_a_version_cannot_be_loaded(admin_client: Client, penguins: ModelVersion) -> None:
    ModelVersion.objects.update(admission="")

    page = text_of(admin_client.get(page_of(penguins)))

    assert "its signature is missing. .venv/bin/python manage.py admit_models penguins --tag 1.0" in page


def test_it_shows_who_allowed_another_scikit_learn(admin_client: Client, penguins: ModelVersion) -> None:
    ModelVersion.objects.update(other_versions_allowed_by="ada")

    assert "another scikit-learn trained it: ada allowed it" in text_of(admin_client.get(page_of(penguins)))


def test_it_does_not_delete_a_live_version(admin_client: Client, penguins: ModelVersion) -> None:
    """And says so, instead of that a permission lacked."""
    answer = admin_client.post(page_of(penguins, "delete"), {"post": "yes"})

    assert "penguins 1.0 is live. Promote another version first, or retire it." in answer.text
    assert ModelVersion.objects.exists()


def test_it_retires_after_a_question(admin_client: Client, penguins: ModelVersion) -> None:
    page = admin_client.get(page_of(penguins))
    asked = admin_client.get(page_of(penguins, "retire"))
    answer = admin_client.post(page_of(penguins, "retire"), follow=True)

    assert "Retire…" in page.text
    assert "no version takes its place" in asked.text
    assert "penguins 1.0 is retired; its model has no live version now." in answer.text
    assert not ModelVersion.objects.live().exists()
    assert Promotion.objects.all()[0].kind == "retire"


def test_it_retires_no_version_that_is_not_live(admin_client: Client, second: ModelVersion) -> None:
    answer = admin_client.post(page_of(second, "retire"), follow=True)

    assert "penguins 1.1 is not live, so there is nothing to retire." in answer.text
    assert "Retire…" not in answer.text


def test_it_deletes_no_live_version_among_selected_ones(
    admin_client: Client, penguins: ModelVersion, second: ModelVersion
) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [penguins.pk, second.pk], "post": "yes"}

    answer = admin_client.post("/admin/registry/modelversion/", chosen)

    assert "penguins 1.0 is live. Promote another version first, or retire it." in answer.text
    assert ModelVersion.objects.count() == 2


def test_it_deletes_a_version_that_nothing_refers_to(
    admin_client: Client, penguins: ModelVersion, second: ModelVersion
) -> None:
    promote("penguins", "1.1")
    promote("penguins", "1.0")

    answer = admin_client.post(page_of(second, "delete"), {"post": "yes"})

    assert answer.status_code == 302
    assert ModelVersion.objects.get() == penguins
