from django.urls import path

from mlserve.accounts import pages

urlpatterns = [
    path("", pages.account, name="account"),
    path("/password", pages.PasswordPage.as_view(), name="account-password"),
    path("/predictions", pages.predictions, name="account-predictions"),
    path("/tokens/<int:pk>/revoke", pages.revoke_token, name="account-token-revoke"),
]
