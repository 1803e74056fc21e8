from django.urls import path

from mlserve.http import ids  # noqa: F401 - registers <id:…>
from registry.api.upload_views import DirectUploadViewSet
from registry.api.views import ModelViewSet, VersionViewSet

urlpatterns = [
    path("models", ModelViewSet.as_view({"get": "list"}), name="model-list"),
    path("models/<str:model>", ModelViewSet.as_view({"get": "retrieve"}), name="model-detail"),
    path("models/<str:model>/schema", ModelViewSet.as_view({"get": "record_schema"}), name="model-schema"),
    path("models/<str:model>/promote", ModelViewSet.as_view({"post": "promote"}), name="model-promote"),
    path("models/<str:model>/rollback", ModelViewSet.as_view({"post": "rollback"}), name="model-rollback"),
    path("models/<str:model>/retire", ModelViewSet.as_view({"post": "retire"}), name="model-retire"),
    path(
        "models/<str:model>/versions",
        VersionViewSet.as_view({"get": "list", "post": "create"}),
        name="version-list",
    ),
    path("models/<str:model>/versions/<str:tag>", VersionViewSet.as_view({"get": "retrieve"}), name="version-detail"),
    path(
        "models/<str:model>/versions/<str:tag>/schema",
        VersionViewSet.as_view({"get": "record_schema"}),
        name="version-schema",
    ),
    path("uploads", DirectUploadViewSet.as_view({"post": "create"}), name="upload-list"),
    path(
        "uploads/<id:upload>",
        DirectUploadViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="upload-detail",
    ),
    path("uploads/<id:upload>/parts", DirectUploadViewSet.as_view({"post": "addresses"}), name="upload-parts"),
    path(
        "uploads/<id:upload>/parts/<int:number>",
        DirectUploadViewSet.as_view({"put": "receive"}),
        name="upload-part",
    ),
]
