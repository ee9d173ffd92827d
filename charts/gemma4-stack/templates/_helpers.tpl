{{- define "gemma4-stack.name" -}}
{{- default "gemma-operator" .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "gemma4-stack.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "gemma4-stack.name" . }}
{{- if or (contains .Release.Name $name) (eq .Release.Name .Chart.Name) }}
{{- $name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gemma4-stack.selector" -}}
app.kubernetes.io/name: {{ include "gemma4-stack.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The pod of `helm test`. Another name than the operator's: its Service and its NetworkPolicy select by that. */}}
{{- define "gemma4-stack.testSelector" -}}
app.kubernetes.io/name: {{ printf "%s-test" (include "gemma4-stack.name" .) | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "gemma4-stack.ownLabels" -}}
{{- include "gemma4-stack.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gemma4-stack
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of every object; those of the chart win, and no name stands there twice. */}}
{{- define "gemma4-stack.labels" -}}
{{- merge (include "gemma4-stack.ownLabels" . | fromYaml) .Values.commonLabels | toYaml }}
{{- end }}

{{/* Labels of the operator's pod. NetworkPolicies of engines and routers admit the operator by part-of, whatever its name. */}}
{{- define "gemma4-stack.podLabels" -}}
{{- $own := include "gemma4-stack.selector" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/part-of" "gemma4-stack" }}
{{- merge $own .Values.podLabels | toYaml }}
{{- end }}

{{- define "gemma4-stack.serviceAccountName" -}}
{{- default (ternary (include "gemma4-stack.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "gemma4-stack.image" -}}
{{- $image := .Values.image }}
{{- $registry := default $image.registry (.Values.global).imageRegistry }}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "gemma4-stack.pullSecrets" -}}
{{- with concat (default list (.Values.global).imagePullSecrets) .Values.imagePullSecrets | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The operator's environment: of two variables of one name only the last is kept, for the API server refuses both. */}}
{{- define "gemma4-stack.env" -}}
{{- $variables := list }}
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" }}
{{- $variables = append $variables (dict "name" $name "valueFrom" (dict "fieldRef" (dict "fieldPath" $path))) }}
{{- end }}
{{- $variables = concat $variables .Values.extraEnv }}
{{- $last := dict }}
{{- range $index, $variable := $variables }}
{{- $_ := set $last $variable.name $index }}
{{- end }}
{{- $kept := list }}
{{- range $index, $variable := $variables }}
{{- if eq $index (get $last $variable.name) }}
{{- $kept = append $kept $variable }}
{{- end }}
{{- end }}
{{- toYaml $kept }}
{{- end }}

{{- define "gemma4-stack.topologySpread" -}}
{{- $constraints := list }}
{{- $counted := dict "labelSelector" (dict "matchLabels" (include "gemma4-stack.selector" . | fromYaml)) }}
{{- range .Values.topologySpreadConstraints }}
{{- $constraints = append $constraints (merge (deepCopy .) $counted) }}
{{- end }}
{{- toYaml $constraints }}
{{- end }}

{{/* The operator's configuration file: what is given, the registry that all charts share, and what follows from its rights. */}}
{{- define "gemma4-stack.config" -}}
{{- $config := deepCopy (default dict .Values.config) }}
{{- $registry := (.Values.global).imageRegistry }}
{{- if and $registry (not $config.imageRegistry) }}
{{- $_ := set $config "imageRegistry" $registry }}
{{- end }}
{{- with .Values.watchNamespaces }}
{{- $_ := set $config "namespaces" . }}
{{- end }}
{{- if not .Values.rbac.nodes }}
{{- $_ := set $config "inventory" (merge (dict "source" "static") (default dict $config.inventory)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The namespaces with routers and engines, for monitors. */}}
{{- define "gemma4-stack.watched" -}}
{{- with .Values.watchNamespaces -}}
matchNames:
  {{- toYaml . | nindent 2 }}
{{- else -}}
any: true
{{- end }}
{{- end }}

{{- define "gemma4-stack.routerRole" -}}
{{- default "gemma-router" ((.Values.config).router).role }}
{{- end }}
