from django.urls import path

from predictions.pages import views

urlpatterns = [
    path("", views.home, name="home"),
    path("models/<str:model>", views.model_page, name="model-page"),
    path("models/<str:model>/suggestions", views.suggestions, name="suggestions"),
    path("predictions/<uuid:pk>", views.prediction_page, name="prediction-page"),
]
