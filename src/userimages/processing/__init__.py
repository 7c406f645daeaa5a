"""What is stored of a picture: intake, engine, recipes, ThumbHash."""
