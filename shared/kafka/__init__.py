"""The only way to Kafka: clients with the settings the promises need; aiokafka's private parts in one module."""
