{{/* The model server's container; takes {root, model}. */}}
{{- define "serving.predictor" -}}
{{- $ := .root -}}
- name: kserve-container
  image: {{ include "fraud.image" $.Values.image | quote }}
  imagePullPolicy: {{ $.Values.image.pullPolicy }}
  args: {{- include "serving.args" (dict "root" $ "arguments" (list "predictor")) | nindent 4 }}
  env:
    - {name: FRAUD_PREDICTOR_HOST, value: 0.0.0.0}
    - {name: FRAUD_PREDICTOR_MLFLOW_URI, value: {{ $.Values.mlflow.url | quote }}}
    - {name: FRAUD_PREDICTOR_MODEL, value: {{ .model | quote }}}
    # jobs/rollout makes it and says in the registry which share of the requests it gets.
    - {name: FRAUD_PREDICTOR_CANARY_URL, value: http://{{ include "fraud.fullname" $ }}-canary-predictor}
    {{- with include "fraud.schemaEnv" $ }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- range $key, $value := $.Values.predictor.settings }}
    - {name: FRAUD_PREDICTOR_{{ $key }}, value: {{ $value | quote }}}
    {{- end }}
    {{- with include "fraud.list" $.Values.extraEnv }}
    {{- . | nindent 4 }}
    {{- end }}
  ports:
    - {name: http, containerPort: 8080, protocol: TCP}
  # Alive without a model, ready with one: an unavailable registry causes no restart.
  startupProbe: {{- include "serving.probe" "/v2/health/live" | nindent 4 }}
    failureThreshold: 60
  livenessProbe: {{- include "serving.probe" "/v2/health/live" | nindent 4 }}
    failureThreshold: 6
  readinessProbe: {{- include "serving.probe" "/v2/health/ready" | nindent 4 }}
  lifecycle: {{- include "fraud.drain" $.Values.drainSeconds | nindent 4 }}
  resources: {{- toYaml $.Values.predictor.resources | nindent 4 }}
  securityContext: {{- include "fraud.securityContext" $ | nindent 4 }}
  volumeMounts: {{- include "serving.mounts" $ | nindent 4 }}
{{- end }}

{{/*
A program and its arguments; takes {root, arguments}. KServe looks for the transformer's options among the arguments, and
adds what it does not find: so they stay apart also where the program is started again after edits.
*/}}
{{- define "serving.args" -}}
{{- if .root.Values.synced -}}
{{ toJson (concat (list "sh" "-c" "exec watchfiles --filter python --target-type command \"python -m fraud.programs $*\" /app" "synced") .arguments) }}
{{- else -}}
{{ toJson .arguments }}
{{- end }}
{{- end }}

{{- define "serving.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.synced }}
- {name: code, mountPath: /app}
{{- end }}
{{- with include "fraud.schemaMount" . }}
{{- . | nindent 0 }}
{{- end }}
{{- with include "fraud.list" .Values.extraVolumeMounts }}
{{- . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "serving.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if .Values.synced }}
- name: code
  emptyDir: {}
{{- end }}
{{- with include "fraud.schemaVolume" . }}
{{- . | nindent 0 }}
{{- end }}
{{- with include "fraud.list" .Values.extraVolumes }}
{{- . | nindent 0 }}
{{- end }}
{{- end }}

{{/* With their times, by which numba knows what it has compiled; the volume itself is not ours, so that its time cannot be set. */}}
{{- define "serving.initContainers" -}}
{{- if .Values.synced -}}
initContainers:
  - name: code
    image: {{ include "fraud.image" .Values.image | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: [cp, -R, --preserve=timestamps, /app/fraud, /app/services, /code]
    resources:
      requests: {cpu: 20m, memory: 64Mi}
      limits: {memory: 128Mi}
    securityContext: {{- include "fraud.securityContext" . | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: code, mountPath: /code}
{{- end -}}
{{- end }}

{{- define "serving.probe" -}}
httpGet: {path: {{ . }}, port: 8080, scheme: HTTP}
periodSeconds: 5
timeoutSeconds: 5
{{- end }}

{{/* Of a component's pods; takes {root, component}. */}}
{{- define "serving.pod" -}}
{{- $ := .root -}}
{{- $component := get $.Values .component -}}
labels:
  {{- include "fraud.podLabels" $ | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- with include "fraud.podAnnotations" $ }}
annotations: {{- . | nindent 2 }}
{{- end }}
serviceAccountName: {{ include "fraud.fullname" $ }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add 40 $.Values.drainSeconds }}
{{- with $.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "fraud.podSecurityContext" $ | nindent 2 }}
{{- with include "fraud.scheduling" (dict "root" $ "values" $component "component" .component) }}
{{- . | trim | nindent 0 }}
{{- end }}
{{- end }}

{{/* Takes {root, component}. */}}
{{- define "serving.replicas" -}}
{{- $ := .root -}}
{{- $part := ternary "scoring" "predictor" (eq .component "transformer") -}}
{{- $refused := ternary "fraud_scoring_shed_total" "fraud_predictor_refused_requests_total" (eq .component "transformer") -}}
{{- $component := .component -}}
{{- with get $.Values .component -}}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "serving: %s.minReplicas %v is above %s.maxReplicas %v; raise maxReplicas" $component .minReplicas $component .maxReplicas) }}
{{- end -}}
minReplicas: {{ .minReplicas }}
maxReplicas: {{ .maxReplicas }}
{{- if gt (int .maxReplicas) (int .minReplicas) }}
{{- if eq $.Values.autoscaling.by "inFlight" }}
autoScaling:
  metrics:
    - type: External
      external:
        metric:
          backend: prometheus
          serverAddress: {{ required "autoscaling.prometheus: name the Prometheus that scrapes these pods" $.Values.autoscaling.prometheus | quote }}
          # Seconds of requests in a second are the requests in flight; those refused would be too, had they been let in.
          # Before the first refusal there is no such series, and a sum with nothing is nothing.
          query: {{ printf "sum(rate(fraud_%s_request_seconds_sum{namespace=%q}[1m])) + (sum(rate(%s{namespace=%q}[1m])) or vector(0))" $part $.Release.Namespace $refused $.Release.Namespace | quote }}
        target: {type: Value, value: {{ $.Values.autoscaling.inFlight | quote }}}
{{- else }}
scaleMetric: cpu
scaleTarget: {{ .targetUtilization }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Of an InferenceService; takes {root, fixed}: whether its number of replicas is fixed. */}}
{{- define "serving.annotations" -}}
serving.kserve.io/deploymentMode: {{ .root.Values.deploymentMode }}
{{- if .fixed }}
serving.kserve.io/autoscalerClass: none
{{- else if eq .root.Values.autoscaling.by "inFlight" }}
serving.kserve.io/autoscalerClass: keda
{{- end }}
{{- end }}
