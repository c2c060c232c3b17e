{{/* Hosts of the servers, and of their Sentinels. */}}
{{- define "store.nodes" -}}
{{- $name := include "fraud.fullname" . -}}
{{- range $at := until (int .Values.replicas) }}{{ if $at }} {{ end }}{{ printf "%s-%d.%s-nodes.%s.svc" $name $at $name $.Release.Namespace }}{{ end }}
{{- end }}

{{/* How the other charts reach it; takes {root, password}. */}}
{{- define "store.url" -}}
{{- $root := .root -}}
{{- if $root.Values.sentinel.enabled -}}
{{- $hosts := list -}}
{{- range splitList " " (include "store.nodes" $root) }}{{ $hosts = append $hosts (printf "%s:26379" .) }}{{ end -}}
redis+sentinel://:{{ .password }}@{{ join "," $hosts }}/{{ $root.Values.sentinel.name }}/0?prefix=fraud&replicas={{ $root.Values.sentinel.minReplicasToWrite }}&sentinel_password={{ .password }}
{{- else -}}
redis://:{{ .password }}@{{ include "fraud.fullname" $root }}:6379/0?prefix=fraud
{{- end }}
{{- end }}

{{/* Bytes of `24gb` and of `32Gi`. */}}
{{- define "store.bytes" -}}
{{- $number := regexFind "^[0-9]+" (toString .) | int64 -}}
{{- $unit := regexFind "[a-zA-Z]*$" (toString .) | lower | trunc 1 -}}
{{- mul $number (get (dict "" 1 "k" 1024 "m" 1048576 "g" 1073741824) $unit) }}
{{- end }}

{{/* What cannot be said in the schema. */}}
{{- define "store.check" -}}
{{- if and .Values.sentinel.enabled (lt (int .Values.replicas) 3) }}
{{- fail "sentinel.enabled needs replicas 3 or more: two Sentinels of three must agree, and one replica more than minReplicasToWrite must be there to lose one" }}
{{- end }}
{{- if and (not .Values.sentinel.enabled) (ne (int .Values.replicas) 1) }}
{{- fail "replicas above 1 need sentinel.enabled: without Sentinels, no replica becomes the primary" }}
{{- end }}
{{- if and .Values.sentinel.enabled (ge (int .Values.sentinel.minReplicasToWrite) (sub (int .Values.replicas) 1)) }}
{{- fail "sentinel.minReplicasToWrite must be below replicas - 1: else the loss of one replica stops all writes" }}
{{- end }}
{{- if and .Values.sentinel.enabled (ne .Values.appendFsync "always") }}
{{- fail "sentinel.enabled needs appendFsync always: a primary that restarts sooner than it is replaced would bring older states to its replicas" }}
{{- end }}
{{- if .Values.resources.limits }}
{{- $most := div (mul 45 (include "store.bytes" .Values.resources.limits.memory | int64)) 100 }}
{{- if gt (include "store.bytes" .Values.maxMemory | int64) $most }}
{{- fail (printf "maxMemory %s is more than 45 %% of resources.limits.memory %s: while the append-only file is rewritten, pages that are written exist twice" .Values.maxMemory .Values.resources.limits.memory) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Who has it may ask the servers. */}}
{{- define "store.password" -}}
- name: PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .Values.auth.existingSecret | default (include "fraud.fullname" .) }}, key: password}
- name: REDISCLI_AUTH
  value: $(PASSWORD)
{{- end }}

{{/* Environment of a server and of its Sentinel. */}}
{{- define "store.env" -}}
{{ include "store.password" . }}
{{- if .Values.sentinel.enabled }}
- name: POD
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- {name: ME, value: $(POD).{{ include "fraud.fullname" . }}-nodes.{{ .Release.Namespace }}.svc}
- {name: NODES, value: {{ include "store.nodes" . | quote }}}
- {name: NAME, value: {{ .Values.sentinel.name | quote }}}
- {name: QUORUM, value: {{ add 1 (div (int .Values.replicas) 2) | quote }}}
- {name: DOWN_AFTER_MS, value: {{ .Values.sentinel.downAfterMs | quote }}}
- {name: FAILOVER_TIMEOUT_MS, value: {{ .Values.sentinel.failoverTimeoutMs | quote }}}
- {name: PORT, value: "6379"}
- {name: SENTINEL_PORT, value: "26379"}
- {name: CONFIG, value: /etc/feature-store/server.conf}
- {name: DATA, value: /data}
{{- end }}
{{- end }}
