"""Constructs all Kafka clients with the settings our guarantees need; one module uses aiokafka's private parts."""
