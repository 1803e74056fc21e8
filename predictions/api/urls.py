from django.urls import path

from mlserve.http import ids  # noqa: F401 - registers <id:…>
from predictions.api.personal_data_views import PersonalDataViewSet
from predictions.api.views import PredictionViewSet

_submit = PredictionViewSet.as_view({"post": "create"})

urlpatterns = [
    path("predict", PredictionViewSet.as_view({"get": "list", "post": "create"}), name="prediction-list"),
    path("predict/export", PersonalDataViewSet.as_view({"get": "export"}), name="prediction-export"),
    path("predict/erase", PersonalDataViewSet.as_view({"post": "erase"}), name="prediction-erase"),
    path("predict/<id:pk>", PredictionViewSet.as_view({"get": "retrieve"}), name="prediction-detail"),
    path("predict/<id:pk>/cancel", PredictionViewSet.as_view({"post": "cancel"}), name="prediction-cancel"),
    path("models/<str:model>/predict", _submit, name="model-predict"),
    path("models/<str:model>/versions/<str:tag>/predict", _submit, name="version-predict"),
]
