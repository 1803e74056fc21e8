"""Sign what was registered before there were signatures.

Each of these artifacts passed an inspection of this service before its row existed. Whether its row is still the one
that was written then, nobody can know any more; it is trusted this once, with the SECRET_KEY that migrates. What is
registered without a signature after this migration, as by a process of the release before, `admit_models` inspects.
"""

from typing import Any

from django.core.signing import Signer
from django.db import migrations


def sign(apps: Any, schema_editor: Any) -> None:
    versions = apps.get_model("registry", "ModelVersion").objects.using(schema_editor.connection.alias)
    unsigned = versions.filter(admission="").only("sha256", "size_bytes", "artifact_format")
    for version in unsigned:
        # The rules of that time, number 1, as they were when this migration was written: it must not change with them.
        facts = f"1 {version.sha256} {version.size_bytes} {version.artifact_format}"
        signature = Signer(salt="registry.admission").signature(facts)
        versions.filter(pk=version.pk, admission="").update(admission=f"1:{signature}")


class Migration(migrations.Migration):
    dependencies = [("registry", "0003_trust")]

    operations = [migrations.RunPython(sign, migrations.RunPython.noop, elidable=True)]
