"""Who may see and change what: Airflow's users, and the permissions they have on the feeds' DAGs.

An agent's coverage is seen by whoever may read the DAG of the feed, its reconciliation by whoever may read
``lucko__bets__<agent>``. Accepting a break takes the permission to edit that DAG, a request from a page of this site,
and a token that this user was given for this break.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from airflow.configuration import conf
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request
from itsdangerous import BadData, URLSafeTimedSerializer

RECONCILED = "lucko__bets__"
#: For how long a page that was opened may be used to accept a break, in seconds.
TOKEN_LIFETIME = 12 * 3600


def feed_dag(provider: str, feed: str, agent: str) -> str:
    """Return the id of the DAG that reads a feed of an agent."""
    return f"{provider}__{feed}__{agent}"


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """A logged-in user; ``name`` is what stands beside an acceptance, ``readable`` are the DAGs he may read."""

    user: Any
    name: str
    readable: frozenset[str]

    @property
    def dags(self) -> list[str]:
        """The readable DAGs, as a parameter of a statement."""
        return sorted(self.readable)

    @property
    def reconciled_agents(self) -> list[str]:
        """The agents whose reconciliation this user may see."""
        return sorted(dag[len(RECONCILED) :] for dag in self.readable if dag.startswith(RECONCILED))

    def require_readable(self, dag_id: str) -> None:
        """Raise HTTP 404 unless the DAG may be read: whether there is such an agent is nobody else's business."""
        if dag_id not in self.readable:
            raise HTTPException(404, "There is no such thing here, or you may not see it.")

    def may_edit(self, agent: str) -> bool:
        """Whether the user may accept the agent's breaks: edit the DAG of its bets."""
        dag_id = RECONCILED + agent
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return dag_id in self.readable and get_auth_manager().is_authorized_dag(
            method="PUT", details=details, user=self.user
        )

    def may_trigger(self, dag_id: str) -> bool:
        """Whether Airflow would let the user trigger a DAG."""
        return get_auth_manager().is_authorized_dag(
            method="POST",
            access_entity=DagAccessEntity.RUN,
            details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
            user=self.user,
        )


def _viewer(user: GetUserDep) -> Viewer:
    readable: Iterable[str] = get_auth_manager().get_authorized_dag_ids(user=user)
    return Viewer(user=user, name=str(user.get_name()), readable=frozenset(readable))


#: What a page depends on.
Seen = Annotated[Viewer, Depends(_viewer)]
#: What every route depends on: without a user Airflow answers 401.
LoggedIn = Depends(get_user)


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(conf.get("api", "secret_key"), salt="tieout.web.accept")


def token_for(viewer: Viewer, subject: str) -> str:
    """Return the token that lets this user change *subject* from a page shown to him."""
    return str(_serializer().dumps([viewer.user.get_id(), subject]))


def require_own_form(request: Request, viewer: Viewer, subject: str, token: str) -> None:
    """Raise HTTP 403 unless the request comes from a page of this site that was shown to this user.

    Cookies alone prove nothing: a browser sends them with whatever form another site makes it submit.
    """
    if not _is_own_origin(request):
        raise HTTPException(403, "This request does not come from a page of this Airflow.")
    try:
        known = _serializer().loads(token, max_age=TOKEN_LIFETIME)
    except BadData:
        raise HTTPException(403, "This form is too old or was not made for you. Load the page again.") from None
    expected = [viewer.user.get_id(), subject]
    if not hmac.compare_digest(repr(known).encode(), repr(expected).encode()):
        raise HTTPException(403, "This form is too old or was not made for you. Load the page again.")


def _is_own_origin(request: Request) -> bool:
    stated = urlsplit(request.headers.get("origin") or request.headers.get("referer") or "")
    host = stated.netloc.lower()
    # A page that came unencrypted may be anybody's. The other way round nothing is known: a proxy may have decrypted.
    if stated.scheme != "https" and request.url.scheme == "https":
        return False
    # Behind a proxy that does not pass the host on, the address Airflow was told is the one that browsers know.
    own = {request.headers.get("host", "").lower(), urlsplit(conf.get("api", "base_url", fallback="")).netloc.lower()}
    return bool(host) and host in own
