"""Pictures of people who have signed in: ``flask --app examples/flask_minimal/app.py run``."""

import secrets

import flask
from userimages_flask import create_blueprint
from werkzeug import Response
from werkzeug.security import check_password_hash, generate_password_hash

from userimages.config import service_from_env

USERS = {"ana": generate_password_hash("change me")}  # your own table of users

app = flask.Flask(__name__)
app.secret_key = secrets.token_hex(32)


def authorize(request: flask.Request, action: str, user: str) -> bool:
    if "user" not in flask.session:
        flask.abort(401)
    return bool(flask.session["user"] == user)


app.register_blueprint(create_blueprint(service_from_env(), authorize=authorize))


@app.post("/login")
def login() -> Response:
    name, password = flask.request.form["name"], flask.request.form["password"]
    if not check_password_hash(USERS.get(name, ""), password):
        flask.abort(401)
    flask.session["user"] = name
    return flask.redirect(f"/api/user_images/{name}/", 303)
