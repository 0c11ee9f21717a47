"""The verb that measures how long a policy takes to answer."""

from pathlib import Path
from typing import Any

import typer

from simeval.cli.numerics import enter_numerics
from simeval.cli.options import AsJson, settings, with_config_options
from simeval.config.options import checked_fields
from simeval.config.profile import ProfileConfig
from simeval.core.errors import ConfigError
from simeval.core.json_output import emit
from simeval.core.texts import escaped, shown

profiling = typer.Typer()


@profiling.command()
@with_config_options(ProfileConfig)
def profile(as_json: AsJson = False, **flags: Any) -> None:
    """Measure how long a policy takes to answer on this machine, one question at a time: the number for latency:MS."""
    requested = ProfileConfig(**checked_fields(settings(None, flags), ProfileConfig))
    enter_numerics(requested.numerics)
    if requested.out is not None and not Path(requested.out).expanduser().parent.is_dir():
        raise ConfigError(f"--out {shown(requested.out)}: there is no such folder")
    from simeval.config.suites import check_suites, interface_of
    from simeval.core.provenance import host, versions
    from simeval.policies.profile import PERCENTILES, measure
    from simeval.policies.registry import choose, load_policy, validate_choice
    from simeval.store.run import write_json

    check_suites((requested.suite,))
    interface = interface_of((requested.suite,))
    choice = choose(
        requested.policy,
        device=requested.device,
        n_action_steps=requested.n_action_steps,
        batch_size=1,
        dtype=requested.dtype,
        convention=requested.convention,
        interface=interface,
    )
    validate_choice(choice, ())
    policy = load_policy(choice)
    found = measure(policy, interface, calls=requested.calls, warmup=requested.warmup)
    percentiles = {f"p{percent}": found.percentile(percent) for percent in PERCENTILES}
    record = {
        "schema_version": 1,
        "policy": {"name": policy.spec.name, **dict(policy.spec.fingerprint)},
        "host": host(),
        "versions": versions(learned_policy=choice.has_network),
        "numerics": requested.numerics,
        "control_hz": found.control_hz,
        "percentiles": percentiles,
        "latency": {name: found.steps(seconds) for name, seconds in percentiles.items()},
        "seconds": list(found.seconds),
    }
    if requested.out is not None:
        write_json(Path(requested.out).expanduser(), record)
    if as_json:
        emit(record)
        return
    print(escaped(f"{policy.spec.name}: {requested.calls} questions, one at a time, after {requested.warmup} others"))
    for name, seconds in percentiles.items():
        print(f"  {name}  {1000 * seconds:8.1f} ms  latency:{found.steps(seconds)}")
    print(f"latency in control steps of {1000 / found.control_hz:g} ms, rounded up")
