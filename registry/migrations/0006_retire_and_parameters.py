from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0005_containers")]

    operations = [
        migrations.AlterField(
            model_name="promotion",
            name="kind",
            field=models.CharField(
                choices=[("promote", "promote"), ("rollback", "rollback"), ("retire", "retire")], max_length=10
            ),
        ),
        migrations.AddField(
            model_name="modelversion",
            name="parameters",
            field=models.JSONField(
                blank=True,
                help_text="Classes and parameters of the pipeline's parts; null: not recorded.",
                null=True,
            ),
        ),
    ]
