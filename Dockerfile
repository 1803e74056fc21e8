# The other way to Lambda: a container image, for libraries beyond what a zip may hold (250 MiB unzipped).
#
# NOT BUILT HERE: neither the tests nor CI build or run this image; it says what an image has to hold. With Docker:
#
#   docker build --platform linux/amd64 --tag mlserve .
#   docker tag mlserve ACCOUNT.dkr.ecr.REGION.amazonaws.com/mlserve && docker push …
#   zappa deploy web --docker-image-uri ACCOUNT.dkr.ecr.REGION.amazonaws.com/mlserve:latest   (and worker)

FROM public.ecr.aws/lambda/python:3.13

# The base image's own.
WORKDIR /var/task

# The libraries first: they change less often than the program. Wheels only, each with its known hash.
COPY requirements.txt ./
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.txt

COPY mlserve/ mlserve/
COPY registry/ registry/
COPY predictions/ predictions/
COPY templates/ templates/
COPY static/ static/

# As in the zip: static files under their hashed names in collected/, and bytecode beside the source, because a
# function's disk is read-only.
RUN SECRET_KEY=only-for-this-command MLSERVE_DATA_DIR=/tmp/build \
    python -m django collectstatic --no-input --verbosity 0 --settings mlserve.settings \
    && mv /tmp/build/static collected \
    && rm -r /tmp/build static \
    && python -m compileall -q --invalidation-mode unchecked-hash mlserve registry predictions

CMD ["mlserve.lambda_entry.lambda_handler"]
