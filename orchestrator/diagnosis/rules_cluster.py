"""What goes wrong between the lab and the workers of its cluster."""

from __future__ import annotations

from orchestrator.diagnosis import facts
from orchestrator.diagnosis.values import RETRY, RETRY_SMALLER, Rule
from orchestrator.diagnosis.wording import AGAIN

CLUSTER = (
    Rule(
        name="no_worker",
        symptom="A job is held: no worker of the cluster has what it needs",
        cause="No worker of the cluster has the model that {backend} needs, or none runs.",
        remedy="Start one that has it: `orchestrator cluster worker tcp://… --comfy-url … --model NAME`; "
        "`orchestrator cluster workers tcp://…` lists those that run.",
        step=f"Start a worker. {AGAIN}",
        kinds=frozenset({"no_worker"}),
    ),
    Rule(
        name="workers_lost",
        symptom="Worker after worker of the cluster died on the job",
        cause="Several workers of the cluster died while they ran the job: it may be what kills them.",
        remedy="Look at the ends of the workers' logs. The job may need more memory than they have: a smaller picture "
        "may pass.",
        kinds=frozenset({"workers_lost"}),
        offer=lambda f: (*facts.retry_smaller(f), *facts.retry(f)),
        names=(RETRY_SMALLER, RETRY),
    ),
    Rule(
        name="storage",
        symptom="The shared storage of the cluster cannot be used",
        cause="The place that ORCHESTRATOR_CLUSTER_STORAGE names cannot be written or read.",
        remedy="Make sure that this lab and every worker may write there; without the setting pictures travel back "
        "through the scheduler.",
        step=f"Mend ORCHESTRATOR_CLUSTER_STORAGE. {AGAIN}",
        kinds=frozenset({"storage"}),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="cluster",
        symptom="`orchestrator cluster` fails",
        cause="The packages of the cluster are missing, or one of its processes did not start.",
        remedy="Run `pip install 'orchestrator-lab[cluster]'` where the lab and the workers run, and read the log that "
        "the message names.",
        step="Mend the cluster",
        kinds=frozenset({"ClusterMissing", "ClusterFailed"}),
    ),
)
