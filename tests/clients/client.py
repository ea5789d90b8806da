"""A session with the Python client generated from the OpenAPI document.

Arguments: the folder that holds the package `signalbox_client`. Address, e-mail, password and token
come from the environment. Prints the titles of the events that it read.
"""

import os
import sys

sys.path.insert(0, sys.argv[1])

from signalbox_client import AuthenticatedClient, Client  # noqa: E402
from signalbox_client.api.auth import login, read_session, whoami  # noqa: E402
from signalbox_client.api.connections import create_connection  # noqa: E402
from signalbox_client.api.events import list_events, send_event  # noqa: E402
from signalbox_client.api.rules import create_rule, get_rule  # noqa: E402
from signalbox_client.api.sources import create_source  # noqa: E402
from signalbox_client.models import (  # noqa: E402
    LoginRequest,
    NewConnection,
    NewRule,
    NewSource,
    Problem,
    RuleSpec,
    SchemeBearer,
    SchemeBearerType,
)

URL = os.environ["SIGNALBOX_URL"]


def person() -> Client:
    """A client that signed in with e-mail and password: the session's cookie, and its token."""
    client = Client(base_url=URL)
    answer = login.sync(
        client=client,
        body=LoginRequest(email=os.environ["EMAIL"], password=os.environ["PASSWORD"]),
    )
    assert not isinstance(answer, Problem) and answer is not None, answer
    client.get_httpx_client().headers["X-CSRF-Token"] = answer.csrf_token
    session = read_session.sync(client=client)
    assert session is not None and session.user.email == os.environ["EMAIL"], session
    return client


def main() -> None:
    client = person()
    refused = create_source.sync(
        client=client,
        body=NewSource(name="", slug="py", auth=SchemeBearer(type_=SchemeBearerType.BEARER)),
    )
    assert isinstance(refused, Problem), refused
    assert [error.field for error in refused.errors] == ["name"], refused

    made = create_source.sync(
        client=client,
        body=NewSource(name="From Python", slug="py", auth=SchemeBearer(type_=SchemeBearerType.BEARER)),
    )
    assert made is not None and not isinstance(made, Problem), made
    box = create_connection.sync(
        client=client, body=NewConnection(name="box", connector="sandbox")
    )
    assert box is not None and not isinstance(box, Problem), box
    spec = RuleSpec.from_dict(
        {
            "when": [{"path": "$.level", "op": "in", "value": ["high", "low"]}],
            "then": [
                {
                    "deliver": {
                        "connection": "box",
                        "operation": "http.request",
                        "map": {
                            "body": {"path": "$"},
                            "level": {
                                "path": "$.level",
                                "values": {"high": 1},
                                "default": {"path": "$.level"},
                            },
                        },
                    }
                }
            ],
        }
    )
    rule = create_rule.sync(client=client, body=NewRule(name="copy", spec=spec, source="py"))
    assert rule is not None and not isinstance(rule, Problem), rule
    again = get_rule.sync(id=rule.id, client=client)
    assert again is not None and again.spec.to_dict() == rule.spec.to_dict(), again

    sender = AuthenticatedClient(base_url=URL, token=str(made.secret))
    workspace = made.source.url.split("/")[-2]
    from signalbox_client.models import SendEventBody

    body = SendEventBody.from_dict({"msg": "from a generated client", "level": "high"})
    accepted = send_event.sync(workspace, "py", client=sender, body=body)
    assert accepted is not None and not isinstance(accepted, Problem), accepted

    robot = AuthenticatedClient(base_url=URL, token=os.environ["TOKEN"])
    who = whoami.sync(client=robot)
    assert who is not None and "events:read" in who.scopes, who
    page = list_events.sync(client=robot, source="py")
    assert page is not None and not isinstance(page, Problem), page
    assert [event.id for event in page.items] == accepted.event_ids, page
    for event in page.items:
        print(event.title)


main()
