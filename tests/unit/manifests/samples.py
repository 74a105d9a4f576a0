"""Manifests as people have them, and how a test asks what is wrong with one."""

from __future__ import annotations

import pytest

from orchestrator.manifests.manifest import Manifest, parse
from orchestrator.manifests.problems import ManifestInvalid

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: web
        image: nginx:1.27
        ports: [{containerPort: 80, name: http}]
        readinessProbe: {httpGet: {port: http}}
        resources: {limits: {cpu: 500m, memory: 64Mi}}
"""

# What every tutorial begins with.
NGINX = """\
# three web servers
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-deployment
  labels:
    app: nginx
spec:
  replicas: 3
  selector:
    matchLabels:
      app: nginx
  template:
    metadata:
      labels:
        app: nginx
    spec:
      containers:
      - name: nginx
        image: nginx:1.14.2
        ports:
        - containerPort: 80
"""

# What `kubectl get deployments -o yaml` prints for the one above.
FROM_KUBECTL = """\
apiVersion: v1
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    annotations:
      deployment.kubernetes.io/revision: "1"
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"nginx-deployment"}}
    creationTimestamp: "2026-01-05T10:00:00Z"
    generation: 1
    labels:
      app: nginx
    managedFields:
    - apiVersion: apps/v1
      fieldsType: FieldsV1
      manager: kubectl
    name: nginx-deployment
    namespace: default
    resourceVersion: "4711"
    selfLink: /apis/apps/v1/namespaces/default/deployments/nginx-deployment
    uid: 0b6d4c1e-0000-4000-8000-000000000000
  spec:
    progressDeadlineSeconds: 600
    replicas: 3
    revisionHistoryLimit: 10
    selector:
      matchLabels:
        app: nginx
    strategy:
      rollingUpdate:
        maxSurge: 25%
        maxUnavailable: 25%
      type: RollingUpdate
    template:
      metadata:
        creationTimestamp: null
        labels:
          app: nginx
      spec:
        containers:
        - image: nginx:1.14.2
          imagePullPolicy: IfNotPresent
          name: nginx
          ports:
          - containerPort: 80
            protocol: TCP
          resources: {}
          terminationMessagePath: /dev/termination-log
          terminationMessagePolicy: File
        dnsPolicy: ClusterFirst
        restartPolicy: Always
        schedulerName: default-scheduler
        securityContext: {}
        terminationGracePeriodSeconds: 30
  status:
    availableReplicas: 3
    observedGeneration: 1
kind: List
metadata:
  resourceVersion: ""
"""


def only(text: str | bytes) -> Manifest:
    """Return the one manifest of a text."""
    (manifest,) = parse(text)
    return manifest


def faults(text: str | bytes) -> list[str]:
    """Return every sentence a refused text is refused with."""
    with pytest.raises(ManifestInvalid) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]
