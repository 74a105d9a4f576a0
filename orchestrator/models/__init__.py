"""The tables of the control plane."""

from orchestrator.models.access import ApiToken, IdempotentAnswer, LoginTry
from orchestrator.models.autoscaling import Autoscaler, ScalingDecision
from orchestrator.models.deployment import Deployment, Namespace, Revision
from orchestrator.models.event import Event, Result, Severity
from orchestrator.models.job import (
    OPEN_STATES,
    UNCONFIRMED_STATES,
    Job,
    JobOperation,
    JobState,
)
from orchestrator.models.joining import JoinToken, NodeIdentity
from orchestrator.models.metrics import MetricBlock
from orchestrator.models.node import Node
from orchestrator.models.rebalance import MoveState, Rebalance, RebalanceMove
from orchestrator.models.replica import Replica

__all__ = [
    "OPEN_STATES",
    "UNCONFIRMED_STATES",
    "ApiToken",
    "Autoscaler",
    "Deployment",
    "Event",
    "IdempotentAnswer",
    "Job",
    "JobOperation",
    "JobState",
    "JoinToken",
    "LoginTry",
    "MetricBlock",
    "MoveState",
    "Namespace",
    "Node",
    "NodeIdentity",
    "Rebalance",
    "RebalanceMove",
    "Replica",
    "Result",
    "Revision",
    "ScalingDecision",
    "Severity",
]
