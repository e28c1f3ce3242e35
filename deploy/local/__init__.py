"""Runs the whole system as child processes on 127.0.0.1; demo, tests, fault matrix and benchmark share this supervisor.

Every child ends when the process that started the stack ends, in whatever way.
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
