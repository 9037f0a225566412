# The image of head and workers: docker build -f deploy/kuberay.Dockerfile -t galclass-cluster .
# Ray's own image has what KubeRay expects (ray[default], wget); its Ray version is the one in pyproject.toml.
FROM rayproject/ray:2.60.0-py312
WORKDIR /home/ray/galclass
COPY --chown=ray pyproject.toml README.md LICENSE NOTICE constraints.txt ./
COPY --chown=ray src ./src
RUN pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[cluster]"
ENV OMP_NUM_THREADS=1 \
    ORT_DISABLE_TELEMETRY=1 \
    RAY_USAGE_STATS_ENABLED=0
WORKDIR /home/ray
