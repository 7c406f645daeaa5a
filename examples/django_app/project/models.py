"""What an application has of its own: a post that shows a picture, which can then not be deleted from under it."""

from django.db import models
from userimages_django.models import Image


class Post(models.Model):
    title = models.CharField(max_length=200)
    picture = models.ForeignKey(Image, models.PROTECT)

    def __str__(self):
        return self.title
