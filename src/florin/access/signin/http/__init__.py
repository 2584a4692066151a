"""Signing in over HTTP: for strangers, for signed-in users, for administrators."""

from florin.access.signin.http import admin, auth, me

routers = (auth.router, me.router, admin.router)

__all__ = ["routers"]
