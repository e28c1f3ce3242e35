"""The only way to Kafka: clients with the settings that the promises need, and aiokafka's private parts in one module."""
