"""The stage `publish`: the registered model becomes a service; run twice, it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from galclass.config import Config
from galclass.database import Database, Registry, ServiceRecord, Services, open_database
from galclass.database.references import Reference
from galclass.database.stages import registered_model


@dataclass(frozen=True)
class PublishSummary:
    """Which version is published, and whether this made it."""

    service: ServiceRecord
    new: bool
    own: PublishSummary | None = None
    """Of the trained model, where the service runs another one."""

    def __str__(self) -> str:
        done = "published" if self.new else "is already published"
        service = self.service
        line = f"publish: {service.name} {service.version} {done}, served by {service.answered_by}"
        return f"{line}\n{self.own}" if self.own else line


def publish_stage(config: Config) -> PublishSummary:
    """Publish the registered model under the configured service name.

    Where the packaged model is registered as well and serves it, the trained model has a service of its own name.

    The configured version is the first one tried; where it stands for another model already, the last number
    of the version is raised, as versions never change.

    Raises
    ------
    RegistryError
        If no model is registered, or a name is not valid.
    """
    database = open_database(config.database_url, migrate=True)
    try:
        model = config.score.model or registered_model(database, config)
        settings = config.publish
        made = publish(database, settings.name, model, settings.version, settings.description, next_version=True)
        if config.register.package is None or made.service.model_name == config.register.name:
            return made
        own, said = config.register, f"{settings.description}, by the model {config.register.name}"
        return replace(made, own=publish(database, own.name, own.reference, settings.version, said, next_version=True))
    finally:
        database.close()


def publish(
    database: Database,
    name: str,
    model: str,
    version: str,
    description: str = "",
    *,
    by: str | None = None,
    next_version: bool = False,
) -> PublishSummary:
    """Publish a model that `Registry.verify` finds sound as a version of a service.

    Parameters
    ----------
    database : Database
    name : str
        Service name.
    model : str
        NAME, NAME@VERSION or NAME@ALIAS; resolved now, so that a published version never changes its predictions.
    version : str
        Such as "1.0".
    description : str
    by : str, optional
        Who publishes, for the log.
    next_version : bool
        Whether to take the next free version where this one is another model's, or was.

    Raises
    ------
    RegistryError
        If the model is unknown, a name is not valid, or the version is another model's.
    ModelError
        If the model is not sound: a row inserted with SQL was never tried.
    """
    services, registry = Services(database), Registry(database)
    info = registry.resolve(model)
    registry.verify(Reference(info.name, version=info.version))
    records = services.list(name)
    same = [one for one in records if (one.model_name, one.model_version) == (info.name, info.version)]
    there = {one.version for one in records}
    taken = there | {one for one, sha256 in services.published(name).items() if sha256 != info.sha256}
    if next_version and same:
        return PublishSummary(services.alias(name, "latest", same[-1].version, by=by), new=False)
    while next_version and version in taken:
        version = raised(version)
    record = services.publish(name, version, info.name, info.version, description, by=by)
    return PublishSummary(record, new=version not in there)


def raised(version: str) -> str:
    """Return the version with its last number raised by one: 1.0 becomes 1.1."""
    head, dot, last = version.rpartition(".")
    return f"{head}{dot}{int(last) + 1}" if last.isdecimal() else f"{version}.1"
