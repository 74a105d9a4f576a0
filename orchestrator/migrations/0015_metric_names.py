"""Say of each block whom it speaks of, also of those that are kept already."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from orchestrator.core import samples


def name_all(apps: Any, _editor: Any) -> None:
    blocks = apps.get_model("orchestrator", "MetricBlock")
    batch = []
    for row in blocks.objects.iterator(chunk_size=500):
        row.names = samples.names_of(row.samples)
        batch.append(row)
        if len(batch) == 500:
            blocks.objects.bulk_update(batch, ["names"])
            batch.clear()
    blocks.objects.bulk_update(batch, ["names"])


class Migration(migrations.Migration):
    dependencies = [("orchestrator", "0014_sleeping")]

    operations = [
        migrations.AddField(
            model_name="metricblock",
            name="names",
            field=models.TextField(default=""),
        ),
        migrations.RunPython(name_all, migrations.RunPython.noop),
    ]
