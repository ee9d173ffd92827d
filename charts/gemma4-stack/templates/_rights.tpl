{{/* What the operator may do where GemmaDeployments are: in the whole cluster, or in each of `watchNamespaces`. */}}
{{- define "gemma4-stack.operatorRules" -}}
# What it serves.
- apiGroups: [gemma4stack.dev]
  resources: [gemmadeployments]
  verbs: [list, watch]
- apiGroups: [gemma4stack.dev]
  resources: [gemmadeployments/status]
  verbs: [update]
# Owner references that block deletion need this where the cluster enforces it.
- apiGroups: [gemma4stack.dev]
  resources: [gemmadeployments/finalizers]
  verbs: [update]
# What it plans from, nodes apart.
- apiGroups: [""]
  resources: [pods, resourcequotas]
  verbs: [list, watch]
# Which replica goes first when one must go (pod-deletion-cost).
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
# Why an engine failed.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
# What it makes.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  verbs: [get, list, watch, create, patch, delete]
{{- with (.Values.config).router }}
{{- if .ingress }}
# What exposes routers; garbage collection deletes it.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch]
{{- end }}
{{- if .httpRoute }}
# What exposes routers; garbage collection deletes it.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch]
{{- end }}
{{- end }}
# Keys are made once and never read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
# The only role that it may hand on.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [{{ ternary "roles" "clusterroles" (not (empty .Values.watchNamespaces)) }}]
  resourceNames: [{{ include "gemma4-stack.routerRole" . }}]
  verbs: [bind]
{{- end }}

{{/* What a router may do in its namespace, where the operator binds it. */}}
{{- define "gemma4-stack.routerRules" -}}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
{{- end }}

{{- define "gemma4-stack.operatorSubjects" -}}
- kind: ServiceAccount
  name: {{ include "gemma4-stack.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* ClusterRole with which the operator reads nodes: two releases of one name in two namespaces have one each. */}}
{{- define "gemma4-stack.nodesRole" -}}
{{ printf "%s-%s-nodes" .Release.Namespace (include "gemma4-stack.fullname" .) }}
{{- end }}
