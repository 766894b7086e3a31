# Two images from one tree: `api` (no torch) and `worker`.
#
#   docker build --target api    --tag condensery-api .
#   docker build --target worker --tag condensery-worker .

FROM python:3.13-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
RUN uv venv --python /usr/local/bin/python3.13 /opt/venv
COPY pyproject.toml requirements.lock ./

# The group says which packages, the lock which versions and hashes. uv takes hashes from constraints too, and with
# --require-hashes refuses a package that the lock lacks: nothing enters an image that the lock does not vouch for.
FROM build AS build-api
RUN uv pip install --python /opt/venv/bin/python --no-cache --compile-bytecode --only-binary :all: \
    --group api --constraints requirements.lock --require-hashes

FROM build AS build-worker
RUN uv pip install --python /opt/venv/bin/python --no-cache --compile-bytecode --only-binary :all: \
    --group worker --constraints requirements.lock --require-hashes

FROM python:3.13-slim-bookworm AS runtime
# /data belongs to the user already in the image: a new named volume takes its owner from there.
RUN groupadd --gid 10001 condensery \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin condensery \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
# The root file system is read-only in production, hence no byte code; /tmp is the only home that can be written.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    CONDENSERY_DATA_DIR=/data
WORKDIR /app
COPY LICENSE NOTICE ./
USER 10001:10001

FROM runtime AS api
COPY --from=build-api /opt/venv /opt/venv
COPY core ./core
COPY migrations ./migrations
COPY api ./api
EXPOSE 8000
# ProxyHandler({}): a proxy from the environment must not be asked for 127.0.0.1. An answer of 400 or more raises.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "api"]

FROM runtime AS worker
# The engine compiles its convolutions at start, for the processor that it finds itself on; without, CPUs are slower.
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=build-worker /opt/venv /opt/venv
COPY core ./core
COPY worker ./worker
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 \
    CMD ["python", "-m", "worker.health"]
CMD ["python", "-m", "worker"]
