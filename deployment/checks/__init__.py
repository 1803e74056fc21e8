"""Every way a deployment is known to break, as one table in the order in which things depend on each other."""

from collections.abc import Sequence

from deployment.checking import Check
from deployment.checks import account, environment, front, functions, inside, models, package, queue, roles, storage
from deployment.evidence import STAGES, WEB, WORKER

# What can be known, and must be right, before anything is deployed.
BEFORE: Sequence[Check] = (
    Check("credentials", account.credentials),
    Check("region", account.region),
    Check("environment", environment.complete),
    Check("secret-key", environment.secret_key),
    Check("database-url", environment.database_url),
    Check("debug-off", environment.debug_off),
    Check("wait", environment.wait_fits_the_gateway),
    Check("batch-time", environment.batch_fits_the_worker),
    Check("inspection-time", environment.inspection_fits_the_worker),
    Check("retry", environment.retry_exceeds_timeout),
    Check("keep-warm", environment.keep_warm_off, STAGES),
    Check("timeout", environment.timeout, STAGES),
)
PACKAGE: Sequence[Check] = (
    Check("package-size", package.size),
    Check("package-secrets", package.without_secrets),
    Check("runtime", package.runtime),
    Check("package-libraries", package.libraries),
)
AFTER: Sequence[Check] = (
    Check("bucket", storage.bucket),
    Check("queue", queue.made_as_it_should_be),
    Check("visibility", queue.visibility),
    Check("dead-letters", queue.dead_letters),
    Check("function", functions.there, STAGES),
    Check("same-code", functions.same_code),
    Check("handler", functions.handler, STAGES),
    Check("memory", functions.memory, STAGES),
    Check("leftover-variables", functions.leftovers, STAGES),
    Check("role", roles.least_privilege, STAGES),
    Check("mapping", queue.mapping),
    Check("partial-batches", queue.partial_batches),
    Check("worker-concurrency", queue.concurrency),
    Check("schedule", functions.schedule),
    Check("inside", inside.answers, STAGES),
    Check("same-secret-key", inside.same_secret_key),
    Check("database", inside.database, STAGES),
    Check("database-encrypted", inside.database_encrypted),
    Check("connections", inside.connections),
    Check("migrations", inside.migrations),
    Check("storage-reached", inside.storage, STAGES),
    Check("queue-reached", inside.queue, STAGES),
    Check("clock", account.clock, STAGES),
    Check("sandbox", inside.sandbox, STAGES),
    Check("body-size", inside.body_size),
    Check("oldest-queued", inside.oldest_queued),
    Check("administrator", inside.administrator),
    Check("model-memory", models.memory),
    Check("model-disk", models.disk),
    Check("model-packages", models.packages),
    Check("api", front.api),
    Check("binary", front.binary),
    Check("health", front.health),
    Check("ready", front.ready),
)
CHECKS: Sequence[Check] = (*BEFORE, *PACKAGE, *AFTER)

__all__ = ["AFTER", "BEFORE", "CHECKS", "PACKAGE", "STAGES", "WEB", "WORKER"]
