"""The dashboard: a JSON API over the same functions as the command line, and a page that uses it.

``server.serve`` starts it on the loopback interface; ``app.create_app`` is the ASGI application.
Nothing here decides anything: every answer is the ``to_dict()`` that the command line prints.
"""
