# The project in a container; the weights, data and runs are mounted, never built in.
#
#   docker build -t speech2face .                              for CPUs
#   docker build -t speech2face:gpu --build-arg EXTRAS=gpu .   with CUDA's libraries
#   docker run --rm -v "$PWD/runs:/runs" -v "$PWD/data:/data:ro" speech2face \
#       python -m speech2face.train --data_dir=/data --run_dir=/runs/voice ...
#
# GPUs need NVIDIA's container toolkit on the host, and `docker run --gpus=all`.

FROM python:3.11-slim

# "", or extras of setup.py besides those below, such as gpu.
ARG EXTRAS=""

# Not root: a mounted folder should belong to user 1000, or pass --user.
RUN useradd --uid 1000 --create-home user
WORKDIR /speech2face

COPY constraints.txt setup.py pyproject.toml README.md ./
COPY configs configs
COPY speech2face speech2face
COPY data_prep data_prep
COPY experiments experiments
# gpu is apart from constraints.txt, which has no version for NVIDIA's libraries.
RUN pip install --no-cache-dir -c constraints.txt ".[prep,sample,experiments,app,export,buckets]" \
    && if [ -n "$EXTRAS" ]; then pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]"; fi

USER 1000
VOLUME ["/data", "/runs"]
ENV PYTHONUNBUFFERED=1
CMD ["python", "-m", "speech2face.reconstruct", "--help"]
