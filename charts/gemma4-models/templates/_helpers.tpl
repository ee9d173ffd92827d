{{/*
Write the values of `from` over those of `into`, map by map. Sprig's merges take false, 0 and "" for values that are missing.
*/}}
{{- define "gemma4-models.overlay" -}}
{{- range $key, $value := .from }}
{{- if and (kindIs "map" $value) (kindIs "map" (get $.into $key)) }}
{{- include "gemma4-models.overlay" (dict "into" (get $.into $key) "from" $value) }}
{{- else }}
{{- $_ := set $.into $key $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* The spec of one deployment: the defaults, and over them what it gives itself. */}}
{{- define "gemma4-models.spec" -}}
{{- $spec := deepCopy .root.Values.defaults }}
{{- $own := omit (deepCopy .given) "enabled" "metadata" }}
{{- include "gemma4-models.overlay" (dict "into" $spec "from" $own) }}
{{- toYaml $spec }}
{{- end }}

{{- define "gemma4-models.labels" -}}
{{- $labels := dict "app.kubernetes.io/instance" .root.Release.Name "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $labels "app.kubernetes.io/part-of" "gemma4-models" }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") }}
{{- merge $labels (deepCopy (default dict (.given.metadata).labels)) .root.Values.commonLabels | toYaml }}
{{- end }}

{{- define "gemma4-models.annotations" -}}
{{- $keep := ternary (dict "helm.sh/resource-policy" "keep") dict .root.Values.keep }}
{{- with merge $keep (deepCopy (default dict (.given.metadata).annotations)) .root.Values.commonAnnotations }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* Names of the deployments that are not left out, with a comma between them. */}}
{{- define "gemma4-models.enabled" -}}
{{- $names := list }}
{{- range $name, $given := .Values.deployments }}
{{- if ne (toString (default dict $given).enabled) "false" }}
{{- $names = append $names $name }}
{{- end }}
{{- end }}
{{- join "," $names }}
{{- end }}
