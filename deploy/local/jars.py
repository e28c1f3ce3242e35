"""The jars of Apache Kafka: from KAFKA_HOME, or resolved by Maven from the pinned pom and kept under .local/kafka/.

A folder of jars is complete or absent: it is filled under a temporary name and then renamed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import MissingPrerequisite
from deploy.local.options import ROOT

POM = ROOT / "deploy" / "kafka" / "pom.xml"
CACHE = ROOT / ".local" / "kafka"
MINIMUM_JAVA = 17
EXPECTED_JARS = 46
INSTALL = "sudo apt-get install openjdk-17-jre-headless maven"


@dataclass(frozen=True)
class Kafka:
    """What it takes to start a broker: the Java program, the jars in a stable order, and a place for a CDS archive."""

    java: str
    jars: tuple[Path, ...]
    archive: Path | None

    @property
    def class_path(self) -> str:
        """The value of `java -cp`."""
        return os.pathsep.join(str(jar) for jar in self.jars)


def find_java() -> tuple[str, str]:
    """The program and its full version. Raises MissingPrerequisite."""
    home = os.environ.get("JAVA_HOME")
    places = [str(Path(home) / "bin" / "java")] if home else []
    found = next((path for path in [*places, shutil.which("java") or ""] if path and os.access(path, os.X_OK)), None)
    if found is None:
        raise MissingPrerequisite(
            f"Thiếu Java {MINIMUM_JAVA}. Cài: {INSTALL}", f"Java {MINIMUM_JAVA} is missing: {INSTALL}"
        )
    said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    match = re.search(r'version "(\d+)[^"]*"', said)
    if match is None or int(match[1]) < MINIMUM_JAVA:
        raise MissingPrerequisite(
            f"Java quá cũ ({said.splitlines()[0] if said else found}); cần {MINIMUM_JAVA} trở lên. Cài: {INSTALL}",
            f"Java is too old, {MINIMUM_JAVA} or later is needed: {INSTALL}",
        )
    return found, said


def find_kafka(progress: Callable[[str], None]) -> Kafka:
    """Find the broker's jars, downloading them once. Raises MissingPrerequisite, which names what is missing."""
    java, java_version = find_java()
    if home := os.environ.get("KAFKA_HOME"):
        jars = tuple(sorted((Path(home) / "libs").glob("*.jar")))
        if not any(jar.name.startswith("kafka_2") for jar in jars):
            raise MissingPrerequisite(
                f"KAFKA_HOME={home} không chứa libs/kafka_2*.jar.", f"KAFKA_HOME={home} has no libs/kafka_2*.jar"
            )
        return Kafka(java, jars, None)
    folder = CACHE / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"
    if not folder.is_dir():
        _download(folder, progress)
    version = hashlib.sha256(java_version.encode()).hexdigest()[:12]
    return Kafka(java, tuple(sorted(folder.glob("*.jar"))), folder / f"classes-{version}.jsa")


def _download(folder: Path, progress: Callable[[str], None]) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingPrerequisite(f"Thiếu Maven. Cài: {INSTALL}", f"Maven is missing: {INSTALL}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return  # another process was faster
        progress("Kafka: tải về bằng Maven, khoảng 44 MB / downloading with Maven, about 44 MB")
        fresh = folder.with_name(folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        command = [maven, "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command += [f"-DoutputDirectory={fresh}", "-Dstyle.color=never"]
        seen, said = 0, []
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line.rstrip())
                if "Downloaded" in line and ".jar" in line:
                    seen += 1
                    if seen % 10 == 0:
                        progress(f"Kafka: đã tải {seen} tệp / {seen} files downloaded")
        if process.returncode != 0 or not any(fresh.glob("kafka_2*.jar")):
            shutil.rmtree(fresh, ignore_errors=True)
            errors = "\n".join(f"    | {line}" for line in said if "ERROR" in line or "BUILD" in line)[:3000]
            raise MissingPrerequisite(
                "Maven không tải được Apache Kafka (mạng, hoặc ~/.m2/settings.xml).",
                f"Maven could not fetch Apache Kafka (network, or ~/.m2/settings.xml):\n{errors}",
            )
        fresh.rename(folder)
