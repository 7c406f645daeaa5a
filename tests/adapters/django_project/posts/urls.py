from django.contrib import admin
from django.urls import include, path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("userimages_django.urls")),
    path("selected/", views.selected),
    path("prefetched/", views.prefetched),
    path("avatar/", views.avatar),
]
