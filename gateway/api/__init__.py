"""One module a resource of the API, the problem documents and the OpenAPI description."""
