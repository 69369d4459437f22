"""What tieout does, without Airflow: slices, quota, landing, staging, certificates, reconciliation."""
