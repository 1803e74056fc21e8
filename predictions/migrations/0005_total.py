"""A new name for a model; its table keeps the old one, so nothing changes in the database."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("predictions", "0004_pending_wake_up")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel("Figure", "Total"),
                migrations.AlterModelTable("Total", "predictions_figure"),
            ]
        )
    ]
