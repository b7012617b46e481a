"""Errors of the lab itself: how it is set up, started and kept up."""

from __future__ import annotations

from orchestrator.errors.base import OrchestratorError


class ConfigError(OrchestratorError):
    """The configuration is wrong."""


class PathsInvalid(ConfigError):
    """paths.json cannot be used."""

    remedy = "Correct paths.json: a JSON object of folder names, relative to the file or absolute."


class PathOutside(ConfigError):
    """The path leads out of its folder."""

    remedy = "Name a file inside the folder, without `..`, a drive or a leading slash."


class SettingsInvalid(ConfigError):
    """An environment variable or a line of .env.local has a value that cannot be used."""

    remedy = "Correct the variable named in the message, in the environment or in .env.local."


class PlotsFailed(OrchestratorError):
    """The plots could not be drawn."""

    remedy = (
        "The figures beside them are right. Try `python -c 'import matplotlib'` where the lab runs."
    )


class ClusterMissing(ConfigError):
    """The packages for a cluster are not installed."""

    remedy = "Install them where the lab runs and on the workers: pip install 'orchestrator-lab[cluster]'"


class ClusterFailed(OrchestratorError):
    """A process of the cluster did not start."""

    remedy = "Read the end of its log, which the message names."


class AlreadyUp(OrchestratorError):
    """Another server has these jobs."""

    remedy = "Open that one's page, or end it first."


class ServiceUnknown(ConfigError):
    """There is no such service."""

    remedy = "`orchestrator services status` lists them."


class ServiceRefused(ConfigError):
    """A service cannot be described to the service manager, or belongs to another lab."""

    remedy = "Move the lab to a folder with a plainer name, and install again."


class ServiceManagerMissing(OrchestratorError):
    """This machine has no service manager that the lab knows."""

    remedy = "Run `orchestrator up` instead, in a terminal that stays open."


class ServiceManagerFailed(OrchestratorError):
    """The service manager could not do what it was asked."""

    remedy = "Look at what it said, and at the file service-NAME.log in the folder of logs."


class JobFailed(OrchestratorError):
    """The job ended without a picture."""
