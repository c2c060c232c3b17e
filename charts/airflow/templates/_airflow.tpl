{{- define "airflow.secretName" -}}
{{ .Values.auth.existingSecret | default (include "fraud.fullname" .) }}
{{- end }}

{{- define "airflow.databaseHost" -}}
{{- if .Values.postgres.enabled -}}
{{ include "fraud.fullname" . }}-postgres
{{- else -}}
{{ required "database.host: name the external Postgres, or set postgres.enabled" .Values.database.host }}
{{- end -}}
{{- end }}

{{/* What a container of Airflow's own image has, whatever it runs. */}}
{{- define "airflow.container" -}}
image: {{ include "fraud.image" .Values.image | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [airflow]
securityContext: {{- include "fraud.securityContext" . | nindent 2 }}
envFrom:
  - configMapRef: {name: {{ include "fraud.fullname" . }}}
env:
  {{- range $variable, $key := dict "POSTGRES_PASSWORD" "postgres-password" "AIRFLOW__CORE__FERNET_KEY" "fernet-key" "AIRFLOW__API_AUTH__JWT_SECRET" "jwt-secret" "AIRFLOW__API__SECRET_KEY" "secret-key" }}
  - name: {{ $variable }}
    valueFrom: {secretKeyRef: {name: {{ include "airflow.secretName" $ }}, key: {{ $key }}}}
  {{- end }}
  - name: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN
    value: postgresql+psycopg2://{{ .Values.database.user }}:$(POSTGRES_PASSWORD)@{{ include "airflow.databaseHost" . }}:{{ .Values.database.port }}/{{ .Values.database.name }}
  {{- with include "fraud.list" .Values.extraEnv }}
  {{- . | nindent 2 }}
  {{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: plan, mountPath: /etc/fraud, readOnly: true}
  {{- with include "fraud.list" .Values.extraVolumeMounts }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "airflow.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 2Gi}
- name: plan
  configMap: {name: {{ include "fraud.fullname" . }}-plan}
{{- with include "fraud.list" .Values.extraVolumes }}
{{- . | nindent 0 }}
{{- end }}
{{- end }}
