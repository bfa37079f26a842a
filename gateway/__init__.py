"""The HTTP service: the only room that knows Flask. `app.create_app` puts it together, `dispatch` tells one picture's way."""
