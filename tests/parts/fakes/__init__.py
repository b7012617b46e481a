"""Distributors that live on this machine: `with FakeServer() as server: base = vendors.mouser(server)`.

A new vendor is one function that registers routes with `server.route(method, path, answer)` and returns its address.
"""
