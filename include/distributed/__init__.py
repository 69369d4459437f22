"""``make distributed``: the services of docker-compose.yaml as processes of this machine; a worker is killed."""
