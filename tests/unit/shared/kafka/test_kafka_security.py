"""Every client of the cluster speaks the protocol of the settings, and no password shows where it could be logged."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from pydantic import SecretStr, ValidationError

from deploy.kafka import provision
from shared.kafka import clients as kafka
from shared.runtime.settings import KafkaSettings

PASSWORD = "một-mật-khẩu-dài-0123456789"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
WITH_TLS = ("SSL", "SASL_SSL")
WITH_SASL = ("SASL_PLAINTEXT", "SASL_SSL")


def settings(protocol: str, mechanism: str = "SCRAM-SHA-512", **more: Any) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers="one:9092,two:9092",
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        sasl_username="intake",
        sasl_password=SecretStr(PASSWORD),
        **more,
    )


def environment(protocol: str, mechanism: str | None = None) -> dict[str, str]:
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": "one:9092,two:9092",
        "KAFKA_SECURITY_PROTOCOL": protocol,
        "KAFKA_SASL_USERNAME": "intake",
        "KAFKA_SASL_PASSWORD": PASSWORD,
    }
    return env | ({"KAFKA_SASL_MECHANISM": mechanism} if mechanism else {})


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A file of trusted authorities with one of them: the first that this machine trusts."""
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not trusted:
        pytest.skip("this machine trusts nobody")
    path = tmp_path / "ca.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(trusted[0]))
    return path


def test_all_protocols_and_mechanisms_of_the_settings_are_tested_here() -> None:
    fields = KafkaSettings.model_fields
    assert set(get_args(fields["security_protocol"].annotation)) == set(PROTOCOLS)
    assert set(get_args(fields["sasl_mechanism"].annotation)) == set(MECHANISMS)


@pytest.mark.parametrize("name", ["security_protocol", "sasl_mechanism"])
def test_a_protocol_or_mechanism_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        KafkaSettings.model_validate({name: "GSSAPI"})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_options_of_producers_readers_and_admins(protocol: str, mechanism: str) -> None:
    options = kafka._client_options(settings(protocol, mechanism))
    assert options["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert options["security_protocol"] == protocol
    assert ("ssl_context" in options) is (protocol in WITH_TLS)
    sasl = {name: value for name, value in options.items() if name.startswith("sasl")}
    assert sasl == (
        {"sasl_mechanism": mechanism, "sasl_plain_username": "intake", "sasl_plain_password": PASSWORD}
        if protocol in WITH_SASL
        else {}
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_provisioning_connects_as_the_services_do(protocol: str, mechanism: str) -> None:
    arguments = provision.connection(environment(protocol, mechanism))
    options = kafka._client_options(settings(protocol, mechanism))
    assert set(arguments) == set(options) - {"request_timeout_ms"}
    for name in set(arguments) - {"ssl_context"}:
        assert arguments[name] == options[name], name
    if protocol in WITH_TLS:
        assert _strict(arguments["ssl_context"])


def test_the_settings_are_read_from_the_environment_that_provisioning_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("SASL_PLAINTEXT", "SCRAM-SHA-256").items():
        monkeypatch.setenv(name, value)
    options = kafka._client_options(KafkaSettings())
    arguments = provision.connection(environment("SASL_PLAINTEXT", "SCRAM-SHA-256"))
    assert arguments.items() <= options.items()


def test_without_a_mechanism_both_take_the_same() -> None:
    arguments = provision.connection(environment("SASL_PLAINTEXT"))
    assert arguments["sasl_mechanism"] == KafkaSettings.model_fields["sasl_mechanism"].default == "SCRAM-SHA-512"
    assert provision.connection({"KAFKA_BOOTSTRAP_SERVERS": "a:1"}) == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "PLAINTEXT",
    }


def test_a_bootstrap_by_hand_goes_before_the_environments() -> None:
    assert provision.connection(environment("PLAINTEXT"), "three:1,four:2")["bootstrap_servers"] == [
        "three:1",
        "four:2",
    ]


@pytest.mark.parametrize(
    ("mechanism", "kind"), [("PLAIN", SASLPlaintext), ("SCRAM-SHA-256", SASLScram256), ("SCRAM-SHA-512", SASLScram512)]
)
@pytest.mark.parametrize("protocol", WITH_SASL)
def test_consumers_log_in_by_the_mechanism(protocol: str, mechanism: str, kind: type[BaseSecurity]) -> None:
    security = kafka._security(settings(protocol, mechanism))
    assert type(security) is kind
    assert (security.username, security.password) == ("intake", PASSWORD)  # type: ignore[attr-defined]
    assert security.use_ssl is (protocol == "SASL_SSL")
    assert (security.ssl_context is not None) is (protocol == "SASL_SSL")


def test_consumers_without_sasl() -> None:
    assert kafka._security(settings("PLAINTEXT")) is None
    security = kafka._security(settings("SSL"))
    assert type(security) is BaseSecurity
    assert security.use_ssl
    assert security.ssl_context is not None


def _strict(context: ssl.SSLContext) -> bool:
    return (
        context.check_hostname
        and context.verify_mode == ssl.CERT_REQUIRED
        and context.minimum_version >= ssl.TLSVersion.TLSv1_2
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tls_checks_the_brokers_name_and_certificate(protocol: str) -> None:
    context = kafka._ssl_context(settings(protocol))
    assert (context is not None) is (protocol in WITH_TLS)
    assert context is None or _strict(context)


def test_the_check_of_strictness_can_fail() -> None:
    lax = create_ssl_context()
    lax.check_hostname = False
    assert not _strict(lax)


@pytest.mark.parametrize("protocol", WITH_TLS)
def test_only_the_named_authority_is_trusted(protocol: str, authority: Path) -> None:
    context = kafka._ssl_context(settings(protocol, ssl_cafile=str(authority)))
    assert context is not None
    assert len(context.get_ca_certs()) == 1
    named = provision.connection(environment(protocol) | {"KAFKA_SSL_CAFILE": str(authority)})["ssl_context"]
    assert named.get_ca_certs() == context.get_ca_certs()


def test_an_authority_that_is_not_there_is_no_silent_default() -> None:
    with pytest.raises(FileNotFoundError):
        kafka._ssl_context(settings("SSL", ssl_cafile="/không/có.pem"))
    with pytest.raises(FileNotFoundError):
        provision.connection(environment("SSL") | {"KAFKA_SSL_CAFILE": "/không/có.pem"})


@asynccontextmanager
async def clients(chosen: KafkaSettings) -> AsyncIterator[tuple[object, ...]]:
    """Each kind of client that there is, made and never started."""
    producer, reader = kafka.make_producer(chosen, "a"), kafka.make_reader(chosen, "b")
    admin, broker = kafka.make_admin(chosen, "c"), kafka.make_broker(chosen, "d", graceful_timeout_seconds=1)
    try:
        yield producer, reader, admin, broker
    finally:
        await producer.stop()
        await reader.stop()
        await admin.close()
        await broker.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_every_client_can_be_made_of_them(protocol: str, mechanism: str) -> None:
    """The clients check what fits together; none connects here."""
    chosen = settings(protocol, mechanism)
    async with clients(chosen) as made:
        assert [type(client) for client in made] == [
            AIOKafkaProducer,
            AIOKafkaConsumer,
            AIOKafkaAdminClient,
            KafkaBroker,
        ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_no_password_shows_in_what_is_logged_of_them(
    protocol: str, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    chosen = settings(protocol, mechanism)
    async with clients(chosen) as made:
        for client in (chosen, kafka._security(chosen), *made):
            assert PASSWORD not in f"{client!r} {client}"
    assert PASSWORD not in chosen.model_dump_json()
    assert PASSWORD not in caplog.text


def test_no_password_shows_in_the_refusal_of_bad_settings() -> None:
    with pytest.raises(ValidationError) as refused:
        settings("SASL_TLS")
    assert PASSWORD not in str(refused.value)


async def test_no_password_shows_in_provisionings_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens on the port, so the whole message of the failure is seen."""
    import asyncio
    import socket

    caplog.set_level("DEBUG")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused at once, and nobody else gets it
        for name, value in environment("SASL_PLAINTEXT", "PLAIN").items():
            monkeypatch.setenv(name, value)
        code = await asyncio.to_thread(provision.main, ["--bootstrap", f"127.0.0.1:{taken.getsockname()[1]}"])
    said = capsys.readouterr()
    assert code == 1
    assert "cannot provision the topics" in said.err
    assert PASSWORD not in said.err + said.out + caplog.text
