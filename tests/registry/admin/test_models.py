"""Models in the admin: the list, what can be changed, the default model, deletion."""

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from registry.models import Model, ModelVersion


def page_of(model: Model, name: str = "change") -> str:
    return reverse(f"admin:registry_model_{name}", args=[model.pk])


# What Django's inlines send along with every form.
INLINES = {
    f"{prefix}-{part}": "0" for prefix in ("versions", "promotions") for part in ("TOTAL_FORMS", "INITIAL_FORMS")
}


def test_it_lists_each_model_with_its_live_version(admin_client: Client, penguins: ModelVersion) -> None:
    Model.objects.create(name="empty")

    page = admin_client.get("/admin/registry/model/")

    listed = {model.name: (model.live, model.version_count) for model in page.context["cl"].result_list}
    assert listed == {"penguins": ("1.0", 1), "empty": (None, 0)}


def test_it_changes_what_people_read_but_not_the_name(admin_client: Client, penguins: ModelVersion) -> None:
    changes = {"name": "other", "title": "Birds", "description": "", **INLINES}

    answer = admin_client.post(page_of(penguins.model), changes)

    assert answer.status_code == 302
    model = Model.objects.get()
    assert (model.name, model.title, model.is_public) == ("penguins", "Birds", False)
    assert ModelVersion.objects.get().is_live


def test_it_shows_the_versions_and_the_promotions(admin_client: Client, penguins: ModelVersion) -> None:
    page = admin_client.get(page_of(penguins.model))

    assert "12 of 12 checks passed" in page.text
    assert "serves now" in page.text
    assert "Promotions, newest first" in page.text


def test_it_makes_another_model_the_default(admin_client: Client, db: None) -> None:
    Model.objects.create(name="first", is_default=True)
    second = Model.objects.create(name="second")

    page = admin_client.get(page_of(second, "make_default"))
    admin_client.post(page_of(second, "make_default"))

    assert "will be answered by second" in page.text
    assert Model.objects.get(is_default=True) == second


def test_it_needs_the_permission_to_make_a_default(client: Client, reader: User) -> None:
    reader.is_staff = True
    reader.save()
    client.force_login(reader)
    model = Model.objects.create(name="first")

    answer = client.post(page_of(model, "make_default"))

    assert answer.status_code == 403
    assert not Model.objects.filter(is_default=True).exists()


def test_it_answers_404_for_a_model_that_does_not_exist(admin_client: Client) -> None:
    assert admin_client.post("/admin/registry/model/7/make-default/").status_code == 404


def test_it_deletes_a_model_without_versions(admin_client: Client) -> None:
    model = Model.objects.create(name="empty")

    admin_client.post(page_of(model, "delete"), {"post": "yes"})

    assert not Model.objects.exists()


def test_it_lists_hundred_versions_in_a_fixed_number_of_queries(
    admin_client: Client, penguins: ModelVersion, django_assert_max_num_queries: object
) -> None:
    for number in range(100):
        penguins.pk, penguins.tag, penguins.status = None, f"2.{number}", "ready"
        penguins.save(force_insert=True)

    with django_assert_max_num_queries(20):  # type: ignore[operator]
        page = admin_client.get(page_of(penguins.model))

    assert page.text.count("Promote…") == 100
