{{/* What driver and executors have in common; takes {root, container, driver}. */}}
{{- define "streaming.pod" -}}
{{- $ := .root -}}
metadata:
  labels:
    {{- include "fraud.podLabels" $ | nindent 4 }}
    {{- if and .driver $.Values.sparkMetrics.enabled }}
    # By this the chart monitoring finds them.
    fraud/spark-metrics: shown
    {{- end }}
  {{- with include "fraud.podAnnotations" $ }}
  annotations: {{- . | nindent 4 }}
  {{- end }}
spec:
  enableServiceLinks: false
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext: {{- include "fraud.podSecurityContext" $ | nindent 4 }}
  {{- if and .driver $.Values.backfill.enabled }}
  initContainers:
    - name: backfill
      image: {{ include "fraud.image" $.Values.image | quote }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args: [backfill]
      env:
        {{- include "streaming.env" $ | nindent 8 }}
        - {name: FRAUD_BACKFILL_DATA, value: {{ $.Values.backfill.data | quote }}}
        - {name: FRAUD_BACKFILL_WAIT_S, value: {{ $.Values.backfill.waitSeconds | quote }}}
        {{- with $.Values.backfill.until }}
        - {name: FRAUD_BACKFILL_UNTIL, value: {{ . | quote }}}
        {{- end }}
      {{- with $.Values.delta.existingSecret }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      resources: {{- toYaml $.Values.backfill.resources | nindent 8 }}
      securityContext: {{- include "fraud.securityContext" $ | nindent 8 }}
      volumeMounts:
        {{- include "streaming.mounts" $ | nindent 8 }}
        {{- if $.Values.backfill.claim }}
        - {name: history, mountPath: /history, readOnly: true}
        {{- end }}
  {{- end }}
  containers:
    - name: {{ .container }}
      securityContext: {{- include "fraud.securityContext" $ | nindent 8 }}
      {{- if .driver }}
      ports:
        - {name: metrics, containerPort: 9404}
      startupProbe:
        httpGet: {path: /metrics, port: metrics}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /metrics, port: metrics}
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /ready, port: metrics}
        periodSeconds: 5
        timeoutSeconds: 5
      env:
        {{- include "streaming.env" $ | nindent 8 }}
        - {name: FRAUD_STREAM_EXPERIMENT_FILE, value: /etc/fraud/experiment/experiment.yaml}
        {{- if $.Values.rules.configMap }}
        - {name: FRAUD_STREAM_RULES_FILE, value: /etc/fraud/rules/rules.yaml}
        {{- end }}
      {{- else }}
      {{- if or (include "fraud.schemaConfigMap" $) $.Values.extraEnv }}
      # Its Python workers read the schema too.
      env:
        {{- with include "fraud.schemaEnv" $ }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with include "fraud.list" $.Values.extraEnv }}
        {{- . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- end }}
      {{- with $.Values.delta.existingSecret }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      volumeMounts:
        {{- include "streaming.mounts" $ | nindent 8 }}
        {{- if .driver }}
        - {name: experiment, mountPath: /etc/fraud/experiment, readOnly: true}
        {{- if $.Values.rules.configMap }}
        - {name: rules, mountPath: /etc/fraud/rules, readOnly: true}
        {{- end }}
        {{- end }}
  terminationGracePeriodSeconds: 90
  volumes:
    - name: tmp
      emptyDir: {}
    {{- with include "fraud.schemaVolume" $ }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "fraud.list" $.Values.extraVolumes }}
    {{- . | nindent 4 }}
    {{- end }}
    - name: home
      persistentVolumeClaim:
        claimName: {{ $.Values.persistence.existingClaim | default (include "fraud.fullname" $) }}
    {{- if .driver }}
    - name: experiment
      configMap: {name: {{ $.Values.experiment.configMap }}, optional: true}
    {{- with $.Values.rules.configMap }}
    - name: rules
      configMap: {name: {{ . }}}
    {{- end }}
    {{- end }}
    {{- if and .driver $.Values.backfill.enabled $.Values.backfill.claim }}
    - name: history
      persistentVolumeClaim:
        claimName: {{ $.Values.backfill.claim }}
    {{- end }}
    {{- if $.Values.kafka.tls.enabled }}
    - name: kafka
      projected:
        sources:
          - secret: {name: {{ $.Values.kafka.tls.userSecret }}}
          - secret: {name: {{ $.Values.kafka.tls.caSecret }}, items: [{key: ca.crt, path: ca.crt}]}
    {{- end }}
  {{- with include "fraud.scheduling" (dict "root" $ "values" $.Values "component" "") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "streaming.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /var/lib/fraud}
{{- with include "fraud.list" .Values.extraVolumeMounts }}
{{- . | nindent 0 }}
{{- end }}
{{- with include "fraud.schemaMount" . }}
{{- . | nindent 0 }}
{{- end }}
{{- if .Values.kafka.tls.enabled }}
- {name: kafka, mountPath: /etc/kafka, readOnly: true}
{{- end }}
{{- end }}

{{/* The job's settings, which are those of the backfill too. */}}
{{- define "streaming.env" -}}
- {name: FRAUD_STREAM_HOME, value: /var/lib/fraud}
- {name: FRAUD_STREAM_HOST, value: 0.0.0.0}
{{- with include "fraud.schemaEnv" . }}
{{- . | nindent 0 }}
{{- end }}
- {name: FRAUD_STREAM_KAFKA_BOOTSTRAP, value: {{ .Values.kafka.bootstrap | quote }}}
{{- if .Values.kafka.tls.enabled }}
- {name: FRAUD_STREAM_KAFKA_OPTIONS, value: {{ dict "security.protocol" "SSL" "ssl.ca.location" "/etc/kafka/ca.crt" "ssl.certificate.location" "/etc/kafka/user.crt" "ssl.key.location" "/etc/kafka/user.key" | toJson | quote }}}
{{- end }}
- {name: FRAUD_STREAM_PREDICTOR_URL, value: {{ .Values.predictor.url | quote }}}
- {name: FRAUD_STREAM_PARTITIONS, value: {{ .Values.stream.partitions | quote }}}
{{- if .Values.sparkMetrics.enabled }}
# Spark names the driver's port 4040 spark-ui by itself.
- {name: FRAUD_STREAM_SPARK_PORT, value: "4040"}
{{- end }}
- name: FRAUD_STREAM_STORE_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.store.existingSecret }}, key: url}
{{- with .Values.delta.uri }}
- {name: FRAUD_STREAM_DELTA, value: {{ . | quote }}}
{{- end }}
{{- with .Values.delta.options }}
- {name: FRAUD_STREAM_DELTA_OPTIONS, value: {{ toJson . | quote }}}
{{- end }}
{{- with include "fraud.tracesEnv" . }}
{{- . | nindent 0 }}
{{- end }}
{{- range $key, $value := .Values.stream.settings }}
- {name: FRAUD_STREAM_{{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- with include "fraud.list" .Values.extraEnv }}
{{- . | nindent 0 }}
{{- end }}
{{- end }}
