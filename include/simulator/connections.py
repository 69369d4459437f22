"""The Airflow connections with which a client reaches the simulated agents."""

from __future__ import annotations

from typing import Any

from simulator.agents import Agent, HotRoadAgent, JdbAgent, LuckoAgent
from simulator.config import SimConfig


def base_url(host: str, port: int) -> str:
    """The URL of a server at `host` and `port`, without a trailing slash."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def connection(agent: Agent, *, url: str) -> dict[str, Any]:
    """conn_type, host (a full base URL), login, password and extra of one agent."""
    extra: dict[str, Any] = {}
    if isinstance(agent, LuckoAgent):
        login, password = agent.agent_id, agent.sign_key
    elif isinstance(agent, HotRoadAgent):
        # One key that is both is given as the password alone: a login is no secret, whoever sees connections sees it.
        login = "" if agent.username == agent.password else agent.username
        password = agent.password
        extra = {"agent_id": agent.agent_id}
    elif isinstance(agent, JdbAgent):
        login, password = agent.agent_id, agent.aes_key
        extra = {"dc": agent.dc, "iv_secret": agent.iv, "padding": agent.padding}
    else:
        login, password = agent.agent_id, agent.secret
        extra = {"api_key": agent.api_key}
    return {"conn_type": agent.provider, "host": url, "login": login, "password": password, "extra": extra}


def connections(config: SimConfig, *, url: str) -> dict[str, dict[str, Any]]:
    """All agents' connections by connection id, for a simulator that listens at `url`."""
    return {config.conn_id(agent): connection(agent, url=url) for agent in config.agents}
