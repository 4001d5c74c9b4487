# One image for all Perdure processes: `perdure api`, `perdure worker`, `perdure migrate`.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Both lock files contain a hash for every file. The build tools are installed into their own
# directory and found through PYTHONPATH: an isolated build would download them without hashes.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/perdure \
    && /opt/perdure/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements.lock \
    && pip install --no-deps --only-binary :all: --require-hashes -r requirements-build.lock --target /tools
COPY . .
RUN PYTHONPATH=/tools /opt/perdure/bin/pip install --no-deps --no-build-isolation .

# Commands of the bash tool use this image's /usr: to add programs, build an image from this one.
FROM python:3.11-slim-bookworm
RUN useradd --no-log-init --uid 10001 --user-group --no-create-home --home-dir /var/lib/perdure \
    --shell /usr/sbin/nologin perdure \
    && install --directory --owner perdure --group perdure --mode 0700 /var/lib/perdure /var/lib/perdure/artifacts
COPY --from=build /opt/perdure /opt/perdure
# The last two save memory and processor time (cli/stack/parts.py).
ENV PATH=/opt/perdure/bin:$PATH PERDURE_HOME=/var/lib/perdure MALLOC_ARENA_MAX=2 \
    TOKIO_WORKER_THREADS=1
WORKDIR /var/lib/perdure
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["perdure"]
CMD ["--help"]
