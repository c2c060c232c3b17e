#!/bin/sh
# How Spark on Kubernetes starts this image: "driver OPTION... FILE" or "executor"; fraud/programs.py comes here.
set -eu

case ${1:-} in
driver)
    # The job is the container's own process and starts Java itself, so that SIGTERM reaches the job, which then
    # finishes its micro-batch; below spark-submit it would only be killed.
    while [ "$1" != --properties-file ]; do shift; done
    export SPARK_ENV_LOADED=1
    export PYSPARK_SUBMIT_ARGS="--deploy-mode client --properties-file $2 \
--conf spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS pyspark-shell"
    exec python -m fraud.programs stream
    ;;
executor)
    env | grep '^SPARK_JAVA_OPT_' | sort -t_ -k4 -n | cut -d= -f2- >/tmp/java-options
    exec "$JAVA_HOME/bin/java" @/tmp/java-options "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
        -cp "$SPARK_HOME/conf:$SPARK_HOME/jars/*" \
        org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
        --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
        --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
        --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
*) echo "error: driver or executor, not: ${1:-}" >&2; exit 2 ;;
esac
