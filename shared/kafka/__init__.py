"""The only way to Kafka: clients with the settings that the promises need, and the library's insides in one module."""
