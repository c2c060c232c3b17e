{{- define "simulator.pod" -}}
serviceAccountName: {{ include "fraud.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "fraud.podSecurityContext" . | nindent 2 }}
{{- with include "fraud.scheduling" (dict "root" . "values" .Values "component" "") }}
{{- . | trim | nindent 0 }}
{{- end }}
{{- end }}

{{/* How a client of Kafka says who it is. */}}
{{- define "simulator.kafkaOptions" -}}
{{- dict "security.protocol" "SSL" "ssl.ca.location" "/etc/kafka/ca.crt" "ssl.certificate.location" "/etc/kafka/user.crt" "ssl.key.location" "/etc/kafka/user.key" | toJson }}
{{- end }}

{{- define "simulator.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- with include "fraud.schemaMount" . }}
{{- . | nindent 0 }}
{{- end }}
{{- with include "fraud.list" .Values.extraVolumeMounts }}
{{- . | nindent 0 }}
{{- end }}
{{- if .Values.kafka.tls.enabled }}
- {name: kafka, mountPath: /etc/kafka, readOnly: true}
{{- end }}
{{- end }}

{{- define "simulator.volumes" -}}
- name: tmp
  emptyDir: {}
{{- with include "fraud.schemaVolume" . }}
{{- . | nindent 0 }}
{{- end }}
{{- with include "fraud.list" .Values.extraVolumes }}
{{- . | nindent 0 }}
{{- end }}
{{- if .Values.kafka.tls.enabled }}
- name: kafka
  projected:
    sources:
      - secret: {name: {{ .Values.kafka.tls.userSecret }}}
      - secret: {name: {{ .Values.kafka.tls.caSecret }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}
