"""Checks jobs that `kimball bundle` wrote against the types that Databricks publishes for them.

The arguments are files: `*.json` is a body for `jobs/create` and must be what databricks-sdk makes of it, `*.yml` an
Asset Bundle with one job, which must be what databricks-bundles makes of it. Nothing may be lost, changed or of
another type, and what the types cannot say is checked as well. Several files have to describe the same job. Ends
with 1 and the complaints when anything is wrong.
"""

import dataclasses
import enum
import importlib.metadata
import inspect
import json
import pathlib
import re
import sys
import typing

import yaml
from databricks.bundles.jobs import Job
from databricks.sdk.service.jobs import JobSettings, JobsAPI

TASK_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
RETRIES = ["max_retries", "min_retry_interval_millis", "retry_on_timeout"]
CLUSTERS = ["job_cluster_key", "existing_cluster_id", "new_cluster"]


def mistyped(value, hint, place):
    """Places where a value made by databricks-sdk, which checks nothing, is not of its declared type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        if value is None:
            return [] if type(None) in arguments else [f"{place} is missing"]
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return mistyped(value, hint, place)
    wrong = [f"{place} is {value!r}, no {getattr(hint, '__name__', hint)}"]
    if origin is list:
        if not isinstance(value, list):
            return wrong
        entries = enumerate(value)
        return [found for index, entry in entries for found in mistyped(entry, arguments[0], f"{place}[{index}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return wrong
        return [found for key, entry in value.items() for found in mistyped(entry, arguments[1], f"{place}.{key}")]
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        return wrong
    if dataclasses.is_dataclass(hint) and not issubclass(hint, enum.Enum):
        hints = typing.get_type_hints(hint)
        fields = [field.name for field in dataclasses.fields(hint)]
        return [found for name in fields for found in mistyped(getattr(value, name), hints[name], f"{place}.{name}")]
    return []


def differences(written, understood, place):
    """Where what a library understood is not what was written."""
    if isinstance(written, dict) and isinstance(understood, dict):
        keys = sorted(written.keys() | understood.keys())
        absent = object()
        pairs = [(written.get(key, absent), understood.get(key, absent), f"{place}.{key}") for key in keys]
        found = [f"{at} is unknown" for here, there, at in pairs if there is absent]
        found += [f"{at} was added" for here, there, at in pairs if here is absent]
        both = [pair for pair in pairs if absent not in pair[:2]]
        return found + [difference for pair in both for difference in differences(*pair)]
    if isinstance(written, list) and isinstance(understood, list) and len(written) == len(understood):
        pairs = enumerate(zip(written, understood))
        return [found for index, pair in pairs for found in differences(*pair, f"{place}[{index}]")]
    if type(written) is type(understood) and written == understood:
        return []
    return [f"{place} is {written!r}, understood as {understood!r}"]


def by_sdk(job):
    """The complaints of databricks-sdk about the body of a request."""
    parameters = inspect.signature(JobsAPI.create).parameters
    found = [f"job.{key} is no parameter of jobs/create" for key in job if key not in parameters]
    settings = JobSettings.from_dict(job)
    return found + mistyped(settings, JobSettings, "job") + differences(job, settings.as_dict(), "job")


def by_bundles(job):
    """The complaints of databricks-bundles about the job of a bundle."""
    return differences(job, Job.from_dict(job).as_dict(), "job")


def by_rules(job):
    """What the documentation asks for and types cannot."""
    found, known = [], []
    clusters = [cluster["job_cluster_key"] for cluster in job.get("job_clusters", [])]
    keys = [task["task_key"] for task in job["tasks"]]
    for task in job["tasks"]:
        key = task["task_key"]
        found += [f"{key} waits for {need['task_key']}, which does not come before it"
                  for need in task.get("depends_on", []) if need["task_key"] not in known]
        known.append(key)
        inner = task
        if "for_each_task" in task:
            loop = task["for_each_task"]
            inner = loop["task"]
            keys.append(inner["task_key"])
            found += [f"{key} has {field}, which is the inner task's" for field in RETRIES + CLUSTERS if field in task]
            found += [] if 1 <= loop["concurrency"] <= 100 else [f"{key} runs {loop['concurrency']} at a time"]
            inputs = json.loads(loop["inputs"])
            if not isinstance(inputs, list) or not inputs or not all(isinstance(entry, str) for entry in inputs):
                found.append(f"the inputs of {key} are no list of files")
            elif len(set(inputs)) != len(inputs):
                found.append(f"the inputs of {key} name a file twice")
            if inner["notebook_task"]["base_parameters"] != {"config_file": "{{input}}"}:
                found.append(f"{key} does not pass its input on")
        if "max_retries" not in inner:
            found.append(f"{key} does not say how often it is tried again")
        if sum(field in inner for field in CLUSTERS) > 1:
            found.append(f"{key} runs on several clusters")
        if inner.get("job_cluster_key") not in [None, *clusters]:
            found.append(f"{key} runs on a cluster that the job does not have")
    found += [f"{key!r} is no key of a task" for key in keys if not TASK_KEY.fullmatch(key)]
    found += [f"{key} is the key of several tasks" for key in sorted(set(keys)) if keys.count(key) > 1]
    return found


def read(path):
    """The job of a file, and the library that has to understand it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text), by_sdk
    document = yaml.safe_load(text)
    if sorted(document) != ["bundle", "resources"] or sorted(document["bundle"]) != ["name"]:
        raise ValueError("it is no bundle with a name and resources")
    if sorted(document["resources"]) != ["jobs"] or len(document["resources"]["jobs"]) != 1:
        raise ValueError("it is no bundle of one job")
    (job,) = document["resources"]["jobs"].values()
    return job, by_bundles


def complaints(path):
    """The job of a file and everything that is wrong with it."""
    try:
        job, library = read(path)
        return job, library(job) or by_rules(job)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return None, [f"{type(error).__name__}: {error}"]


def main(names):
    checked = [(name, *complaints(pathlib.Path(name))) for name in names]
    wrong = [f"{name}: {complaint}" for name, _, found in checked for complaint in found]
    if not wrong and any(job != checked[0][1] for _, job, _ in checked):
        wrong.append(f"{', '.join(names)} describe different jobs")
    if wrong:
        print("\n".join(wrong))
        return 1
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("databricks-sdk", "databricks-bundles")]
    print(f"{len(checked[0][1]['tasks'])} tasks as {' and '.join(versions)} know them")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
