"""What componentize-py brings along, as far as the SDK uses it."""

from typing import Any


class Err(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value

    def __class_getitem__(cls, _of: Any) -> type:
        return cls
