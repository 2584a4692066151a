"""The composition: rooms opened, routers joined, one ASGI application and one worker."""
