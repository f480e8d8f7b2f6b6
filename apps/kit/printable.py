"""Text that people write and others read: no control characters, so no line breaks and no terminal codes."""

PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
"""For pydantic and OpenAPI alike."""
