"""python -m services.intake serve | migrate | registry plan | registry apply | keys … | replay | dead-letters."""

from services.intake.commands import COMMANDS
from services.intake.main import build
from shared.service.command import run

if __name__ == "__main__":
    run("intake", build, COMMANDS)
