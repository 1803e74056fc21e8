from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mlserve", "0001_callers")]

    operations = [
        migrations.CreateModel(
            name="DeletedAccount",
            fields=[
                (
                    "id",
                    models.BigIntegerField(help_text="That of the account.", primary_key=True, serialize=False),
                ),
                ("name", models.CharField(db_index=True, max_length=150)),
                ("deleted_at", models.DateTimeField()),
            ],
            options={"ordering": ("-deleted_at",), "default_permissions": ()},
        ),
    ]
