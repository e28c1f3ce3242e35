"""The whole system as child processes on 127.0.0.1: one supervisor for demo, tests, faults and benchmark.

Every child ends with the process that started the stack, however that process ends.
"""

from deploy.local.component import Component
from deploy.local.errors import (
    ChildFailed,
    DiskFull,
    MissingPrerequisite,
    PortInUse,
    StackError,
    StackInUse,
    UsageError,
)
from deploy.local.mail import Mail
from deploy.local.options import Options
from deploy.local.stack import Stack

__all__ = [
    "ChildFailed",
    "Component",
    "DiskFull",
    "Mail",
    "MissingPrerequisite",
    "Options",
    "PortInUse",
    "Stack",
    "StackError",
    "StackInUse",
    "UsageError",
]
