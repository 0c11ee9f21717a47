"""The verb that serves a policy to other programs and machines."""

import contextlib
import sys
from typing import Any

import typer

from simeval.cli.numerics import enter_numerics
from simeval.cli.options import settings, with_config_options
from simeval.config.options import checked_fields
from simeval.config.serve import ServeConfig
from simeval.core.texts import escaped

serving = typer.Typer()


@serving.command()
@with_config_options(ServeConfig)
def serve(**flags: Any) -> None:
    """Serve a policy in openpi's protocol, until Ctrl-C: for run --policy openpi://HOST:PORT and for other clients."""
    requested = ServeConfig(**checked_fields(settings(None, flags), ServeConfig))
    enter_numerics(requested.numerics)
    import asyncio

    from simeval.config.preflight import policy_choice
    from simeval.policies.registry import batch_note, load_policy, validate_choice
    from simeval.policies.remote.extra import need
    from simeval.policies.remote.listen import bind, is_local, location
    from simeval.policies.remote.serve import PolicyServer

    for module in ("websockets.asyncio.server", "msgpack"):
        need(module)
    key, choice = requested.key(), policy_choice(requested)
    validate_choice(choice, ())
    with bind(requested.host, requested.port) as bound:
        policy = load_policy(choice)
        size = dict(policy.spec.fingerprint).get("batch_size", choice.batch_size)  # fewer if the memory is small
        server = PolicyServer(policy, batch_size=size, numerics=requested.numerics, key=key)
        if note := batch_note(choice, policy.spec):
            sys.stderr.write(f"simeval: {note}\n")
        if key is None and not is_local(bound):
            sys.stderr.write(f"simeval: {_OPEN}\n")
        line = f"serving {escaped(policy.spec.name)}: --policy openpi://{location(bound, requested.host)}"
        with contextlib.suppress(KeyboardInterrupt):  # its usual end
            asyncio.run(server.run(bound, lambda: print(line, flush=True)))
        sys.stderr.write("\nstopped\n")


_OPEN = "every machine in this network can use this server; set SIMEVAL_API_KEY to ask clients for a key"
