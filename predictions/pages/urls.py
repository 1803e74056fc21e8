from django.urls import path

from mlserve.http import ids  # noqa: F401 - registers <id:…>
from predictions.pages import views

urlpatterns = [
    path("", views.home, name="home"),
    path("models/<str:model>", views.model_page, name="model-page"),
    path("models/<str:model>/suggestions", views.suggestions, name="suggestions"),
    path("predictions/<id:pk>", views.prediction_page, name="prediction-page"),
]
