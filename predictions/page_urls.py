from django.urls import path

from predictions import pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("models/<str:model>", pages.model_page, name="model-page"),
    path("predictions/<uuid:pk>", pages.prediction_page, name="prediction-page"),
]
