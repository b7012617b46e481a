"""Every exception the lab raises on purpose.

OrchestratorError
├── ConfigError                 something in paths.json or the environment is wrong
│   ├── PathsInvalid
│   ├── PathOutside
│   ├── SettingsInvalid
│   └── ClusterMissing · ServiceUnknown · ServiceRefused
├── RequestInvalid              the request can never work as it stands
│   ├── UnknownBackend
│   ├── ModelUnknown
│   ├── ConfirmationNeeded
│   ├── SavedWorkflowInvalid
│   ├── WorkflowUnreadable
│   ├── InputInvalid ── InputNotFound
│   └── ParamsInvalid ── StyleNotFound
├── StoreError                  the job store refuses or cannot
│   ├── JobNotFound
│   ├── ImageNotFound
│   ├── JobExists
│   ├── InvalidTransition
│   ├── Fenced
│   ├── CorruptFile
│   ├── StoreBusy
│   └── DiskFull
├── ImageInvalid                bytes that are not the image they claim to be
├── ModelError                  a model file is not to be had, or not what it should be
│   ├── ModelNotFound · ModelGated · ModelForbidden
│   ├── HubUnreachable · HubBusy · HubBroken
│   └── ModelCorrupt · ModelExists · ModelBusy
├── PlotsFailed                 matplotlib could not draw
├── ClusterFailed               a process of the cluster did not start
├── AlreadyUp                   another server has these jobs
├── ServiceManagerMissing · ServiceManagerFailed   of `orchestrator services`
├── JobFailed                   raised to whoever waited for a job that failed or was cancelled
└── ServiceError                a service refused, failed or is away; becomes a job's Failure
    ├── ServiceUnreachable · ServiceTimeout (PromptStalled) · RateLimited · ServiceBroken ── FileGone · UntrustedAddress
    ├── RequestRejected ── WorkflowRejected · MissingCheckpoint · MissingModel · MissingNode · UnknownSampler
    ├── ExecutionFailed ── OutOfMemory · CorruptModel
    ├── PromptVanished · WrongServer · Interrupted · NoImages
    ├── NoWorkerFits · WorkersLost · StorageFailed   of a cluster
    ├── TranslationFailed           before a job is made: the prompt stays with its user
    ├── NotAuthorised (KeyMissing) · NoCredits (CreditsMissing) · BudgetExceeded · Moderated
    └── AmbiguousSubmit         a paid request that may or may not have been taken

A message says what is wrong; `remedy` says what to do about it. A class's docstring is its default message.
"""

from __future__ import annotations

from orchestrator.errors.base import OrchestratorError
from orchestrator.errors.lab import (
    AlreadyUp,
    ClusterFailed,
    ClusterMissing,
    ConfigError,
    JobFailed,
    PathOutside,
    PathsInvalid,
    PlotsFailed,
    ServiceManagerFailed,
    ServiceManagerMissing,
    ServiceRefused,
    ServiceUnknown,
    SettingsInvalid,
)
from orchestrator.errors.models import (
    HubBroken,
    HubBusy,
    HubUnreachable,
    ModelBusy,
    ModelCorrupt,
    ModelError,
    ModelExists,
    ModelForbidden,
    ModelGated,
    ModelNotFound,
)
from orchestrator.errors.requests import (
    ConfirmationNeeded,
    InputInvalid,
    InputNotFound,
    ModelUnknown,
    ParamsInvalid,
    RequestInvalid,
    SavedWorkflowInvalid,
    StyleNotFound,
    UnknownBackend,
    WorkflowUnreadable,
)
from orchestrator.errors.services import (
    AmbiguousSubmit,
    BudgetExceeded,
    CorruptModel,
    CreditsMissing,
    ExecutionFailed,
    FileGone,
    Interrupted,
    KeyMissing,
    MissingCheckpoint,
    MissingModel,
    MissingNode,
    Moderated,
    NoCredits,
    NoImages,
    NotAuthorised,
    NoWorkerFits,
    OutOfMemory,
    PromptStalled,
    PromptVanished,
    RateLimited,
    RequestRejected,
    ServiceBroken,
    ServiceError,
    ServiceTimeout,
    ServiceUnreachable,
    StorageFailed,
    TranslationFailed,
    UnknownSampler,
    UntrustedAddress,
    WorkersLost,
    WorkflowRejected,
    WrongServer,
)
from orchestrator.errors.storage import (
    CorruptFile,
    DiskFull,
    Fenced,
    ImageInvalid,
    ImageNotFound,
    InvalidTransition,
    JobExists,
    JobNotFound,
    StoreBusy,
    StoreError,
)

__all__ = [
    "AlreadyUp",
    "AmbiguousSubmit",
    "BudgetExceeded",
    "ClusterFailed",
    "ClusterMissing",
    "ConfigError",
    "ConfirmationNeeded",
    "CorruptFile",
    "CorruptModel",
    "CreditsMissing",
    "DiskFull",
    "ExecutionFailed",
    "Fenced",
    "FileGone",
    "HubBroken",
    "HubBusy",
    "HubUnreachable",
    "ImageInvalid",
    "ImageNotFound",
    "InputInvalid",
    "InputNotFound",
    "Interrupted",
    "InvalidTransition",
    "JobExists",
    "JobFailed",
    "JobNotFound",
    "KeyMissing",
    "MissingCheckpoint",
    "MissingModel",
    "MissingNode",
    "ModelBusy",
    "ModelCorrupt",
    "ModelError",
    "ModelExists",
    "ModelForbidden",
    "ModelGated",
    "ModelNotFound",
    "ModelUnknown",
    "Moderated",
    "NoCredits",
    "NoImages",
    "NoWorkerFits",
    "NotAuthorised",
    "OrchestratorError",
    "OutOfMemory",
    "ParamsInvalid",
    "PathOutside",
    "PathsInvalid",
    "PlotsFailed",
    "PromptStalled",
    "PromptVanished",
    "RateLimited",
    "RequestInvalid",
    "RequestRejected",
    "SavedWorkflowInvalid",
    "ServiceBroken",
    "ServiceError",
    "ServiceManagerFailed",
    "ServiceManagerMissing",
    "ServiceRefused",
    "ServiceTimeout",
    "ServiceUnknown",
    "ServiceUnreachable",
    "SettingsInvalid",
    "StorageFailed",
    "StoreBusy",
    "StoreError",
    "StyleNotFound",
    "TranslationFailed",
    "UnknownBackend",
    "UnknownSampler",
    "UntrustedAddress",
    "WorkersLost",
    "WorkflowRejected",
    "WorkflowUnreadable",
    "WrongServer",
]
