"""The demo and the embedded stack it shares with the tests: PostgreSQL, the simulator and a real Airflow."""
