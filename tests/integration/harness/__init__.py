"""What the integration tests stand on: a broker, a simulator, a bridge and a recorder."""
