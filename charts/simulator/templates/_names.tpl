{{/*
The same in every chart of this repository (a test holds the copies together): names, labels, images, security.
*/}}
{{- define "fraud.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "fraud.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "fraud.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "fraud.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Of pods' selectors: these never change. */}}
{{- define "fraud.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fraud.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of pods: these do not change with the chart's version, which would restart them. */}}
{{- define "fraud.podLabels" -}}
{{ include "fraud.selectorLabels" . }}
app.kubernetes.io/part-of: fraud
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of pods: annotations of the values, and a checksum of the deployment's schema, by which pods roll. */}}
{{- define "fraud.podAnnotations" -}}
{{- $found := deepCopy (.Values.podAnnotations | default dict) -}}
{{- with .Values.schema -}}
{{- $name := .existingConfigMap -}}
{{- if or .file $name -}}
{{- $content := .file | default (toJson (lookup "v1" "ConfigMap" $.Release.Namespace $name).data | replace "null" $name) -}}
{{- $_ := set $found "checksum/schema" (sha256sum $content) -}}
{{- end -}}
{{- end -}}
{{- with $found }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* The deployment's own schema (values `schema`): its ConfigMap, empty where the packaged one holds. */}}
{{- define "fraud.schemaConfigMap" -}}
{{- if and .Values.schema.file .Values.schema.existingConfigMap -}}
{{- fail "schema: give `schema.file` or `schema.existingConfigMap`, not both" -}}
{{- end -}}
{{- if .Values.schema.file -}}
{{ include "fraud.fullname" . }}-schema
{{- else -}}
{{ .Values.schema.existingConfigMap }}
{{- end -}}
{{- end }}

{{- define "fraud.schemaEnv" -}}
{{- if include "fraud.schemaConfigMap" . -}}
- {name: FRAUD_SCHEMA_FILE, value: /etc/fraud/schema/schema.yaml}
{{- end -}}
{{- end }}

{{- define "fraud.schemaMount" -}}
{{- if include "fraud.schemaConfigMap" . -}}
- {name: schema, mountPath: /etc/fraud/schema, readOnly: true}
{{- end -}}
{{- end }}

{{- define "fraud.schemaVolume" -}}
{{- with include "fraud.schemaConfigMap" . -}}
- name: schema
  configMap: {name: {{ . }}, items: [{key: schema.yaml, path: schema.yaml}]}
{{- end -}}
{{- end }}

{{/* Where pods run; takes {root, values, component}: the values' own priority, nodes, tolerations, affinity and spread. */}}
{{- define "fraud.scheduling" -}}
{{- $ := .root -}}
{{- $component := .component -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
{{- $labels := include "fraud.selectorLabels" $ | fromYaml -}}
{{- if $component }}{{- $_ := set $labels "app.kubernetes.io/component" $component }}{{- end }}
topologySpreadConstraints:
  {{- range . }}
  # Of these pods, where the constraint names no others.
  - {{- merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" $labels)) | toYaml | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Traces, as the programs read them; nothing where they are off. */}}
{{- define "fraud.tracesEnv" -}}
{{- with .Values.traces }}
{{- if ne .mode "off" }}
- {name: FRAUD_TRACES_MODE, value: {{ .mode }}}
{{- with .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- range $key, $value := .settings }}
- {name: OTEL_{{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* One more list of a pod or container, as the values have it. */}}
{{- define "fraud.list" -}}
{{- with . }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* Callers from outside, by an Ingress and by a Gateway's route; takes {root, service, port}. */}}
{{- define "fraud.outside" -}}
{{- $service := .service -}}
{{- $port := .port -}}
{{- with .root }}
{{- if .Values.ingress.enabled }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "fraud.fullname" . }}
  labels: {{- include "fraud.labels" . | nindent 4 }}
  {{- with .Values.ingress.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .Values.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  rules:
    {{- if not .Values.ingress.hosts }}
    {{- fail (printf "%s: ingress.hosts is empty; name the hosts that are answered, e.g. --set 'ingress.hosts={fraud.example.org}'" .Chart.Name) }}
    {{- end }}
    {{- range .Values.ingress.hosts }}
    - host: {{ . | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {service: {name: {{ $service }}, port: {number: {{ $port }}}}}
    {{- end }}
  {{- with .Values.ingress.tls }}
  tls: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if .Values.httpRoute.enabled }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ include "fraud.fullname" . }}
  labels: {{- include "fraud.labels" . | nindent 4 }}
spec:
  {{- if not .Values.httpRoute.parentRefs }}
  {{- fail (printf "%s: httpRoute.parentRefs is empty; name the Gateway, e.g. [{name: public, namespace: gateways}]" .Chart.Name) }}
  {{- end }}
  parentRefs: {{- toYaml .Values.httpRoute.parentRefs | nindent 4 }}
  {{- with .Values.httpRoute.hostnames }}
  hostnames: {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - backendRefs: [{name: {{ $service }}, port: {{ $port }}}]
{{- end }}
{{- end }}
{{- end }}

{{- define "fraud.labels" -}}
{{ include "fraud.selectorLabels" . }}
app.kubernetes.io/part-of: fraud
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Takes {repository, tag, digest}; without a repository the name of the image's folder is enough. */}}
{{- define "fraud.image" -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else if .tag -}}
{{ printf "%s:%s" .repository (toString .tag) }}
{{- else -}}
{{ .repository }}
{{- end }}
{{- end }}

{{- define "fraud.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "fraud.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* A pod that is to end goes on answering until nobody sends it calls any more; takes seconds. */}}
{{- define "fraud.drain" -}}
preStop:
  sleep: {seconds: {{ . }}}
{{- end }}

{{/* `helm test`: a pod that looks whether this release answers; takes {root, image, values (where it runs), args, env}. */}}
{{- define "fraud.test" -}}
{{- $ := .root -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "fraud.fullname" $ }}-test
  labels:
    {{- include "fraud.testLabels" $ | nindent 4 }}
    app.kubernetes.io/part-of: fraud
    app.kubernetes.io/managed-by: {{ $.Release.Service }}
    helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  serviceAccountName: {{ include "fraud.fullname" $ }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  restartPolicy: Never
  activeDeadlineSeconds: 300
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext: {{- include "fraud.podSecurityContext" $ | nindent 4 }}
  {{- with include "fraud.scheduling" (dict "root" $ "values" (omit .values "topologySpreadConstraints") "component" "") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  containers:
    - name: test
      image: {{ include "fraud.image" .image | quote }}
      imagePullPolicy: {{ .image.pullPolicy }}
      command: [env]
      args: {{- toYaml .args | nindent 8 }}
      {{- with .env }}
      env: {{- . | nindent 8 }}
      {{- end }}
      resources:
        requests: {cpu: 10m, memory: 32Mi}
        limits: {memory: 128Mi}
      securityContext: {{- include "fraud.securityContext" $ | nindent 8 }}
{{- end }}

{{/* Of that pod: no Service sends it calls, because it is no instance of the release. */}}
{{- define "fraud.testLabels" -}}
app.kubernetes.io/name: {{ include "fraud.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}-test
{{- end }}

{{/* Arguments of a test that asks addresses, each of which must answer 200; takes a list of them. */}}
{{- define "fraud.asks" -}}
- python
- -c
- |
  import sys, urllib.request
  for url in sys.argv[1:]:
      print(url, urllib.request.urlopen(url, timeout=20).status)
{{- range . }}
- {{ . }}
{{- end }}
{{- end }}

{{/* Name resolution, which every pod's NetworkPolicy needs. */}}
{{- define "fraud.egressToDns" -}}
- to:
    - namespaceSelector: {}
      podSelector:
        matchLabels:
          k8s-app: kube-dns
    # A cache on the node, and the resolver that GKE has in its place: no pods that a selector finds.
    - ipBlock: {cidr: 169.254.20.10/32}
    - ipBlock: {cidr: 169.254.169.254/32}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{/* The cloud's APIs and the node's agent that gives pods an identity; takes `networkPolicy.cloud`. */}}
{{- define "fraud.egressToCloud" -}}
{{- if . -}}
- ports:
    - {protocol: TCP, port: 443}
{{- end }}
{{- if eq . "aws" }}
# EKS Pod Identity; a role of the service account (IRSA) needs port 443 alone.
- to:
    - ipBlock: {cidr: 169.254.170.23/32}
  ports:
    - {protocol: TCP, port: 80}
{{- else if eq . "gcp" }}
# GKE's metadata server, with Dataplane V2 and without.
- to:
    - ipBlock: {cidr: 169.254.169.254/32}
  ports:
    - {protocol: TCP, port: 80}
- to:
    - ipBlock: {cidr: 169.254.169.252/32}
  ports:
    - {protocol: TCP, port: 988}
{{- end }}
{{- end }}

{{/* Scrapes from the monitoring namespace; takes {root, port}. */}}
{{- define "fraud.ingressOfMetrics" -}}
- from:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .root.Values.networkPolicy.monitoringNamespace }}
  ports:
    - {protocol: TCP, port: {{ .port }}}
{{- end }}
