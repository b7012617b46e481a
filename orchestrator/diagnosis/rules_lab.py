"""What goes wrong in the lab and with what is asked of it."""

from __future__ import annotations

from orchestrator.diagnosis import facts
from orchestrator.diagnosis.values import RETRY, RETRY_SMALLER, Rule
from orchestrator.diagnosis.wording import AGAIN, REPORT, either

DISKS = (
    Rule(
        name="disk_full",
        symptom="`ENOSPC`, no space left",
        cause="The disk of {place} is full ({free} left).",
        remedy="Free some space: `orchestrator paths` shows the places, `orchestrator health` the room. Jobs that wait "
        "for the disk go on by themselves.",
        step=f"Free some space. {AGAIN} if it failed",
        kinds=frozenset({"DiskFull"}),
        text=either(r"ENOSPC|no space left|errno 28\b|EDQUOT|disk quota|WinError 112\b"),
        wins=True,
    ),
    Rule(
        name="place_missing",
        symptom="`ENOENT`, no such file or directory",
        cause="{path} is not there: {place} was moved, or its drive is away.",
        remedy="Look at the drive, and correct paths.json; `orchestrator paths` shows every place and makes the "
        "missing folders.",
        step=f"`orchestrator paths`. {AGAIN}",
        text=either(
            r"ENOENT|no such file or directory|errno 2\b|WinError [23]\b|FileNotFoundError"
        ),
        wins=True,
    ),
    Rule(
        name="place_forbidden",
        symptom="`EACCES`, permission denied, read-only file system",
        cause="The user that the lab runs as may not write {path}, in {place}.",
        remedy="Give that user the right to write there, or name another folder in paths.json; `orchestrator paths` "
        "says which places can be written.",
        step=f"`orchestrator paths`. {AGAIN}",
        text=either(
            r"EACCES|EPERM|EROFS|permission denied|errno (?:1|13|30)\b|read-only file|WinError 5\b"
        ),
        wins=True,
    ),
)

REQUESTS = (
    Rule(
        name="bad_parameters",
        symptom="422, a parameter is refused",
        cause="A parameter has a name or a value that {backend} does not take.",
        remedy="Correct what the message names, and submit the job anew.",
        step="Correct the parameter and submit it anew",
        kinds=frozenset(
            {"invalid", "ParamsInvalid", "StyleNotFound", "RequestInvalid", "ConfirmationNeeded"}
        ),
        text=either(r"\b422\b|validation error"),
    ),
    Rule(
        name="workflow_rejected",
        symptom="ComfyUI refused the workflow",
        cause="{host} does not accept an input of the workflow.",
        remedy="Correct the inputs named in the message; the server lists what it accepts at /object_info.",
        step="Correct the workflow and submit it anew",
        kinds=frozenset({"workflow_rejected"}),
    ),
    Rule(
        name="unknown_backend",
        symptom="`Invalid backend`",
        cause="There is no backend {backend}, or its saved workflow is gone.",
        remedy="Choose one that there is: `orchestrator generate --help`, or the list on the page.",
        step="Submit it anew with another backend",
        kinds=frozenset({"UnknownBackend"}),
        text=either(r"invalid backend|unknown backend"),
    ),
    Rule(
        name="saved_workflow_invalid",
        symptom="A saved workflow cannot be sent",
        cause="The file in `workflows` holds no workflow in ComfyUI's API format, or it was lost.",
        remedy="In ComfyUI choose Workflow > Export (API), and put that file into the folder `workflows`.",
        step="Export the workflow anew and submit the job anew",
        kinds=frozenset({"SavedWorkflowInvalid", "WorkflowUnreadable"}),
    ),
    Rule(
        name="input_invalid",
        symptom="The picture to begin with cannot be used",
        cause="The picture to begin with is not there, is too large, or is no PNG, JPEG or WebP.",
        remedy="Put the picture into the folder that `orchestrator paths` calls dropIn, or correct the name.",
        step=f"Put the picture there. {AGAIN}",
        kinds=frozenset({"InputInvalid", "InputNotFound", "PathOutside", "ImageNotFound"}),
    ),
    Rule(
        name="translation_failed",
        symptom="The prompt could not be translated",
        cause="The translator does not work, or does not know the language; nothing was submitted.",
        remedy="Write the prompt in English, or set ORCHESTRATOR_TRANSLATE=off to send it as it is.",
        step="Submit it anew",
        kinds=frozenset({"translation_failed"}),
    ),
    Rule(
        name="model_not_fetched",
        symptom="`orchestrator models pull` fails",
        cause="A model could not be fetched from Hugging Face, or is not what was published.",
        remedy="Run the same command again: it goes on where it was. Gated models need HF_TOKEN in .env.local.",
        step="`orchestrator models pull` again",
        kinds=frozenset(
            {
                "ModelError",
                "ModelUnknown",
                "ModelNotFound",
                "ModelGated",
                "ModelForbidden",
                "HubUnreachable",
                "HubBusy",
                "HubBroken",
                "ModelCorrupt",
                "ModelExists",
                "ModelBusy",
            }
        ),
    ),
    Rule(
        name="service_manager",
        symptom="`orchestrator services` fails",
        cause="The system's service manager cannot do what was asked, or there is none.",
        remedy="Read what it said (service-NAME.log in the folder of logs); without one, run `orchestrator up` in a "
        "terminal that stays open.",
        step="`orchestrator services status`",
        kinds=frozenset(
            {"ServiceUnknown", "ServiceRefused", "ServiceManagerMissing", "ServiceManagerFailed"}
        ),
    ),
    Rule(
        name="configuration",
        symptom="paths.json or .env.local cannot be used",
        cause="The configuration is wrong.",
        remedy="Correct what the message names in paths.json or .env.local; `orchestrator paths` tells whether it is "
        "right.",
        step="Correct it and restart the lab",
        kinds=frozenset({"ConfigError", "PathsInvalid", "SettingsInvalid"}),
    ),
)

RUNNING = (
    Rule(
        name="wrong_server",
        symptom="This server lacks what the job needs, and another one has it",
        cause="The job's server changed what it has while the job was on its way.",
        remedy="Run the job again: it goes to the other server.",
        kinds=frozenset({"wrong_server"}),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="interrupted",
        symptom="Interrupted on the server",
        cause="Somebody interrupted the prompt at {host}, or cleared its queue.",
        remedy="Run the job again if the interruption was not meant for it.",
        kinds=frozenset({"interrupted"}),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="no_images",
        symptom="It finished without a picture",
        cause="No node of the workflow saved a picture.",
        remedy="Make sure that the workflow ends in a node that saves an image (SaveImage).",
        step="Correct the workflow and submit the job anew",
        kinds=frozenset({"no_images"}),
    ),
    Rule(
        name="poison",
        symptom="Several workers died while they ran this job",
        cause="The job was running each time a worker died or hung: it may be what stalls them. It was set aside.",
        remedy="Look at the end of worker.log. A smaller picture may pass; otherwise report it.",
        kinds=frozenset({"poison"}),
        offer=lambda f: (*facts.retry_smaller(f), *facts.retry(f)),
        names=(RETRY_SMALLER, RETRY),
        wins=True,
    ),
    Rule(
        name="abandoned",
        symptom="It was running when its program ended",
        cause="The old system ended in the middle of the job; what became of it is unknown.",
        remedy="Look for its picture in dropOut; run the job again if there is none.",
        kinds=frozenset({"abandoned"}),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="old_retries",
        symptom="`Exceeded max retries`",
        cause="The old system tried the job three times and did not say why it failed.",
        remedy="Run the job again: this lab says why.",
        text=either(r"exceeded max retries"),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="image_invalid",
        symptom="What arrived is no picture",
        cause="{host} delivered bytes that are not the picture they claim to be.",
        remedy="Run the job again; if it happens again, look at the picture in the server's own output folder.",
        kinds=frozenset({"ImageInvalid"}),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="store",
        symptom="The job's file could not be read or written",
        cause="A job file, its lock or its folder is not as it should be.",
        remedy="`orchestrator health` says which; look into jobs/_corrupt for files that were set aside, and end "
        "suspended orchestrator processes.",
        kinds=frozenset(
            {
                "StoreError",
                "StoreBusy",
                "CorruptFile",
                "JobNotFound",
                "JobExists",
                "InvalidTransition",
                "Fenced",
            }
        ),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="service_broken",
        symptom="The service answered with an error of its own (5xx)",
        cause="{host} answered with an error of its own, or with something that makes no sense.",
        remedy="Look at the service's own log, and run the job again later.",
        kinds=frozenset({"service_broken", "service_error"}),
        offer=facts.retry,
        names=(RETRY,),
    ),
    Rule(
        name="execution_failed",
        symptom="A node failed while the workflow ran",
        cause="A node of the workflow failed on {host}; the message is its own.",
        remedy="Read the message; the server's log has the traceback. Other parameters may pass.",
        step=f"Read the server's log. {AGAIN}",
        kinds=frozenset({"execution_failed"}),
    ),
    Rule(
        name="internal",
        symptom="A fault of the lab (`internal`)",
        cause="The lab met something that it does not expect: a fault of its own.",
        remedy=REPORT,
        step=f"Report it. {AGAIN}",
        kinds=frozenset({"internal", "OrchestratorError", "PlotsFailed", "AlreadyUp", "JobFailed"}),
        wins=True,
    ),
)
