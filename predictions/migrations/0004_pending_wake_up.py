"""New names for a model and a field; the table and its column keep theirs, so nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("predictions", "0003_trust")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel("WakeUp", "PendingWakeUp"),
                migrations.AlterModelTable("PendingWakeUp", "predictions_wakeup"),
                migrations.RenameField("PendingWakeUp", "rung_at", "sent_at"),
                migrations.AlterField(
                    "PendingWakeUp", "sent_at", models.DateTimeField(blank=True, db_column="rung_at", null=True)
                ),
            ]
        )
    ]
