# syntax=docker/dockerfile:1
# The image of every tieout service: Airflow's official image with tieout, its DAGs and exactly the locked packages.
#   docker build -t tieout .
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
FROM ${AIRFLOW_IMAGE}

# A virtualenv of its own, ahead of the official one on PATH: what runs is what requirements.lock names and nothing
# else. The official environment brings many providers at other versions, which tieout is not tested with.
ENV VIRTUAL_ENV=/home/airflow/tieout
ENV PATH="/home/airflow/tieout/bin:${PATH}"

COPY --chown=airflow:0 requirements.txt requirements.lock requirements-celery.txt /opt/airflow/
# requirements.txt says what runs in production (the lock holds the test tools too); versions and hashes come from the
# lock, as constraints. The interpreter is the one the official environment was made with.
RUN uv venv --python "$(python -c 'import sys; print(sys._base_executable)')" "${VIRTUAL_ENV}" \
    && uv pip install --no-cache --compile-bytecode --require-hashes \
        --requirement requirements.txt --requirement requirements-celery.txt --constraint requirements.lock

# .dockerignore lets through only what runs.
COPY --chown=airflow:0 . /opt/airflow/
# Editable: Airflow reads plugins/ from the same place, so there is one copy of the package. The installation
# provides the entry point that makes Airflow find the connection types.
RUN uv pip install --no-cache --no-deps --editable . \
    && mkdir -p auth landing logs \
    && chmod -R g+rwX auth landing logs
# Docker gives a new named volume the owner of the folder it is mounted on: the folders above belong to airflow.

USER airflow
