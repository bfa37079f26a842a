"""Who detects: one module a provider. Adding one is adding its module and its price sheet; removing one is deleting them.

A module here that defines `build(environ) -> Provider` is a provider, and its file name is the provider's name. Nothing here knows
HTTP requests, money or the other providers.
"""
