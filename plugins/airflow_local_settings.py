"""Airflow imports this in each of its processes, from the plugins folder, before anything else is done.

Tasks and parses are forked from those processes: what is imported here, none of them has to import again. Settings of
your own in Airflow's config folder take precedence over this file; import it there to keep this.
"""

import sys

# Airflow asks for the provider's description before; whoever has begun with another module of tieout, and come to
# Airflow through it, is no such process and still in the middle of its own import.
if not {name for name in sys.modules if name.startswith("tieout.")} - {"tieout.provider_info"}:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    import tieout.dag_factory  # noqa: F401 (for its sake, and that of all it imports)

    # The first asset of a DAG makes Airflow import what every installed provider has to say about assets.
    ProvidersManagerTaskRuntime().initialize_providers_asset_uri_resources()  # type: ignore[no-untyped-call]

#: Airflow takes over what a module of this name exports: nothing.
__all__: list[str] = []
