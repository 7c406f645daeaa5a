from django.apps import AppConfig


class UserImagesConfig(AppConfig):
    name = "userimages_django"
    verbose_name = "User images"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from . import checks, signals  # noqa: F401 - the checks register themselves

        signals.connect(self)
