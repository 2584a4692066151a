"""/v1/users, /v1/roles, /v1/assignments."""

from florin.access.people.http import assignments, roles, users

routers = (users.router, roles.router, assignments.router)
