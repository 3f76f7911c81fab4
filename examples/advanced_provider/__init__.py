"""A provider with an upstream system behind it, using everything the SDK offers."""
