"""django-q2's schedules in the admin: the sweep can be seen and stopped there, and nothing else be run."""

from django.contrib import admin
from django.http import HttpRequest


class ScheduleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """In place of django-q2's own page, on which any function could be entered with any arguments."""

    list_display = ("name", "func", "repeats", "next_run")
    fields = ("name", "func", "minutes", "next_run", "repeats")
    readonly_fields = ("name", "func", "minutes", "next_run")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
