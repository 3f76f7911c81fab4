# One file for every image: EXTRA names the deployable's extra in pyproject.toml, and the
# command its package, for example `payment_service serve`.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG EXTRA
RUN test -n "${EXTRA}" && python -m venv /app
WORKDIR /src
# Dependencies in a layer of their own: it stays when only code changes.
COPY pyproject.toml constraints.txt ./
COPY deploy/requirements.py deploy/requirements.py
RUN python deploy/requirements.py "${EXTRA}" > requirements.txt \
    && /app/bin/python -m pip install --no-cache-dir -c constraints.txt -r requirements.txt
COPY . .
RUN /app/bin/python -m pip install --no-cache-dir -c constraints.txt --no-deps . \
    && /app/bin/python -m pip check \
    && /app/bin/python -m compileall -q /app/lib

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --user-group --no-create-home payhub \
    && install -d -o payhub -g payhub /srv/payhub /srv/payhub/var /srv/payhub/anchor
COPY --from=build /app /app
USER payhub
WORKDIR /srv/payhub
# Below errors, gRPC's core writes lines that are not JSON between those of the log.
ENV PYTHONUNBUFFERED=1 GRPC_VERBOSITY=ERROR
STOPSIGNAL SIGTERM
ENTRYPOINT ["/app/bin/python", "-m"]
