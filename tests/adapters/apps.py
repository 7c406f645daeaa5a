"""Applications of a few lines, for servers in processes of their own: anybody may do anything."""


def anybody(request, action, user):
    return True


def flask_app():
    import flask
    from examples.flask_minimal.userimages_flask import create_blueprint

    from userimages.config import service_from_env

    app = flask.Flask(__name__)
    app.register_blueprint(create_blueprint(service_from_env(), authorize=anybody))
    return app


def fastapi_app():
    import fastapi
    from examples.fastapi_minimal.userimages_fastapi import create_router

    from userimages.config import service_from_env

    app = fastapi.FastAPI()
    app.include_router(create_router(service_from_env(), authorize=anybody), prefix="/api")
    return app
