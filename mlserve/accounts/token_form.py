"""The form of a new API token, on the page of one's own and in the admin."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User

from mlserve.access.tokens import MOST_DAYS, make_token
from mlserve.models import ApiToken
from mlserve.permissions import ADMIN, PREDICT, SCOPES, UPLOAD, may


class OwnTokenForm(forms.Form):
    """The properties of a token that its maker will use, with the scopes that can allow this account anything."""

    name = forms.CharField(max_length=100, help_text="What it is for, such as the program that will use it.")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {meaning}") for scope, meaning in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=[PREDICT],
        help_text="It can do what its user may and its scopes allow.",
    )
    days = forms.IntegerField(
        min_value=1, max_value=MOST_DAYS, required=False, help_text=f"Days until it expires, at most {MOST_DAYS}."
    )
    is_endless = forms.BooleanField(
        required=False, label="Never expires", help_text="Only where it cannot be replaced in time."
    )

    def __init__(self, *args: Any, maker: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["days"].initial = settings.MLSERVE_TOKEN_DAYS
        self._maker = maker

    def clean_name(self) -> str:
        """As `make_token` takes it: in one line, of characters that can be seen."""
        name = " ".join(self.cleaned_data["name"].split())
        if not name.isprintable():
            raise forms.ValidationError("Use characters that can be printed.")
        return name

    def make(self) -> tuple[ApiToken, str]:
        """The token that the valid form describes, and its secret."""
        asked = self.cleaned_data
        days = None if asked["is_endless"] else asked["days"] or settings.MLSERVE_TOKEN_DAYS
        return make_token(
            asked.get("user", self._maker),
            name=asked["name"],
            scopes=asked["scopes"],
            days=days,
            created_by=self._maker.get_username(),
        )


def useful_scopes(user: User) -> list[tuple[str, str]]:
    """The scopes, with their meanings, that allow `user` something."""
    useful = [PREDICT]
    if may(user, "registry.add_modelversion"):
        useful.append(UPLOAD)
    if user.is_staff:
        useful.append(ADMIN)
    return [(scope, f"{scope}: {SCOPES[scope]}") for scope in useful]


class TokenForm(OwnTokenForm):
    """A token of any user's. Only superusers choose the user."""

    user = forms.ModelChoiceField(User.objects.filter(is_active=True), help_text="Whose rights it has.")
    field_order = ("name", "user")

    def __init__(self, *args: Any, maker: User, **kwargs: Any) -> None:
        super().__init__(*args, maker=maker, **kwargs)
        self.fields["user"].initial = maker.pk
        if not maker.is_superuser:
            del self.fields["user"]
